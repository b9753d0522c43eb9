"""The loss as a function of the model's output: its gradient, its Hessian, sample by sample."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, grad_with_graph, leaf_uses
from qnewton.curvature.blocks import Block
from qnewton.curvature.routes import (
    LIMIT,
    ROUNDINGS,
    Refused,
    RouteMemory,
    Scale,
    difference,
    random_like,
)

# Entries of the per-sample Hessians ∂²L/∂f² that may be held: 256 MB in float32.
_MAX_SECOND = 1 << 26
# Comparisons, as a memory of them names them.
_SAMPLES, _POSITIONS, _EIGENVALUES = "output.samples", "output.positions", "output.eigenvalues"
# Entries of the cotangents of all columns: 1 GB in float32.
MAX_COTANGENTS = 1 << 28


class OutputLoss:
    """L as a function of the model's output f alone.

    Args:
        root: Live scalar loss L; its graph is kept.
        output: f, on the graph of ``root``.
        dtype: dtype of the parameters, in which products are returned.

    Attributes:
        output: f.
        gradient: ∂L/∂f, in the shape of f, without a graph.
        precision: float32 or float64, what products are accurate to: a loss may cast the outputs
            of a float64 network to float32.

    Raises:
        ValueError: If the loss does not use f or cannot be differentiated twice in it.

    Example:
        >>> f = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> loss = OutputLoss((f**3).sum(), f, torch.float32)
        >>> loss.products(torch.ones(1, 1, 2))
        tensor([[[ 6., 12.]]])
    """

    def __init__(self, root: Tensor, output: Tensor, dtype: torch.dtype) -> None:
        self.output = output
        [slope] = grad_with_graph(root, [output])
        if slope is None:
            raise ValueError(
                "the loss does not use the output the model returned; compute it from that "
                "tensor, or use kind='hessian'"
            )
        self._slope = slope
        self.gradient = slope.detach().to(dtype)
        double = {root.dtype, output.dtype, dtype} == {torch.float64}
        self.precision = torch.float64 if double else torch.float32

    def products(self, vectors: Tensor) -> Tensor:
        """Return (∂²L/∂f²)·v for K vectors, shape [K, *f.shape]."""
        found = None
        if self._slope.requires_grad:
            cotangents = vectors.to(self._slope.dtype)
            [found] = batched_grad([self._slope], [self.output], [cotangents])
        return torch.zeros_like(vectors) if found is None else found.to(self.gradient.dtype)

    def couples_samples(self, memory: RouteMemory | None = None) -> bool:
        """Return whether the loss makes one sample's derivative depend on another's output.

        With v random and w one random factor per sample, H(w∘v) = w∘(Hv) only if H is block
        diagonal: an entry between samples i and j leaves (w_i - w_j) times itself.

        Args:
            memory: What earlier steps of the same graph found.
        """
        output = self.output
        if output.ndim == 0 or output.shape[0] < 2:
            return False
        vector = random_like(self.gradient, output.shape)
        factors = random_like(self.gradient, output.shape[:1], draw=1)
        factors = factors.view(-1, *[1] * (output.ndim - 1))
        plain, scaled = self.products(torch.stack([vector, factors * vector]))
        if not torch.isfinite(plain).all():
            return False  # a second derivative that is not finite tells nothing
        scale = Scale(memory or RouteMemory(), _SAMPLES)
        if difference(scaled, factors * plain) > LIMIT[self.precision]:
            return not scale.hides(scaled, factors * plain, self.precision)
        scale.keep(factors * plain)
        return False


def past_output(root: Tensor, output: Tensor, blocks: Sequence[Block]) -> str:
    """Return what a record says of the first parameter that the loss reaches around f, if any.

    Cost: one walk over the graph's nodes between loss and output.
    """
    uses = leaf_uses([root], stop=[output.grad_fn])
    for block in blocks:
        for name, parameter in zip(block.names, block.parameters, strict=True):
            if uses[id(parameter)]:
                return f"; left out: how the loss itself depends on {name}"
    return ""


@dataclass(frozen=True)
class OutputFactor:
    """∂²L/∂f² = S diag(σ) Sᵀ, position by position.

    Attributes:
        columns: S, shape [n, P, C, r]: n samples of P positions with C outputs each.
        signs: σ = ±1, shape [n, P, r]; ``None`` when all are 1, the loss being convex in f.
        class_dim: The dimension of f that holds the C outputs; ``None`` if C = 1.
    """

    columns: Tensor
    signs: Tensor | None
    class_dim: int | None


def output_factor(loss: OutputLoss, memory: RouteMemory | None = None) -> OutputFactor | Refused:
    """Return the factor of ∂²L/∂f² if it is block diagonal, or why there is none.

    Outputs of the same sample and position may interact in the loss; the class dimension is the
    last or, as in PyTorch's losses of images, the second. Every candidate is compared with one
    random product of the true Hessian.

    Args:
        loss: The loss.
        memory: What earlier steps of the same graph found, beside which rounding is told from
            structure.

    Cost: C + 1 double backward passes through the loss and n·P eigendecompositions of C × C.
    """
    shape = loss.output.shape
    candidates = (None,) if len(shape) < 2 else (1,) if len(shape) == 2 else (len(shape) - 1, 1)
    found = Refused("")
    for class_dim in candidates:
        found = _positions_hessian(loss, class_dim, memory or RouteMemory())
        if not isinstance(found, Refused):
            return _factorize(found, class_dim, loss.precision, memory or RouteMemory())
    return found


def positions_last(tensors: Tensor, class_dim: int | None) -> Tensor:
    """Return K tensors of f's shape, [K, *f.shape], as [K, n, P, C]."""
    if class_dim is None:
        return tensors.reshape(tensors.shape[0], -1, 1, 1)
    moved = tensors.movedim(class_dim + 1, -1)
    return moved.reshape(*moved.shape[:2], math.prod(moved.shape[2:-1]), moved.shape[-1])


