"""What every solver hands back: a direction or the reason there is none, and what it took."""

from dataclasses import dataclass, field

from torch import Tensor

from qnewton.records import Definiteness, Estimate, QuantumStats

SOLVED = "solved"


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
    """The outcome of one solve.

    Attributes:
        direction: x with A·x ≈ b, shape [N], in the system's dtype; ``None`` unless a finite x
            came out. After a failed outcome it is only the best try, not to be stepped along.
        outcome: ``solved`` or, in a few words, what failed: ``not positive definite``,
            ``singular``, ``not finite``, ``not converged in 200 products``,
            ``residual 3e-02 above 3e-04``, ``x overflows float32``, ``x underflows float32``; for
            the quantum solver also ``promise broken, residual 3e-01 above 1e-06``, ``alpha below
            the norm``, ``zero right-hand side``, ``degree 3.1e+08 above 1e+06``.
        stats: What it took.

    Example:
        >>> Solution(None, "singular", SolveStats(solver="lu")).solved
        False
    """

    # A direction of 12,544 numbers drowns the outcome in a log line.
    direction: Tensor | None = field(repr=False)
    outcome: str
    stats: SolveStats

    @property
    def solved(self) -> bool:
        """Whether ``direction`` may be used."""
        return self.outcome == SOLVED
