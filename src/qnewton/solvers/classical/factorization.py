"""Factor once, solve many: LU, Cholesky and LDLᵀ of all entries, and what every kind shares."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.base import dtype_name
from qnewton.operators.scaling import (
    excess,
    into_range,
    largest,
    norm_ratio,
    scaled,
    shifted_number,
)
from qnewton.records import Definiteness, Estimate, Outcome
from qnewton.solvers.classical.refinement import judge, put_back, refined_solution
from qnewton.solvers.solution import Solution, SolveStats


class Factorization(ABC):
    """A factorised symmetric matrix that solves any number of right-hand sides.

    Building one never raises on account of the entries: a matrix that cannot be factorised
    leaves its reason in ``outcome``, and every solve then reports it.

    Args:
        operator: A, shape [N, N]; unless a kind knows better, its dense entries are formed and
            kept for the residuals.

    Attributes:
        outcome: ``Outcome.FACTORIZED``, or what the factorisation met.
        definiteness: What it proved of A, up to rounding; ``None`` where its pivots tell nothing.
        condition: What the pivots show of κ, a lower bound where A = LLᵀ; ``None`` for other
            factors.
    """

    solver: ClassVar[str]
    definiteness: Definiteness | None = None
    condition: Estimate | None = None

    def __init__(self, operator: SymmetricOperator) -> None:
        self._matrix: SymmetricOperator | Tensor = operator
        self._exponent = 0  # A was divided by 2 to this power
        self.outcome = self._read(operator)

    def _read(self, operator: SymmetricOperator) -> Outcome:
        """Factorise an operator, keep what residuals are measured with; return the outcome."""
        matrix = operator.dense()
        size = largest(matrix)
        if not math.isfinite(size):
            self._matrix = matrix
            return Outcome.NOT_FINITE
        self._matrix, self._exponent = _near(matrix, excess(size, matrix.dtype))
        return self._factorize(self._matrix)

    @abstractmethod
    def _factorize(self, matrix: Tensor) -> Outcome:
        """Keep the factors of a finite matrix; return ``FACTORIZED`` or what failed."""

    @abstractmethod
    def _apply(self, rhs: Tensor) -> Tensor:
        """Return the factors' A⁻¹·rhs, shape [N]."""

    def _beginning(self, target: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what makes x of b, and then the corrections of what x leaves."""
        return self._apply

    def solve(self, rhs: Tensor, tolerance: float = 1e-6, target: Tensor | None = None) -> Solution:
        """Solve A·x = rhs, refining while the residual exceeds the tolerance.

        Args:
            rhs: b, shape [N], in the matrix's dtype.
            tolerance: Largest ‖A·x - b‖/‖b‖ that counts as solved (see ``refinement``).
            target: t with b = U·t, of A = U Uᵀ + λI, which only least squares begin from.

        Raises:
            ValueError: If ``rhs`` does not have shape [N] or has another dtype.

        Cost: 4N² operations with the residual, and as many for each refinement.
        """
        if rhs.shape != self._matrix.shape[:1] or rhs.dtype != self._matrix.dtype:
            found = f"the right-hand side has shape {tuple(rhs.shape)} and dtype {rhs.dtype}"
            needed = f"[{self._matrix.shape[0]}] and {self._matrix.dtype}"
            raise ValueError(f"{found}; this factorization needs {needed}")
        outcome = self.outcome if torch.isfinite(rhs).all() else Outcome.NOT_FINITE
        if outcome is not Outcome.FACTORIZED:
            stats = SolveStats(solver=self.solver, definiteness=self.definiteness)
            return Solution(None, outcome, stats)
        near, down = into_range(rhs)
        if down and not torch.equal(scaled(near, down), rhs):
            near, down = rhs, 0  # entries from both ends of the range keep their digits as they are
        correct = self._apply
        if target is not None and torch.isfinite(target).all():
            correct = self._beginning(scaled(target, self._exponent // 2 - down))
        known = (self.solver, self._matrix, near, correct)
        solution = refined_solution(*known, tolerance, diverged=Outcome.SINGULAR)
        solution = put_back(solution, self._matrix, near, down - self._exponent)
        proven = {"definiteness": self.definiteness, "condition": self.condition}
        return replace(solution, stats=replace(solution.stats, **proven))


def _near(matrix: Tensor, exponent: int) -> tuple[Tensor, int]:
    """Return A·2^-exponent and the exponent, but A itself where some row would be lost by it."""
    if exponent == 0:
        return matrix, 0
    near, limits = scaled(matrix, -exponent), torch.finfo(matrix.dtype)
    before, after = (m.abs().amax(1) for m in (matrix, near))
    lost = (before > 0) & (after < limits.tiny / limits.eps)
    return (matrix, 0) if lost.any() else (near, exponent)


class LUFactorization(Factorization):
    """P·A = L·U with partial pivoting; any nonsingular matrix, definite or not.

    Raises:
        Nothing: a zero pivot gives the outcome ``singular``. A pivot that is only rounding
        noise passes here; the residual of the solve then tells.

    Cost: 2N³/3 operations and N² more entries; each solve 2N².

    Reference: Golub and Van Loan, Matrix Computations, 4th ed., section 3.4.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> swap = DenseOperator(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> LUFactorization(swap).solve(torch.tensor([1.0, 2.0])).direction
        tensor([2., 1.])
    """

    solver: ClassVar[str] = "lu"

    def _factorize(self, matrix: Tensor) -> Outcome:
        self._lu, self._pivots, info = torch.linalg.lu_factor_ex(matrix)
        if int(info) != 0:
            return Outcome.SINGULAR
        self.condition = condition_of_pivots(self._lu.diagonal())
        return Outcome.FACTORIZED

    def _apply(self, rhs: Tensor) -> Tensor:
        return torch.linalg.lu_solve(self._lu, self._pivots, rhs.unsqueeze(1)).squeeze(1)


class LUInverse(Factorization):
    """A⁻¹ formed entry by entry through LU, then multiplied: the paper's classical baseline.

    It costs three times the LU solve and is less accurate; it is here because the paper's
    prices are of this.

    Cost: 2N³ operations and N² more entries; each solve 2N².

    Reference: Q-Newton, arXiv:2405.00252, section IV-C.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> LUInverse(DenseOperator(torch.eye(2) * 2)).solve(torch.ones(2)).direction
        tensor([0.5000, 0.5000])
    """

    solver: ClassVar[str] = "lu_inverse"

    def _factorize(self, matrix: Tensor) -> Outcome:
        self._inverse, info = torch.linalg.inv_ex(matrix)
        return Outcome.FACTORIZED if int(info) == 0 else Outcome.SINGULAR

    def _apply(self, rhs: Tensor) -> Tensor:
        return self._inverse @ rhs


class CholeskyFactorization(Factorization):
    """A = L·Lᵀ.

    A pivot that is not positive gives the outcome ``not positive definite``. The converse is no
    certificate: in float32, eigenvalues of -1e-9 pass in a fifth of the runs.

    Cost: N³/3 operations and N² more entries; each solve 2N².

    Reference: Golub and Van Loan, Matrix Computations, 4th ed., section 4.2.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> CholeskyFactorization(DenseOperator(-torch.eye(2))).solve(torch.ones(2)).describe()
        'not positive definite'
    """

    solver: ClassVar[str] = "cholesky"

    def _factorize(self, matrix: Tensor) -> Outcome:
        self._factor, info = torch.linalg.cholesky_ex(matrix)
        if int(info) != 0:
            self.definiteness = "indefinite"
            return Outcome.NOT_DEFINITE
        self.definiteness = "positive"
        self.condition = condition_of_factor(self._factor)
        return Outcome.FACTORIZED

    def _apply(self, rhs: Tensor) -> Tensor:
        return solve_by_factor(self._factor, rhs)


def condition_of_factor(factor: Tensor) -> Estimate | None:
    """Return (max|l_ii|/min|l_ii|)² of a triangular L: A = LLᵀ has no smaller condition number.

    ``None`` if an entry is zero.

    Cost: one pass over the diagonal.

    Reference: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 15.1 and 8.3.

    Example:
        >>> condition_of_factor(torch.tensor([[3.0, 0.0], [1.0, 1.0]])).value
        9.0
    """
    known = condition_of_pivots(factor.diagonal().double().square())
    certificate = "the diagonal of a triangular factor, exact arithmetic"
    return known and replace(known, low=known.value, low_certificate=certificate)


def condition_of_pivots(pivots: Tensor) -> Estimate | None:
    """Return max|d_i|/min|d_i| of the pivots that elimination leaves, an estimate of κ.

    Of a definite matrix that was not permuted they are the squares of Cholesky's.
    """
    low, high = (float(end) for end in pivots.abs().aminmax())
    ratio = high / low if low > 0.0 else math.inf
    if not math.isfinite(ratio):
        return None
    return Estimate(value=ratio, low=None, high=None, method="pivots", products=0)


def solve_by_factor(factor: Tensor, rhs: Tensor) -> Tensor:
    """Return (L·Lᵀ)⁻¹·b by two triangular solves that read L where it lies."""
    # ``torch.cholesky_solve`` copies L at every call: N = 4,096 takes it twenty times as long.
    # Cost: 2N² operations.
    inner = torch.linalg.solve_triangular(factor, rhs.unsqueeze(1), upper=False)
    return torch.linalg.solve_triangular(factor.mT, inner, upper=True).squeeze(1)


@dataclass(frozen=True)
class Inertia:
    """How many eigenvalues of a symmetric matrix are positive, negative and zero.

    In floating point it is the inertia of a matrix within rounding of A: an eigenvalue smaller
    than about N·ε·‖A‖ may be counted on either side.
    """

    positive: int
    negative: int
    zero: int


class LDLFactorization(Factorization):
    """P·A·Pᵀ = L·D·Lᵀ with D of 1 × 1 and 2 × 2 blocks (Bunch-Kaufman), for any symmetric A.

    Cost: N³/3 operations and N² more entries; each solve 2N². LAPACK's factorisation multiplies
    blocks less well than Cholesky's, so that it takes longer for as many operations.

    Reference: Bunch and Kaufman, Math. Comp. 31 (1977) 163; Sylvester's law of inertia.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> factors = LDLFactorization(DenseOperator(torch.diag(torch.tensor([2.0, -1.0]))))
        >>> factors.solve(torch.ones(2)).direction, factors.inertia()
        (tensor([ 0.5000, -1.0000]), Inertia(positive=1, negative=1, zero=0))
    """

    solver: ClassVar[str] = "ldl"

    def _factorize(self, matrix: Tensor) -> Outcome:
        self._factor, self._pivots, info = torch.linalg.ldl_factor_ex(matrix)
        if int(info) != 0:
            return Outcome.SINGULAR
        self.outcome = Outcome.FACTORIZED
        self.definiteness = "indefinite" if self.inertia().negative else "positive"
        return Outcome.FACTORIZED

    def _apply(self, rhs: Tensor) -> Tensor:
        return torch.linalg.ldl_solve(self._factor, self._pivots, rhs.unsqueeze(1)).squeeze(1)

    def inertia(self) -> Inertia:
        """Return the signs of A's eigenvalues, by Sylvester's law those of D's blocks.

        Raises:
            ValueError: If A could not be factorised.

        Cost: O(N).
        """
        if self.outcome is not Outcome.FACTORIZED:
            raise ValueError(f"a matrix that is {self.outcome} has no LDLᵀ inertia")
        diagonal = self._factor.diagonal().double()
        below = self._factor.diagonal(-1).double()
        # LAPACK marks both rows of a 2 × 2 block by a negative pivot; blocks do not overlap.
        paired = (self._pivots < 0).nonzero().flatten()
        first, second = paired[0::2], paired[1::2]
        single = diagonal[self._pivots > 0]
        a, b, c = diagonal[first], below[first], diagonal[second]
        middle, spread = (a + c) / 2, torch.hypot((a - c) / 2, b)
        values = torch.cat([single, middle - spread, middle + spread])
        return Inertia(int((values > 0).sum()), int((values < 0).sum()), int((values == 0).sum()))


def solve_absolute(operator: SymmetricOperator, rhs: Tensor, tolerance: float = 1e-6) -> Solution:
    r"""Solve (\|H\| + λI)·x = b for A = H + λI, with \|H\| = V\|Λ\|Vᵀ and λ from A's treatment.

    Negative eigenvalues are taken by their size: x descends along them instead of climbing, and
    leaves a saddle as fast as Newton's method would be drawn to it.

    Args:
        operator: A, shape [N, N]; its entries are read, its treatment says λ.
        rhs: b = -g, shape [N].
        tolerance: Largest relative residual, of the system that is solved.

    Returns:
        The solution; ``singular`` if \|H\| + λI is, ``not finite`` for entries that are not.

    Cost: an eigendecomposition in float64, about 9N³ operations.

    Reference: Dauphin et al., Identifying and attacking the saddle point problem, NeurIPS 2014,
    section 5 (arXiv:1406.2572).

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> saddle = DenseOperator(torch.diag(torch.tensor([2.0, -4.0])))
        >>> solve_absolute(saddle, torch.ones(2)).direction
        tensor([0.5000, 0.2500])
    """
    stats = SolveStats(solver="absolute")
    matrix = operator.dense().double()
    if not (torch.isfinite(matrix).all() and torch.isfinite(rhs).all()):
        return Solution(None, Outcome.NOT_FINITE, stats)
    matrix, up = into_range(matrix)
    shift = shifted_number(operator.treatment.damping, -up)
    values, vectors = torch.linalg.eigh(matrix)
    sizes = (values - shift).abs() + shift
    if float(sizes.min()) <= torch.finfo(torch.float64).eps * float(sizes.max()):
        return Solution(None, Outcome.SINGULAR, stats)
    b, down = into_range(rhs.double())
    x = scaled(vectors @ ((vectors.mT @ b) / sizes), down - up).to(rhs.dtype)
    name = dtype_name(rhs.dtype)
    if not torch.isfinite(x).all():
        return Solution(None, Outcome.OVERFLOW, stats, name)
    stored = scaled(x.double(), up - down)
    residual = norm_ratio(b - vectors @ (sizes * (vectors.mT @ stored)), b)
    outcome, detail = judge(residual, tolerance, rhs.dtype)
    if outcome is not Outcome.SOLVED and largest(x) < torch.finfo(rhs.dtype).tiny:
        outcome, detail = Outcome.UNDERFLOW, name
    return Solution(x, outcome, replace(stats, residual=residual), detail)
