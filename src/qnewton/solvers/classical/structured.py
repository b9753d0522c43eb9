"""Solvers of systems held by a low-rank factor, or by their nonzero entries."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import SuperLU, splu
from torch import Tensor

from qnewton.operators import (
    EigenbasisOperator,
    LowRankOperator,
    SparseOperator,
    SymmetricOperator,
)
from qnewton.operators.scaling import into_range
from qnewton.records import Estimate, Outcome
from qnewton.solvers.classical.cg import conjugate_gradients
from qnewton.solvers.classical.factorization import (
    Factorization,
    condition_of_factor,
    solve_by_factor,
)
from qnewton.solvers.solution import Solution

# The first split leaves λ/(λ + σ²) of b's part along a singular vector of U, the second its square.
_SPLITS = 2


class WoodburyFactorization(Factorization):
    """(U Uᵀ + λI)⁻¹b = (b - U·M⁻¹Uᵀb)/λ, M = λI_k + UᵀU, from a Cholesky factor of M in float64.

    That difference cancels where b lies in the span of U, as a gradient does beside its own Fisher
    matrix: in float32 by all of its digits at ‖U‖²/λ = 10⁷. So b is split first, b = U·c + r with
    Uᵀr small, and each part takes its own form, x = U·M⁻¹c + (r - U·M⁻¹Uᵀr)/λ. What is left is
    what storing x costs: a residual of eps·‖U‖²/λ for a b far outside the span. An operator
    without a factor has the outcome ``needs a low-rank factor``, one without damping ``needs
    damping above 0``.

    Cost: UᵀU (2k²N operations, fewer for a factor of products), k³/3 once; each solve eight
    products with U or Uᵀ, residual included, 16kN operations. No N² entries.

    Reference: Woodbury 1950; Golub and Van Loan, Matrix Computations, 4th ed., 2.1.4.

    Example:
        >>> from qnewton.operators import DenseFactor
        >>> low = LowRankOperator(DenseFactor(torch.tensor([[1.0], [2.0]])), shift=1.0)
        >>> WoodburyFactorization(low).solve(torch.tensor([1.0, 2.0])).direction
        tensor([0.1667, 0.3333])
    """

    solver: ClassVar[str] = "woodbury"

    def _read(self, operator: SymmetricOperator) -> Outcome:
        self._matrix = operator
        if not isinstance(operator, LowRankOperator):
            return Outcome.NO_FACTOR
        if operator.shift == 0.0:
            return Outcome.NO_DAMPING
        operator, self._exponent = operator.in_range()
        self._matrix = operator
        self._factor, self._shift = operator.factor, operator.shift
        return self._factorize(self._factor.gram())

    def _factorize(self, matrix: Tensor) -> Outcome:
        if not torch.isfinite(matrix).all():
            return Outcome.NOT_FINITE
        # Only the lower triangle is read, so rounding that differs above does not matter.
        small = matrix.double()
        small = small.clone() if small is matrix else small
        small.diagonal().add_(self._shift)
        self._small, info = torch.linalg.cholesky_ex(small)
        if int(info) != 0:
            return Outcome.SINGULAR  # definite by its form, so what is left of it is rounding
        self.condition = condition_of_factor(self._small)
        return Outcome.FACTORIZED

    def _apply(self, rhs: Tensor) -> Tensor:
        inside = torch.zeros(len(self._small), dtype=torch.float64, device=rhs.device)
        outside = rhs
        for _ in range(_SPLITS):
            step = self._shrunk(self._factor.project(outside).double())
            outside = outside - self._factor @ step.to(rhs.dtype)
            inside += step
        leftover = self._factor.project(outside).double() / self._shift
        return self._factor @ self._shrunk(inside - leftover).to(rhs.dtype) + outside / self._shift

    def _shrunk(self, y: Tensor) -> Tensor:
        """Return M⁻¹·y."""
        return solve_by_factor(self._small, y)


class KeptEigenvectors(Factorization):
    """A⁻¹b = Q diag(1/s) Qᵀb where A is held by its eigenvalues and eigenvectors.

    An operator without them has the outcome ``needs eigenvectors``.

    Cost: nothing once; each solve two products with A, residual included.

    Example:
        >>> operator = EigenbasisOperator(torch.tensor([[2.0, 4.0]]))
        >>> KeptEigenvectors(operator).solve(torch.ones(2)).direction
        tensor([0.5000, 0.2500])
    """

    solver: ClassVar[str] = "eigenbasis"

    def _read(self, operator: SymmetricOperator) -> Outcome:
        if not isinstance(operator, EigenbasisOperator):
            return Outcome.NO_EIGENBASIS
        values, self._exponent = into_range(operator.values)
        self._matrix = self._near = EigenbasisOperator(values, operator.left, operator.right)
        return self._factorize(values)

    def _factorize(self, matrix: Tensor) -> Outcome:
        if not torch.isfinite(matrix).all():
            return Outcome.NOT_FINITE
        low, high = (float(end) for end in matrix.abs().aminmax())
        if low == 0.0:
            return Outcome.SINGULAR
        kappa = high / low
        known = {"low": kappa, "high": kappa, "method": "exact", "products": 0}
        self.condition = Estimate(value=kappa, **known)
        self.definiteness = "positive" if float(matrix.min()) > 0.0 else "indefinite"
        return Outcome.FACTORIZED

    def _apply(self, rhs: Tensor) -> Tensor:
        return self._near.solved(rhs)


# A column is dense from max(16, 10√N) entries on (Davis et al., ACM TOMS 30 (2004) 353, 4.2).
_DENSE_AT_LEAST, _DENSE_ROOTS = 16, 10.0


class SparseLUFactorization(Factorization):
    """P_r·A·P_c = L·U of the nonzero entries, ordered by minimum degree of A + Aᵀ (SuperLU).

    Where some row is dense, by COLAMD: minimum degree takes quadratic time there. A sparse
    operator's entries are read as they are; any other's are formed and those that are exactly zero
    dropped.

    Cost: that of the fill-in, which the ordering decides: O(N) for a tridiagonal matrix, more
    than dense LU when the factors fill. Runs on the CPU, in one thread.

    Reference: Demmel et al., SuperLU, SIAM J. Matrix Anal. Appl. 20 (1999) 720, through SciPy.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> matrix = torch.diag(torch.tensor([2.0, -1.0]))
        >>> SparseLUFactorization(DenseOperator(matrix)).solve(torch.ones(2)).direction
        tensor([ 0.5000, -1.0000])
    """

    solver: ClassVar[str] = "sparse_lu"

    def _read(self, operator: SymmetricOperator) -> Outcome:
        if not isinstance(operator, SparseOperator):
            return super()._read(operator)
        values, self._exponent = into_range(operator.compressed.values())
        self._matrix = operator if self._exponent == 0 else operator.with_entries(values)
        return self._factorize_entries(self._matrix)

    def _factorize(self, matrix: Tensor) -> Outcome:
        return self._factorize_entries(SparseOperator(matrix))

    def _factorize_entries(self, operator: SparseOperator) -> Outcome:
        if not torch.isfinite(operator.compressed.values()).all():
            return Outcome.NOT_FINITE
        columns = compressed_columns(operator)
        try:
            self._factor: SuperLU = splu(columns, permc_spec=_ordering(columns))
        except RuntimeError:
            return Outcome.SINGULAR
        return Outcome.FACTORIZED

    @property
    def fill(self) -> int:
        """Entries of L and U together.

        Raises:
            ValueError: If A could not be factorised.
        """
        if self.outcome is not Outcome.FACTORIZED:
            raise ValueError(f"a matrix that is {self.outcome} has no factors")
        return int(self._factor.nnz)

    def _apply(self, rhs: Tensor) -> Tensor:
        x = self._factor.solve(rhs.cpu().numpy())
        return torch.from_numpy(x).to(rhs)


def _ordering(columns: csc_matrix) -> str:
    """Return SuperLU's name of the ordering: COLAMD where a column is dense by its own measure."""
    # An arrow of N = 8,192 takes it 1 ms, minimum degree 40; without dense columns it fills more.
    lengths = np.diff(columns.indptr)
    longest = int(lengths.max(initial=0))
    dense = max(_DENSE_AT_LEAST, _DENSE_ROOTS * len(lengths) ** 0.5)
    return "COLAMD" if longest > dense else "MMD_AT_PLUS_A"


