"""Preconditioners for conjugate gradients: the diagonal, and the leading eigenpairs, sketched."""

from typing import Protocol

import torch
from torch import Tensor

from qnewton.operators import RangedOperator, SymmetricOperator
from qnewton.operators.scaling import into_range, shifted_number
from qnewton.records.messages import check


class Preconditioner(Protocol):
    """A positive definite approximation of A⁻¹, up to a positive factor.

    Attributes:
        products: Products with A that building it took.
    """

    products: int

    def __call__(self, vector: Tensor) -> Tensor:
        """Return M⁻¹·v for v of shape [N]."""
        ...


class DiagonalPreconditioner:
    """M = diag(A), for A with a positive diagonal; a power of two of it at the ends of the range.

    Args:
        operator: A; its diagonal is read.

    Raises:
        ValueError: If a diagonal entry is not positive.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> diagonal = DiagonalPreconditioner(DenseOperator(torch.diag(torch.tensor([2.0, 4.0]))))
        >>> diagonal(torch.ones(2))
        tensor([0.5000, 0.2500])
    """

    products = 0

    def __init__(self, operator: SymmetricOperator) -> None:
        self._diagonal = into_range(operator.diagonal())[0].clone()
        lowest = float(self._diagonal.min())
        if not lowest > 0.0:
            needed = "a diagonal preconditioner needs all of them positive"
            found = f"the smallest diagonal entry is {lowest:.3g}"
            raise ValueError(f"{found}; {needed}: add damping, or use none")

    def __call__(self, vector: Tensor) -> Tensor:
        """Return v divided by the diagonal."""
        return vector / self._diagonal


class NystromPreconditioner:
    """The inverse of a randomised Nyström approximation of A = H + λI, H positive semidefinite.

    With Ĥ = U·Λ·Uᵀ of rank k from a sketch H·Ω: M⁻¹ = (λ_k + λ)·U(Λ + λI)⁻¹Uᵀ + I - UUᵀ. It
    removes the k largest eigenvalues from the condition number: about (λ_{k+1} + λ)/λ is left.

    Args:
        operator: A = H + λI.
        shift: λ > 0.
        rank: k, from 1 to N.
        seed: Seeds the sketch.

    Raises:
        ValueError: If λ or the rank is out of range, or H is not positive semidefinite as far as
            the sketch can tell.

    Cost: one product with k columns, 4Nk² operations and Nk entries; 4Nk operations each time.

    Reference: Frangella, Tropp and Udell, Randomized Nyström preconditioning, SIAM J. Matrix Anal.
    Appl. 44 (2023), algorithm 2.1 and Eq. 1.3.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> matrix = torch.diag(torch.tensor([100.0, 1.0, 1.0]))
        >>> inverse = NystromPreconditioner(DenseOperator(matrix), shift=1.0, rank=1)
        >>> bool(inverse(torch.tensor([1.0, 0.0, 0.0]))[0] < 1.01)
        True
    """

    def __init__(self, operator: SymmetricOperator, shift: float, rank: int, seed: int = 0) -> None:
        n = operator.n
        if not shift > 0.0:
            raise ValueError(f"shift is {shift}; the Nyström preconditioner needs damping above 0")
        check("rank", rank, f"must lie between 1 and N = {n}", 1 <= rank <= n)
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn(n, rank, generator=generator, dtype=torch.float64)
        sketch = torch.linalg.qr(draw.to(operator.device))[0]
        # M⁻¹ has no unit: the powers of two that keep the products in range cancel.
        ranged = RangedOperator(operator)
        image = (ranged @ sketch.to(operator.dtype)).double()
        shift = shifted_number(shift, -ranged.exponent)
        image = image - shift * sketch
        # A small shift keeps the core definite where H has rank below k; it is taken back below.
        guard = torch.finfo(operator.dtype).eps * float(torch.linalg.matrix_norm(image))
        image = image + guard * sketch
        core = sketch.mT @ image
        factor, info = torch.linalg.cholesky_ex((core + core.mT) / 2)
        if int(info):
            way_out = "use curvature='ggn' or 'fisher', or no preconditioner"
            raise ValueError(f"the sketched curvature is not positive semidefinite; {way_out}")
        half = torch.linalg.solve_triangular(factor, image.mT, upper=False).mT
        basis, singular, _ = torch.linalg.svd(half, full_matrices=False)
        values = (singular.square() - guard).clamp_min(0.0)
        self.products = rank * (1 + ranged.probes)
        self._basis = basis.to(operator.dtype)
        scale = (values[-1] + shift) / (values + shift) - 1.0
        self._scale = scale.to(operator.dtype)

    def __call__(self, vector: Tensor) -> Tensor:
        """Return M⁻¹·v: 4Nk operations."""
        return vector + self._basis @ (self._scale * (self._basis.mT @ vector))
