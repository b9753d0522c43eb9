"""The kinds of operations that a parameter enters linearly, and what each makes of its signal.

A layer maps x to W·x: a matrix product, or a convolution. Derivatives that a closure takes of its
inputs use W again, transposed. The node of each such operation keeps what W was multiplied with,
and the rows of the Jacobian of W follow from that and from the signal that comes back to the node.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node
from torch.nn.functional import unfold

from qnewton.operators.private_torch import Saved, kept, result_shape, saved

_GROUP_NORM = "NativeGroupNormBackward0"
_MATRIX = 2
_NORMAL = Saved.INPUT, Saved.MEAN, Saved.INVERSE_DEVIATION


Rows = slice | Tensor
"""Some rows of a use: a range, or their numbers."""


class Gone(Exception):
    """What an operation was given was freed, or changed in place."""


class Sides(NamedTuple):
    """The rows of a parameter as outer products, slope·Σ_t left ⊗ right for each sample.

    Attributes:
        left: Shape [B, K or 1, T, out].
        right: Shape [B, K or 1, T, in]; ``None`` for ones, with in = 1.
        slope: Factors of the entries, shape [out·in]; ``None`` for ones.
    """

    left: Tensor
    right: Tensor | None = None
    slope: Tensor | None = None

    def rows(self) -> Tensor:
        """Return the sum, [B, K, out·in]."""
        if self.right is None:
            total = self.left.sum(2)
        else:
            total = (self.left.mT @ self.right).flatten(2)
        return total if self.slope is None else total * self.slope


@dataclass(frozen=True)
class Use:
    """One operation that a parameter enters linearly.

    Attributes:
        node: The operation.
        shape: That of its result by sample, [B, …].
        sides: Makes the parameter's rows of some samples from what comes back to the result,
            [K, B, …]; raises :class:`Gone`.
        inner: How many trailing dimensions of the result belong to one row of the operation.
        by_columns: Whether the samples are the columns of the result.
    """

    node: Node
    shape: torch.Size
    sides: Callable[[Tensor, Rows], Sides]
    inner: int
    by_columns: bool = False

    @property
    def place(self) -> GradientEdge:
        """Where the signal comes back to."""
        return GradientEdge(self.node, 0)

    def by_row(self) -> "Use":
        """Return the use with every row of the operation in place of a sample."""
        outer = len(self.shape) - self.inner
        shape = torch.Size((math.prod(self.shape[:outer]), *self.shape[outer:]))
        return replace(self, shape=shape)

    def by_sample(self, signal: Tensor) -> Tensor:
        """Return K signals by sample, [K, B, …]."""
        ordered = signal.mT if self.by_columns else signal
        return ordered.reshape(len(signal), *self.shape)


class Seen(NamedTuple):
    """A parameter as an operation sees it.

    Attributes:
        shape: Its shape there.
        flipped: Whether it is a matrix that was transposed on the way.
    """

    shape: torch.Size
    flipped: bool


def _shape(node: Node) -> torch.Size:
    shape = result_shape(node)
    assert shape is not None
    return shape


def _kept(node: Node, what: Saved) -> Tensor:
    found = kept(node, what)
    if found is None:
        raise Gone
    return found.detach()


def _product(node: Node, seen: Seen, first: bool, other: Saved) -> Use:
    """Return the use of a factor of a matrix product, which keeps the other one."""
    shape = _shape(node)

    def sides(signal: Tensor, at: Rows) -> Sides:
        x, (count, samples) = _kept(node, other), signal.shape[:2]
        x = x.mT if first else x
        given = signal.reshape(count, samples, -1, signal.shape[-1])[:, at].transpose(0, 1)
        taken = x.reshape(samples, 1, -1, x.shape[-1])[at]
        return Sides(taken, given) if first is seen.flipped else Sides(given, taken)

    return Use(node, shape[::-1] if first else shape, sides, 1, by_columns=first)


def _of_mm(node: Node, at: int, seen: Seen) -> Use:
    return _product(node, seen, at == 0, Saved.MAT2 if at == 0 else Saved.SELF)


def _of_addmm(node: Node, at: int, seen: Seen) -> Use | None:
    if at == 0:
        return _elementwise(node, seen, lambda: saved(node, Saved.BETA))
    if saved(node, Saved.ALPHA) != 1:
        return None
    return _product(node, seen, at == 1, Saved.MAT2 if at == 1 else Saved.MAT1)


def _of_mv(node: Node, at: int, seen: Seen) -> Use | None:
    if at == 0:
        return None

    def sides(signal: Tensor, at: Rows) -> Sides:
        left, right = signal[:, at].mT, _kept(node, Saved.SELF)[at]
        return Sides(left[..., None, None], right[:, None, None])

    return Use(node, _shape(node), sides, 0)


def _elementwise(
    node: Node, seen: Seen, factor: Callable[[], Tensor | float] | None, ahead: int = 0
) -> Use | None:
    """Return the use of a parameter that is broadcast, multiplied by a factor and added.

    Args:
        node: The operation.
        seen: The parameter.
        factor: Returns the factor, which broadcasts with the result; ``None`` for one.
        ahead: How many more dimensions of the result stand behind those of the parameter.
    """
    shape, spread = _shape(node), (*seen.shape, *(1,) * ahead)
    if seen.flipped or (len(spread) == len(shape) and spread[0] != 1):
        return None

    def sides(signal: Tensor, at: Rows) -> Sides:
        given = signal[:, at]
        if factor is not None:
            scale = factor()
            if isinstance(scale, Tensor):
                scale = scale.expand(shape).reshape(signal.shape[1:])[at]
            given = given * scale
        product = given.transpose(0, 1)
        lead = product.shape[:2]
        within = (1,) * (signal.ndim - 1 - len(spread)) + spread
        return Sides(product.sum_to_size(*lead, *within[1:]).reshape(*lead, 1, -1))

    return Use(node, shape, sides, min(len(spread), len(shape) - 1))


def _of_mul(node: Node, at: int, seen: Seen) -> Use | None:
    return _elementwise(node, seen, lambda: _kept(node, Saved.SELF if at else Saved.OTHER))


def _of_add(node: Node, at: int, seen: Seen) -> Use | None:
    return _elementwise(node, seen, (lambda: saved(node, Saved.ALPHA)) if at else None)


def _of_sub(node: Node, at: int, seen: Seen) -> Use | None:
    return _elementwise(node, seen, (lambda: -saved(node, Saved.ALPHA)) if at else None)


def _of_norm(node: Node, at: int, seen: Seen) -> Use | None:
    if at == 0:
        return None
    # GroupNorm has a scale for each channel, LayerNorm for each of the last entries.
    by_channel = node.name() == _GROUP_NORM

    def normalised() -> Tensor:
        x, mean, inverse = (_kept(node, of) for of in _NORMAL)
        given = x.reshape(*mean.shape, -1) if by_channel else x
        parts = (mean[..., None], inverse[..., None]) if by_channel else (mean, inverse)
        return ((given - parts[0]) * parts[1]).view_as(x)

    ahead = len(_shape(node)) - 2 if by_channel else 0
    return _elementwise(node, seen, normalised if at == 1 else None, ahead)


def _of_batch_norm(node: Node, at: int, seen: Seen) -> Use | None:
    if at == 0 or saved(node, Saved.TRAINING):  # samples interact
        return None

    def normalised() -> Tensor:
        x = _kept(node, Saved.INPUT).transpose(1, -1)
        deviation = (_kept(node, Saved.RUNNING_VARIANCE) + saved(node, Saved.EPS)).sqrt()
        return ((x - _kept(node, Saved.RUNNING_MEAN)) / deviation).transpose(1, -1)

    return _elementwise(node, seen, normalised if at == 1 else None, len(_shape(node)) - 2)


def _of_embedding(node: Node, at: int, seen: Seen) -> Use | None:
    if seen.flipped or saved(node, Saved.BY_FREQUENCY) or len(_shape(node)) < _MATRIX:
        return None

    def sides(signal: Tensor, at: Rows) -> Sides:
        count, samples, width = *signal.shape[:2], signal.shape[-1]
        indices = _kept(node, Saved.INDICES).reshape(samples, 1, -1, 1)[at]
        given = signal.reshape(count, samples, -1, width)[:, at].transpose(0, 1)
        given = given * (indices != saved(node, Saved.PADDING_INDEX))
        rows = given.new_zeros((len(given), count, *seen.shape))
        rows.scatter_add_(2, indices.expand_as(given), given)
        return Sides(rows.flatten(2)[:, :, None])

    return Use(node, _shape(node), sides, 1)


def _of_convolution(node: Node, at: int, seen: Seen) -> Use | None:
    if at == 2:
        return _elementwise(node, seen, None, len(_shape(node)) - 2)
    if at == 0 or not _is_plain(node, seen):
        return None

    def sides(signal: Tensor, at: Rows) -> Sides:
        patches = _patches(node, _kept(node, Saved.INPUT)[at][None], seen)
        return Sides(signal[:, at].flatten(3).mT.transpose(0, 1), patches)

    return Use(node, _shape(node), sides, len(_shape(node)) - 1)


def _of_convolution_backward(node: Node, at: int, seen: Seen) -> Use | None:
    if at != 2 or not _is_plain(node, seen):
        return None

    def sides(signal: Tensor, at: Rows) -> Sides:
        # gᵀ(W·s) with the signal s in place of x: one x for each of K, and the same g.
        given = _kept(node, Saved.GRAD_OUTPUT)[at].flatten(2).mT[:, None]
        return Sides(given, _patches(node, signal[:, at], seen))

    return Use(node, _shape(node), sides, len(_shape(node)) - 1)


def _is_plain(node: Node, seen: Seen) -> bool:
    """Return whether a convolution has one or two dimensions, and neither groups nor upsampling."""
    plain = saved(node, Saved.GROUPS) == 1 and not saved(node, Saved.TRANSPOSED)
    return plain and len(seen.shape) in (3, 4)


def _patches(node: Node, x: Tensor, seen: Seen) -> Tensor:
    """Return what the kernel sees at each position of K inputs, [B, K, T, in]."""
    kernel = seen.shape[2:]
    flat = (1,) * (2 - len(kernel))
    images = x.flatten(0, 1)
    found = unfold(
        images.view(*images.shape[:2], *flat, *images.shape[2:]),
        (*flat, *kernel),
        (*flat, *saved(node, Saved.DILATION)),
        (*(0,) * len(flat), *saved(node, Saved.PADDING)),
        (*flat, *saved(node, Saved.STRIDE)),
    )
    return found.mT.unflatten(0, x.shape[:2]).transpose(0, 1)


KINDS: dict[str, Callable[[Node, int, Seen], Use | None]] = {
    "AddmmBackward0": _of_addmm,
    "MmBackward0": _of_mm,
    "MvBackward0": _of_mv,
    "ConvolutionBackward0": _of_convolution,
    "ConvolutionBackwardBackward0": _of_convolution_backward,
    "EmbeddingBackward0": _of_embedding,
    "NativeLayerNormBackward0": _of_norm,
    _GROUP_NORM: _of_norm,
    "NativeBatchNormBackward0": _of_batch_norm,
    "MulBackward0": _of_mul,
    "AddBackward0": _of_add,
    "SubBackward0": _of_sub,
}
"""What makes a use of a parameter as an operand of an operation, by the operation's name."""
