"""What every solver hands back: a direction or the reason there is none, and what it took."""

from dataclasses import dataclass, field

from torch import Tensor

from qnewton.records import Definiteness, Estimate, Outcome, QuantumStats


@dataclass(frozen=True, kw_only=True)
class SolveStats:
    """What a solver spent and reached.

    Attributes:
        solver: Name in the registry.
        residual: ‖A·x - b‖/‖b‖ against the true operator, accumulated in float64 where its
            entries are at hand; ``None`` when there is no x; 0 for b = 0.
        products: Matrix-vector products the solver spent on x, 0 for a factorisation; the
            products that check the residual are not counted.
        refinements: Rounds of iterative refinement among them.
        condition: The condition number that a Krylov solver's own coefficients show, a lower
            bound; of the preconditioned matrix, where one was used.
        definiteness: What solving A proved of it, up to rounding: ``positive`` by a Cholesky
            factorisation, ``indefinite`` by a negative pivot or curvature.
        seconds: Wall-clock seconds, residual check included; ``None`` when nobody timed it.
        quantum: The quantum solver's own figures, when it was one.
    """

    solver: str
    residual: float | None = None
    products: int = 0
    refinements: int = 0
    condition: Estimate | None = None
    definiteness: Definiteness | None = None
    seconds: float | None = None
    quantum: QuantumStats | None = None


@dataclass(frozen=True)
class Solution:
    """What one solve came to.

    Attributes:
        direction: x with A·x ≈ b, shape [N], in the system's dtype; ``None`` unless a finite x
            came out. After a failed outcome it is only the best try, not to be stepped along.
        outcome: ``Outcome.SOLVED``, or what failed.
        stats: What it took.
        detail: The words and numbers beside the outcome, such as ``in 200 products`` or ``3e-02
            above 3e-04``; empty where there are none.

    Example:
        >>> failed = Solution(None, Outcome.NOT_CONVERGED, SolveStats(solver="cg"), "in 9 products")
        >>> failed.solved, failed.describe()
        (False, 'not converged in 9 products')
    """

    # A direction of 12,544 numbers drowns the outcome in a log line.
    direction: Tensor | None = field(repr=False)
    outcome: Outcome
    stats: SolveStats
    detail: str = ""

    @property
    def solved(self) -> bool:
        """Whether ``direction`` may be used."""
        return self.outcome is Outcome.SOLVED

    def describe(self) -> str:
        """Return the outcome with its detail, as people read it."""
        return self.outcome.describe(self.detail)
