"""Over how many samples a loss is a mean, read from the operations that reduce it to a number."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from qnewton.curvature.autograd import graph_nodes, nodes_to
from qnewton.curvature.output_loss import OutputLoss
from qnewton.curvature.routes import random_like
from qnewton.operators.private_torch import Saved, saved

Reduction = Literal["mean", "sum"]
"""Whether a loss is the mean or the sum over its samples."""

# ``reduction`` as PyTorch's losses save it.
_MEAN, _SUM = 1, 2
# How the names of operations begin that may leave out samples, along whatever dimension.
_SELECTS = ("Index", "MaskedSelect", "MaskedScatter", "Narrow", "Take", "Split", "Unbind", "Gather")
# Those that do along the dimension they save.
_CUTS = ("Slice", "Select")
# How the names of operations begin that are flat to second order on one side.
_FLAT = ("Relu", "Threshold", "Hard", "Clamp", "Max", "Where", "Multi", "Margin")
_CONSTANT_FACTOR = ("MulBackward", "DivBackward")
_CLOSE = 1e-5

_SAY = "let the closure return the mean over the samples that count, such as losses[mask].mean()"


@dataclass(frozen=True)
class _Reduced:
    """An operation that makes one number of many, on the way from the loss to the output.

    Attributes:
        node: The operation.
        factor: ∂L/∂(its result).
        divisors: What its result is divided by on the way to the loss.
        entries: How many numbers go in.
        between: What lies between it and the output.
    """

    node: Node
    factor: float
    divisors: tuple[float, ...]
    entries: int
    between: tuple[Node, ...]

    @property
    def name(self) -> str:
        return self.node.name()

    @property
    def saved(self) -> int | None:
        """``reduction`` of a loss of PyTorch's, if it is one."""
        return saved(self.node, Saved.REDUCTION)


@dataclass(frozen=True)
class SampleMean:
    """L = (1/m) Σ ℓ_i.

    Attributes:
        counted: m; 1 for a sum.
        note: What a record says of it; empty for the mean over all samples.
        is_sum: Whether it is the sum.
    """

    counted: int
    note: str = ""
    is_sum: bool = False


def sample_mean(
    root: Tensor, output: Tensor, gradient: Tensor, reduction: Reduction | None
) -> SampleMean:
    """Return m, where the loss is L = (1/m) Σ ℓ_i over the m samples that it counts; 1 for a sum.

    A sample is an index of the output's leading dimension. A mean counts all of them, also those
    that contribute nothing, unless the loss leaves some out: by ``ignore_index``, by a mask whose
    sum divides, by rows that are not selected. Then it counts the others. Weights of classes or
    samples, and how many tokens of a sequence count, belong to ℓ_i.

    Args:
        root: Live scalar loss.
        output: The model's output f, on the graph of ``root``.
        gradient: ∂L/∂f.
        reduction: What the caller says; ``None`` to read it from the graph, where a plain sum is
            told from a mean, and to take anything that cannot be told for a mean.

    Raises:
        ValueError: If samples are left out and nothing tells over how many the mean is.

    Cost: a walk over the loss's graph, and a double backward through the loss where samples
    contribute nothing.

    Example:
        >>> f = torch.zeros(3, 2, requires_grad=True)
        >>> targets = torch.tensor([0, -100, 1])
        >>> loss = torch.nn.functional.cross_entropy(f, targets)
        >>> [slope] = torch.autograd.grad(loss, f, retain_graph=True)
        >>> output = f.clone()
        >>> loss = torch.nn.functional.cross_entropy(output, targets)
        >>> sample_mean(loss, output, slope, None).counted
        2
    """
    if reduction == "sum":
        return SampleMean(1, is_sum=True)
    samples = output.shape[0] if output.ndim else 1
    reduced = list(_reductions(root, output))
    if reduction is None and reduced and all(_is_plain_sum(r, samples) for r in reduced):
        return SampleMean(1, "; the loss is the sum over its samples", is_sum=True)
    reached = _reached(root, output, gradient)
    if bool(reached.all()):
        return SampleMean(samples)
    found = {_counted(r, reached, gradient) for r in reduced}
    if len(found) != 1 or None in found:
        missing = samples - int(reached.sum())
        raise ValueError(
            f"{missing} of {samples} samples contribute nothing to the loss, and its operations do "
            f"not say over how many it is a mean, so the Fisher's scale is unknown; {_SAY}, or use "
            "kind='ggn'"
        )
    counted = found.pop() or samples
    note = f"; the loss is the mean over {counted} of {samples} samples"
    return SampleMean(counted, "" if counted == samples else note)


def _reached(root: Tensor, output: Tensor, gradient: Tensor) -> Tensor:
    """Return which samples have a first or second derivative, [n]."""
    if output.ndim == 0:
        return gradient.new_ones(1, dtype=torch.bool)
    reached = (gradient != 0).flatten(1).any(1) if gradient.ndim > 1 else gradient != 0
    if bool(reached.all()):
        return reached
    try:
        loss = OutputLoss(root, output, gradient.dtype)
        bent = loss.products(random_like(gradient, output.shape)[None])[0]
    except ValueError:
        return reached  # no second derivative: the first has to do
    return reached | ((bent != 0).flatten(1).any(1) if bent.ndim > 1 else bent != 0)


