"""The lowest eigenpair, to see negative curvature and a direction along it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qnewton.operators import DenseOperator, RangedOperator, SymmetricOperator
from qnewton.operators.lanczos import Lanczos
from qnewton.operators.ritz import ritz_vectors
from qnewton.operators.scaling import into_range, shifted_number

PRODUCTS = 40
"""Enough for the sign of a lowest eigenvalue that is not tiny beside the norm."""

SMALL = 256
"""Rows of entries up to which all eigenvalues take no longer than a few Lanczos steps."""

# Eigenvalues closer than this share of the norm are taken as one.
_SAME = 1e-8
# A Ritz value below this many units of rounding is negative curvature and not noise.
_ROUNDINGS = 4.0


@dataclass(frozen=True)
class LowestPair:
    """The lowest eigenpair of small entries, else the lowest Ritz pair of a Lanczos run.

    Attributes:
        value: θ_min: at least the lowest eigenvalue, so that θ_min < 0 proves it negative.
        vector: Its unit Ritz vector, shape [N], in the operator's dtype.
        norm: The largest |θ|.
        negative: Whether θ_min is below rounding.
        products: Products spent.
    """

    value: float
    vector: Tensor
    norm: float
    negative: bool
    products: int


def lowest_pair(operator: SymmetricOperator, seed: int, max_products: int = PRODUCTS) -> LowestPair:
    """Return the lowest Ritz pair of ``operator`` after a few Lanczos products.

    Entries of up to ``SMALL`` rows are decomposed.

    Args:
        operator: The curvature, shape [N, N].
        seed: Seeds the random start.
        max_products: Most products to spend.

    Raises:
        ValueError: If a product is not finite.

    Cost: ``max_products`` products and as many vectors of N float64; 10·N³ for small entries.

    Reference: Golub and Van Loan, Matrix Computations, 4th ed., 10.1.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> pair = lowest_pair(DenseOperator(torch.diag(torch.tensor([3.0, -1.0, 2.0]))), seed=0)
        >>> round(pair.value, 5), pair.negative, [round(abs(v)) for v in pair.vector.tolist()]
        (-1.0, True, [0, 1, 0])
    """
    if isinstance(operator, DenseOperator) and operator.n <= SMALL:
        return _decomposed(operator, seed)
    ranged = RangedOperator(operator)
    process = Lanczos(ranged, seed)
    process.advance_to(min(max_products, operator.n))
    found = process.tridiagonal()
    values, vectors = ritz_vectors(found)
    ritz = process.combination(torch.from_numpy(vectors[:, 0]))
    return LowestPair(
        value=shifted_number(float(values[0]), ranged.exponent),
        vector=(ritz / ritz.norm()).to(operator.dtype),
        norm=shifted_number(float(np.abs(values).max()), ranged.exponent),
        negative=bool(values[0] < -_ROUNDINGS * found.rounding),
        products=found.products,
    )


def _decomposed(operator: DenseOperator, seed: int) -> LowestPair:
    entries = operator.dense()
    if not torch.isfinite(entries).all():
        raise ValueError("the matrix holds an entry that is not finite")
    entries, exponent = into_range(entries.double())
    values, vectors = torch.linalg.eigh(entries)
    norm = float(values.abs().max())
    rounding = operator.n * torch.finfo(operator.dtype).eps * norm
    # Of an eigenspace a random vector, as Lanczos finds it: a way out along all of its axes.
    space = vectors[:, values <= values[0] + _SAME * norm]
    drawn = torch.randn(space.shape[1], generator=torch.Generator().manual_seed(seed)).to(space)
    lowest = space @ drawn
    return LowestPair(
        value=shifted_number(float(values[0]), exponent),
        vector=(lowest / lowest.norm()).to(operator.dtype),
        norm=shifted_number(norm, exponent),
        negative=bool(values[0] < -rounding),
        products=0,
    )
