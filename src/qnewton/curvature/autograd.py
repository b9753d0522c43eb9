"""Walks over autograd graphs, and many vector-Jacobian products of one, batched."""

import warnings
from collections.abc import Callable, Iterator, Sequence

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
    reached: list[bool] = []

    def one(*cotangents: Tensor) -> tuple[Tensor, ...]:
        found = torch.autograd.grad(
            outputs, inputs, cotangents, retain_graph=True, allow_unused=True
        )
        reached[:] = [tensor is not None for tensor in found]
        return tuple(tensor for tensor in found if tensor is not None)

    try:
        columns = _each(one, grad_outputs) if count == 1 else _batched(one, grad_outputs)
    except RuntimeError:
        # Some operations refuse vmap altogether (random or in-place ones): one at a time.
        try:
            columns = _each(one, grad_outputs)
        except RuntimeError as error:
            raise not_twice_differentiable(error) from error
    following = iter(columns)
    return [next(following) if known else None for known in reached]


def _each(
    one: Callable[..., tuple[Tensor, ...]], grad_outputs: Sequence[Tensor]
) -> Sequence[Tensor]:
    singles = [one(*pieces) for pieces in zip(*grad_outputs, strict=True)]
    return [torch.stack(column) for column in zip(*singles, strict=True)]


def _batched(
    one: Callable[..., tuple[Tensor, ...]], grad_outputs: Sequence[Tensor]
) -> Sequence[Tensor]:
    with warnings.catch_warnings():
        # An operation without a batching rule is looped over inside vmap, which warns.
        warnings.filterwarnings("ignore", message="There is a performance drop")
        return torch.func.vmap(one)(*grad_outputs)


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