def _reductions(root: Tensor, output: Tensor) -> Iterator[_Reduced]:
    """Yield the first operations from the loss downwards that take more than one number in."""
    end = output.grad_fn
    ahead: set[Node | None] = {end, *nodes_to(root, [end])}
    waiting: list[tuple[Node | None, float, tuple[float, ...]]] = [(root.grad_fn, 1.0, ())]
    seen: set[Node] = set()
    while waiting:
        node, factor, divisors = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        divisors += _divisor(node)
        edges = [GradientEdge(n, k) for n, k in node.next_functions if n is not None and n in ahead]
        slopes = torch.autograd.grad(root, edges, retain_graph=True, allow_unused=True)
        for edge, slope in zip(edges, slopes, strict=True):
            if slope is None:
                continue
            if slope.numel() == 1 and edge.node is not end:
                waiting.append((edge.node, float(slope), divisors))
            else:
                inner = tuple(n for n in graph_nodes([edge.node], [end]) if n in ahead)
                yield _Reduced(node, factor, divisors, slope.numel(), inner)


def _divisor(node: Any) -> tuple[float, ...]:
    """Return the constant that an operation divides by, if it is one number."""
    if not node.name().startswith("DivBackward") or any(n for n, _ in node.next_functions[1:]):
        return ()
    other = saved(node, Saved.OTHER)
    if isinstance(other, Tensor):
        return (float(other.detach()),) if other.numel() == 1 else ()
    return () if other is None else (float(other),)


def _is_plain_sum(reduced: _Reduced, samples: int) -> bool:
    """Return whether nothing makes a mean of a sum: no division, factor of 1/n or less, weight."""
    if reduced.divisors or abs(reduced.factor) * samples < 1.0 + _CLOSE:
        return False
    if reduced.saved == _SUM:
        return True
    return reduced.name.startswith("SumBackward") and not any(map(_is_weighted, reduced.between))


def _is_weighted(node: Any) -> bool:
    if not node.name().startswith(_CONSTANT_FACTOR):
        return False
    other = saved(node, Saved.OTHER)
    return isinstance(other, Tensor) and other.numel() > 1


def _counted(reduced: _Reduced, reached: Tensor, gradient: Tensor) -> int | None:
    """Return how many samples one reduction's mean is over; ``None`` if nothing tells."""
    samples, some = len(reached), int(reached.sum())
    if reduced.name.startswith("NllLoss") and reduced.saved in (_MEAN, _SUM):
        return _counted_targets(reduced, reached)
    selects = any(_leaves_out(node) for node in reduced.between)
    # Samples that are counted may still have no derivative, where a loss is flat.
    flat = any(node.name().startswith(_FLAT) for node in reduced.between)
    if reduced.name.startswith("MeanBackward") or reduced.saved == _MEAN:
        if not selects:
            return samples
        return None if flat else some
    if not (reduced.name.startswith("SumBackward") or reduced.saved == _SUM):
        return None
    whole = 1.0 / abs(reduced.factor) if reduced.factor else math.inf
    divisors = (whole, *reduced.divisors)
    if not selects and _among(divisors, [samples, reduced.entries]):
        return samples
    # Outputs that count, or positions, whether classes are the last dimension or the second.
    dims = {1, gradient.ndim - 1} if gradient.ndim > 1 else set()
    nonzero = gradient != 0
    positions = [int(nonzero.sum()), *(int(nonzero.any(dim).sum()) for dim in dims)]
    if not flat and _among(divisors, [some, *positions, reduced.entries]):
        return some
    return None


def _counted_targets(reduced: _Reduced, reached: Tensor) -> int | None:
    """Return how many samples have a target that a negative log-likelihood does not ignore."""
    node = reduced.node
    target: Tensor = saved(node, Saved.TARGET)
    ignored: int = saved(node, Saved.IGNORE_INDEX)
    # PyTorch shows a negative one without its sign.
    counted = target != (ignored - (1 << 64) if ignored >= 1 << 63 else ignored)
    weight = saved(node, Saved.WEIGHT)
    if weight is not None:
        counted = counted & (weight[target.clamp(0, len(weight) - 1)] != 0)
    some = int(reached.sum())
    if any(_leaves_out(n) for n in reduced.between):
        return some
    if target.numel() % len(reached):
        return None
    of_sample = counted.reshape(len(reached), -1).any(1)
    return int(of_sample.sum()) if bool((of_sample | ~reached).all()) else None


def _leaves_out(node: Node) -> bool:
    """Return whether an operation may leave out samples, which lie along the first dimension."""
    name = node.name()
    if name.startswith(_CUTS):
        return not saved(node, Saved.DIM) and not _takes_all(node)
    return name.startswith(_SELECTS)


def _takes_all(node: Any) -> bool:
    start, end = saved(node, Saved.START), saved(node, Saved.END)
    sizes = saved(node, Saved.SIZES)
    return bool(start == 0 and end is not None and sizes and end >= sizes[0])


def _among(divisors: Sequence[float], counts: Sequence[int]) -> bool:
    return any(abs(divisor - count) <= _CLOSE * count for divisor in divisors for count in counts)
