"""The largest eigenpairs of a matrix, by products with it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qnewton.operators import MatrixFreeOperator, SymmetricOperator
from qnewton.operators.lanczos import Lanczos, Tridiagonal
from qnewton.operators.ritz import ritz_vectors
from qnewton.operators.scaling import shifted_number

CONVERGED = 1e-3
"""Relative error of an eigenvalue that is taken as found."""

_AGAIN = 1e-2  # by how much what a new start finds has to exceed what is known, to be missing there
_LOOK_EVERY = 4
MOST_KEPT = 9
"""Eigenvalues that a survey keeps: one more than are ever taken out of a matrix."""

_USUAL, _EACH = 60, 20  # products that a start may spend, and more of them for every pair


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvectors of the largest |λ|, up to :data:`CONVERGED`.

    Attributes:
        values: λ, |λ| falling, of 2^-exponent·A.
        vectors: Orthonormal columns, float64, [N, k].
        following: The next |λ|, as the last start saw it: an estimate from below.
        products: Products with A that were spent.
    """

    values: tuple[float, ...]
    vectors: Tensor
    following: float
    products: int


def converged_largest(tridiagonal: Tridiagonal, tolerance: float, most: int) -> tuple[float, ...]:
    """Return the largest |Ritz values|, falling, as far as they have converged.

    Args:
        tridiagonal: T_k.
        tolerance: Relative error that counts as converged.
        most: How many at most.

    Cost: O(k³).
    """
    values, _, errors = _by_size(tridiagonal)
    sizes = np.abs(values[:most])
    settled = (errors[:most] <= tolerance * sizes) & (sizes > 0.0)
    count = len(settled) if settled.all() else int(np.argmin(settled))
    return tuple(float(size) for size in sizes[:count])


def largest_of(values: Tensor, exponent: int = 0) -> tuple[float, ...]:
    """Return the largest of all |λ|·2^exponent, falling, at most :data:`MOST_KEPT` of them."""
    sizes = values.flatten().abs()
    return representable(sizes.topk(min(MOST_KEPT, len(sizes))).values.tolist(), exponent)


def representable(sizes: Iterable[float], exponent: int) -> tuple[float, ...]:
    """Return sizes·2^exponent above 0; none of them where float64 cannot hold the largest."""
    found = (shifted_number(size, exponent) for size in sizes)
    kept = tuple(size for size in found if size > 0.0)
    return kept if math.isfinite(max(kept, default=0.0)) else ()


def largest_eigenpairs(operator: SymmetricOperator, count: int, seed: int = 0) -> Eigenpairs:
    """Return the eigenpairs of the ``count`` largest |λ|, equal ones with all their copies.

    A Krylov space holds one vector of each eigenvalue. So a new start in the complement of what was
    found looks for more, until it finds nothing larger; what it finds is the next |λ|, too.

    Args:
        operator: A, of any dtype; products run in it, and the basis is kept in float64. Its range
            should be that of ordinary numbers (:class:`~qnewton.operators.RangedOperator`).
        count: Eigenpairs k, between 0 and N - 1.
        seed: Seed of the start vectors.

    Raises:
        ValueError: If ``count`` is out of range, or a product is not finite.

    Cost: 20 to 60 products for each start, and one start more than eigenvalues have copies.

    Reference: Lanczos with locking: Saad, Numerical Methods for Large Eigenvalue Problems, 6.4.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> matrix = torch.diag(torch.tensor([-9.0, 4.0, 4.0, 1.0, 0.5]).double())
        >>> found = largest_eigenpairs(DenseOperator(matrix), 3)
        >>> [round(value, 6) for value in found.values], round(found.following, 6)
        ([-9.0, 4.0, 4.0], 1.0)
    """
    n = operator.n
    if not 0 <= count < n:
        raise ValueError(f"count is {count}; it must lie between 0 and {n - 1}, one below N = {n}")
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.empty((n, 0), dtype=torch.float64, device=operator.device)
    values, products = np.empty(0), 0
    while True:
        start = torch.randn(n, generator=generator, dtype=torch.float64).to(operator.device)
        process = Lanczos(_beside(operator, vectors), start=_without(vectors, start))
        found, weights = _run(process, count + 1)
        products += process.products
        least = float(np.abs(values).min(initial=np.inf)) if len(values) == count else 0.0
        if float(np.abs(found[:1]).max(initial=0.0)) <= (1.0 + _AGAIN) * least:
            break
        new = process.combination(torch.as_tensor(weights[:, :count], device=start.device))
        found = np.concatenate([values, found[:count]])
        order = np.argsort(-np.abs(found), kind="stable")[:count]
        vectors, _ = torch.linalg.qr(torch.cat([vectors, new], dim=1)[:, order.copy()])
        values = found[order]
    following = float(np.abs(found[:1]).max(initial=0.0))
    return Eigenpairs(tuple(float(value) for value in values), vectors, following, products)


def _run(process: Lanczos, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Advance until so many of the largest have converged; return the values and their weights."""
    most = _USUAL + _EACH * wanted
    while process.products < most and not process.exhausted:
        process.advance()
        k = process.products
        if k < wanted or k % _LOOK_EVERY:
            continue
        values, _, errors = _by_size(process.tridiagonal())
        if (errors[:wanted] <= CONVERGED * np.abs(values[:wanted])).all():
            break
    values, weights, _ = _by_size(process.tridiagonal())
    return values, weights


def _by_size(tridiagonal: Tridiagonal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the Ritz values by |θ| falling, their weights, and their errors as estimated."""
    values, weights = ritz_vectors(tridiagonal)
    residuals = tridiagonal.betas[-1] * np.abs(weights[-1])
    spacings = np.concatenate([[np.inf], np.diff(values), [np.inf]])
    gaps = np.minimum(spacings[:-1], spacings[1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(gaps > 0.0, np.minimum(residuals, residuals**2 / gaps), residuals)
    order = np.argsort(-np.abs(values), kind="stable")
    return values[order], weights[:, order], errors[order]


def _beside(operator: SymmetricOperator, vectors: Tensor) -> SymmetricOperator:
    def multiply(vector: Tensor) -> Tensor:
        return _without(vectors, operator.wide_product(_without(vectors, vector)))

    return MatrixFreeOperator(operator.n, multiply, torch.float64, operator.device)


def _without(vectors: Tensor, vector: Tensor) -> Tensor:
    return vector - vectors @ (vectors.mT @ vector)