def compressed_columns(operator: SparseOperator) -> csc_matrix:
    """Return the matrix by columns; a symmetric one has the same rows and columns."""
    rows = operator.compressed.cpu()
    pieces = (rows.values(), rows.col_indices(), rows.crow_indices())
    values, indices, starts = (piece.numpy() for piece in pieces)
    parts = (values, indices.astype(np.int32), starts.astype(np.int32))
    return csc_matrix(parts, shape=tuple(operator.shape))


def sparse_conjugate_gradients(
    operator: SymmetricOperator,
    rhs: Tensor,
    tolerance: float = 1e-6,
    max_products: int = 1000,
    start: Tensor | None = None,
) -> Solution:
    """Solve A·x = b for positive definite A by conjugate gradients on its nonzero entries.

    Args:
        operator: A, shape [N, N]; unless it is sparse already, its entries are formed and those
            that are exactly zero dropped.
        rhs: b, shape [N], in the operator's dtype.
        tolerance: Stop at ‖b - A·x‖ ≤ tolerance·‖b‖.
        max_products: Most products to spend, all rounds together.
        start: First x, shape [N]; zero by default.

    Returns:
        The solution, with the outcomes of
        :func:`~qnewton.solvers.classical.conjugate_gradients`.

    Cost: its products, 2 operations per kept entry each; one pass over N² entries to find those.

    Reference: as :func:`~qnewton.solvers.classical.conjugate_gradients`.

    Example:
        >>> from qnewton.operators import SparseOperator
        >>> operator = SparseOperator(torch.diag(torch.tensor([2.0, 4.0])))
        >>> sparse_conjugate_gradients(operator, torch.ones(2)).direction
        tensor([0.5000, 0.2500])
    """
    sparse = operator if isinstance(operator, SparseOperator) else SparseOperator(operator.dense())
    solution = conjugate_gradients(sparse, rhs, tolerance, max_products, start=start)
    return replace(solution, stats=replace(solution.stats, solver="sparse_cg"))
