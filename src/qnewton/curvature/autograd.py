"""Walks over autograd graphs, and many vector-Jacobian products of one, batched."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from qnewton.curvature.once_only import not_twice_differentiable
from qnewton.operators.private_torch import leaf


@cache
def load_batching() -> None:
    """Load what the first batch of products would: hundreds of modules, in a third of a second.

    So that no step's clock holds it.
    """
    with torch.enable_grad():
        x = torch.zeros(2, requires_grad=True)
        batched_grad([x**2], [x], [torch.zeros(2, 2)])


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
            nodes = graph_nodes([output.grad_fn for output in outputs])
            raise not_twice_differentiable(error, nodes) from error
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


def grad_with_graph(
    output: Tensor | Sequence[GradientEdge],
    inputs: Sequence[Tensor],
    cotangent: Tensor | Sequence[Tensor] | None = None,
) -> list[Tensor | None]:
    """Return the gradients of ``output`` with their own graph, to be differentiated again.

    Args:
        output: Differentiable tensor, or several places in a graph; its graph is kept.
        inputs: Tensors to differentiate with respect to.
        cotangent: Shape of ``output``, one each; may be left out for a scalar.

    Returns:
        One gradient an input, ``None`` where nothing is reached.

    Raises:
        ValueError: If the graph cannot be differentiated again.

    Cost: one backward pass with a graph.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> [slope] = grad_with_graph(x**2, [x])
        >>> torch.autograd.grad(slope, x)
        (tensor(2.),)
    """
    with torch.enable_grad():
        try:
            gradients = torch.autograd.grad(
                output, inputs, cotangent, create_graph=True, allow_unused=True
            )
        except RuntimeError as error:
            raise not_twice_differentiable(error, _behind(output)) from error
    # PyTorch puts a node named Error behind a once_differentiable backward, then skips it
    # on the way to leaves it does not lead to: the curvature would silently lack a term.
    reached = [gradient.grad_fn for gradient in gradients if gradient is not None]
    if any(node.name() == "torch::autograd::Error" for node in graph_nodes(reached)):
        marked = RuntimeError("a function is marked once_differentiable")
        raise not_twice_differentiable(marked, _behind(output))
    return list(gradients)


def _behind(output: Tensor | Sequence[GradientEdge]) -> Iterator[Node]:
    roots = [output.grad_fn] if isinstance(output, Tensor) else [edge.node for edge in output]
    return graph_nodes(roots)


def leaf_uses(outputs: Sequence[Tensor], stop: Tensor | None = None) -> Counter[int]:
    """Count the edges of the graph that end in each leaf tensor, by the tensor's id.

    Args:
        outputs: Differentiable tensors.
        stop: The walk does not go past this tensor.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> leaf_uses([x * x.exp()])[id(x)]
        2
    """
    return leaf_counts(graph_nodes([output.grad_fn for output in outputs], stop))


def leaf_counts(nodes: Iterable[Node]) -> Counter[int]:
    """Count the edges from ``nodes`` that end in each leaf tensor, by the tensor's id."""
    uses: Counter[int] = Counter()
    for node in nodes:
        for following, _ in node.next_functions:
            found = leaf(following)
            if found is not None:
                uses[id(found)] += 1
    return uses


def graph_nodes(roots: Iterable[Node | None], stop: Tensor | None = None) -> Iterator[Node]:
    """Yield ``roots`` and every node of the graph behind them once, leaves included.

    Args:
        roots: The ``grad_fn`` of differentiable tensors, say.
        stop: Its node and what lies behind that alone are left out.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> [node.name() for node in graph_nodes([x.exp().sum().grad_fn])]
        ['SumBackward0', 'ExpBackward0', 'torch::autograd::AccumulateGrad']
    """
    waiting = list(roots)
    seen: set[Node] = set()
    if stop is not None and stop.grad_fn is not None:
        seen.add(stop.grad_fn)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting.extend(following for following, _ in node.next_functions)