def output_shaped(positions: Tensor, shape: torch.Size, class_dim: int | None) -> Tensor:
    """Return what :func:`positions_last` made back in f's shape."""
    if class_dim is None:
        return positions.reshape(positions.shape[0], *shape)
    others = [size for dim, size in enumerate(shape) if dim != class_dim]
    moved = positions.reshape(positions.shape[0], *others, shape[class_dim])
    return moved.movedim(-1, class_dim + 1)


def _positions_hessian(
    loss: OutputLoss, class_dim: int | None, memory: RouteMemory
) -> Tensor | Refused:
    """Return ∂²L/∂f² of every position, [n, P, C, C], or what forbids it."""
    shape = loss.output.shape
    classes = 1 if class_dim is None else shape[class_dim]
    entries = math.prod(shape) * classes
    if entries > _MAX_SECOND:
        limit = f"limit {_MAX_SECOND:.2g}"
        return Refused(f"∂²L/∂f² of all samples needs {entries:.2g} entries, {limit}")
    example = loss.gradient
    units = torch.eye(classes, dtype=example.dtype, device=example.device)
    positions = positions_last(example[None], class_dim).shape[1:3]
    cotangents = units[:, None, None, :].expand(-1, *positions, -1)
    found = loss.products(output_shaped(cotangents, shape, class_dim))
    hessian = positions_last(found, class_dim).permute(1, 2, 0, 3)
    hessian = (hessian + hessian.mT) / 2
    if not torch.isfinite(hessian).all():
        return Refused("∂²L/∂f² is not finite")
    vector = random_like(example, shape)[None]
    expected = loss.products(vector)
    applied = (hessian @ positions_last(vector, class_dim)[0][..., None])[None, ..., 0]
    found, scale = output_shaped(applied, shape, class_dim), Scale(memory, _POSITIONS)
    if difference(found, expected) <= LIMIT[loss.precision]:
        scale.keep(expected)
    elif not scale.hides(found, expected, loss.precision):
        return Refused("samples or positions interact in the loss: ∂²L/∂f² is not block diagonal")
    return hessian


def _factorize(
    hessian: Tensor, class_dim: int | None, precision: torch.dtype, memory: RouteMemory
) -> OutputFactor | Refused:
    try:
        values, vectors = _eigenpairs(hessian)
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        return Refused("the eigenvalues of ∂²L/∂f² do not converge")
    sizes = values.abs()
    # Softmax cross-entropy has rank C-1: directions that are zero to rounding in every sample
    # would be columns of zeros.
    most, eps = float(sizes.max()), torch.finfo(precision).eps
    rounding = hessian.shape[-1] * eps * most
    kept = (sizes > rounding).flatten(0, -2).any(0)
    kept[-1] = True  # a loss linear in f leaves one column of zeros
    # What all eigenvalues shrank to since earlier steps may be rounding of what they were then.
    largest = memory.largest(_EIGENVALUES, most)
    if largest > most and bool((values >= -ROUNDINGS * eps * largest).all()):
        values = values.clamp(min=0.0)
        sizes = values
    columns = (vectors * sizes.sqrt()[..., None, :])[..., kept]
    values = values[..., kept]
    concave = bool((values < -rounding).any())
    signs = torch.where(values < 0, -1.0, 1.0).to(values.dtype) if concave else None
    return OutputFactor(columns, signs, class_dim)


def _eigenpairs(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and vectors of a batch, whose small entries float32 may be too coarse for.

    Of a saturated softmax some matrices have entries near the least that float32 holds, and one
    that does not converge there leaves none of the batch.
    """
    try:
        return torch.linalg.eigh(matrices)
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        values, vectors = torch.linalg.eigh(matrices.double())
        return values.to(matrices.dtype), vectors.to(matrices.dtype)


def cotangents_by_sample(outer: OutputFactor, shape: torch.Size, sample_dims: int) -> Tensor | None:
    """Return the cotangents of the output that S asks for, [c, *f.shape]; ``None``: too many.

    Where every position is a sample, one for each column of S; else one for each column and
    position, zero at the others.
    """
    samples, positions, classes, rank = outer.columns.shape
    if positions == 1 or sample_dims > 1:
        return output_shaped(outer.columns.permute(3, 0, 1, 2), shape, outer.class_dim)
    if positions * rank * shape.numel() > MAX_COTANGENTS:
        return None
    apart = outer.columns.new_zeros((positions, rank, samples, positions, classes))
    index = torch.arange(positions, device=apart.device)
    apart[index, :, :, index] = outer.columns.permute(1, 3, 0, 2)
    return output_shaped(apart.flatten(0, 1), shape, outer.class_dim)
