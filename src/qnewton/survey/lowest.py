"""The lowest eigenpair, to see negative curvature and a direction along it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.survey.lanczos import Lanczos

PRODUCTS = 40
"""Enough for the sign of a lowest eigenvalue that is not tiny beside the norm."""

# A Ritz value below this many units of rounding is negative curvature and not noise.
_ROUNDINGS = 4.0


@dataclass(frozen=True)
class LowestPair:
    """The lowest Ritz pair of a Lanczos run.

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

    Args:
        operator: The curvature, shape [N, N].
        seed: Seeds the random start.
        max_products: Most products to spend.

    Raises:
        ValueError: If a product is not finite.

    Cost: ``max_products`` products and as many vectors of N float64.

    Reference: Golub and Van Loan, Matrix Computations, 4th ed., 10.1.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> pair = lowest_pair(DenseOperator(torch.diag(torch.tensor([3.0, -1.0, 2.0]))), seed=0)
        >>> round(pair.value, 5), pair.negative, [round(abs(v)) for v in pair.vector.tolist()]
        (-1.0, True, [0, 1, 0])
    """
    process = Lanczos(operator, seed)
    while process.products < min(max_products, operator.n) and not process.exhausted:
        process.advance()
    found = process.tridiagonal()
    k = found.products
    off = np.diag(found.betas[: k - 1], 1)
    values, vectors = np.linalg.eigh(np.diag(found.alphas) + off + off.T)
    ritz = process.combination(torch.from_numpy(vectors[:, 0]))
    return LowestPair(
        value=float(values[0]),
        vector=(ritz / ritz.norm()).to(operator.dtype),
        norm=float(np.abs(values).max()),
        negative=bool(values[0] < -_ROUNDINGS * found.rounding),
        products=k,
    )
