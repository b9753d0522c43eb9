"""Factor once, solve many: what the factorising solvers share."""

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.scaling import excess, into_range, largest, scaled
from qnewton.records import Definiteness, Outcome
from qnewton.solvers.classical.refinement import put_back, refined_solution
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
    """

    solver: ClassVar[str]
    definiteness: Definiteness | None = None

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

    def solve(self, rhs: Tensor, tolerance: float = 1e-6) -> Solution:
        """Solve A·x = rhs, refining while the residual exceeds the tolerance.

        Args:
            rhs: b, shape [N], in the matrix's dtype.
            tolerance: Largest ‖A·x - b‖/‖b‖ that counts as solved (see ``refinement``).

        Raises:
            ValueError: If ``rhs`` does not have shape [N] or has another dtype.

        Cost: 4N² operations with the residual, and as many for each refinement.
        """
        if rhs.shape != self._matrix.shape[:1] or rhs.dtype != self._matrix.dtype:
            raise ValueError(
                f"the right-hand side has shape {tuple(rhs.shape)} and dtype {rhs.dtype}; this "
                f"factorization needs [{self._matrix.shape[0]}] and {self._matrix.dtype}"
            )
        outcome = self.outcome if torch.isfinite(rhs).all() else Outcome.NOT_FINITE
        if outcome is not Outcome.FACTORIZED:
            stats = SolveStats(solver=self.solver, definiteness=self.definiteness)
            return Solution(None, outcome, stats)
        near, down = into_range(rhs)
        if down and not torch.equal(scaled(near, down), rhs):
            near, down = rhs, 0  # entries from both ends of the range keep their digits as they are
        solution = refined_solution(
            self.solver, self._matrix, near, self._apply, tolerance, diverged=Outcome.SINGULAR
        )
        solution = put_back(solution, self._matrix, near, down - self._exponent)
        return replace(solution, stats=replace(solution.stats, definiteness=self.definiteness))


def _near(matrix: Tensor, exponent: int) -> tuple[Tensor, int]:
    """Return A·2^-exponent and the exponent, but A itself where some row would be lost by it."""
    if exponent == 0:
        return matrix, 0
    near, limits = scaled(matrix, -exponent), torch.finfo(matrix.dtype)
    before, after = (m.abs().amax(1) for m in (matrix, near))
    lost = (before > 0) & (after < limits.tiny / limits.eps)
    return (matrix, 0) if lost.any() else (near, exponent)
