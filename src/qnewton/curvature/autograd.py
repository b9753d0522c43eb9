"""Walks over autograd graphs, and many vector-Jacobian products of one, batched."""

import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node


def batched_grad(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grad_outputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """Return the vector-Jacobian products of K cotangents at once; the graph is kept.

    Args:
        outputs: Differentiable tensors.
        inputs: Tensors to differentiate with respect to.
        grad_outputs: Cotangents, each of shape [K, *output.shape].

    Returns:
        For each input a tensor of shape [K, *input.shape], or ``None`` where nothing is reached.

    Raises:
        ValueError: If the graph cannot be differentiated again.

    Cost: K backward passes, in one batch unless an operation has no batching rule.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> batched_grad([x**2], [x], [torch.eye(2)])[0]
        tensor([[2., 0.],
                [0., 4.]])
    """
    count = grad_outputs[0].shape[0]
    try:
        with warnings.catch_warnings():
            # An operation without a batching rule is looped over inside vmap, which warns.
            warnings.filterwarnings("ignore", message="There is a performance drop")
            return list(
                torch.autograd.grad(
                    outputs,
                    inputs,
                    grad_outputs,
                    retain_graph=True,
                    allow_unused=True,
                    is_grads_batched=True,
                )
            )
    except RuntimeError:
        # Some operations refuse vmap altogether (random or in-place ones): one at a time.
        singles = [
            _single_grad(outputs, inputs, [g[k] for g in grad_outputs]) for k in range(count)
        ]
        return [
            None if column[0] is None else torch.stack(column)
            for column in zip(*singles, strict=True)
        ]


def _single_grad(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grad_outputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    try:
        return torch.autograd.grad(
            outputs, inputs, grad_outputs, retain_graph=True, allow_unused=True
        )
    except RuntimeError as error:
        raise not_twice_differentiable(error) from error


def graph_nodes(outputs: Sequence[Tensor]) -> Iterator[Node]:
    """Yield every node of the graph behind ``outputs`` once, leaves included.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> [node.name() for node in graph_nodes([x.exp().sum()])]
        ['SumBackward0', 'ExpBackward0', 'torch::autograd::AccumulateGrad']
    """
    waiting = [output.grad_fn for output in outputs]
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting.extend(following for following, _ in node.next_functions)


def not_twice_differentiable(reason: object) -> ValueError:
    """Return the error that says why a second derivative failed and what usually helps."""
    first_line = str(reason).strip().splitlines()[0]
    return ValueError(
        f"the loss cannot be differentiated twice ({first_line}); run attention under "
        "SDPBackend.MATH and the model without torch.compile"
    )
