"""What goes into a solve beside the system, and what comes out of it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

from torch import Tensor

from qnewton.records import Definiteness, Deflation, Estimate, Outcome, QuantumStats
from qnewton.records.messages import check

if TYPE_CHECKING:
    from qnewton.solvers.classical.factorization import Factorization
    from qnewton.solvers.quantum.execution import Execution
    from qnewton.solvers.quantum.readout import Readout

Mode = Literal["auto", "products", "eigen", "krylov"]

Computed = Literal["products", "eigen", "krylov", "circuit"]
"""How an output state was computed: in a mode of the emulator, or gate by gate."""


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """One request; a solver reads the fields that concern it.

    Attributes:
        tolerance: Largest ‖A·x - b‖/‖b‖ that counts as solved.
        max_products: Most products an iterative solver may spend. 1,000 is enough for
            conjugate gradients at κ = 10⁴ and a tolerance of 1e-6: ½√κ ln(2√κ/ε) = 956.
        target: t with b = U·t, shape [k], of A = U Uᵀ + λI; ``None`` where nobody knows (see
            :class:`~qnewton.operators.LinearSystem`).
        rank: Eigenpairs that a Nyström preconditioner sketches; ``None`` for 64.
        start: First x of a Krylov solver, shape [N], such as the last step's; ``None`` for zero.
        epsilon: Error of the quantum solver's polynomial; ``None`` takes ``tolerance``, which
            suffices since |x P(x) - 1| ≤ ε|x| bounds the residual by ε.
        alpha: Normalisation α ≥ ‖A‖₂ of the block-encoding; ``None`` measures it.
        kappa: The promise κ_be ≥ α/σ_min; ``None`` measures it.
        norm: A guess of ‖x‖, for the quantum solver that asks for one; ``None`` for no guess.
        mode: How the quantum solver is emulated.
        readout: How its state is measured; ``None`` for the ideal read-out.
        execution: What carries it out; ``None`` for the emulator.
        deflate: Eigenpairs that ``deflated_qsvt`` takes out; ``None`` for 8.
        keep_factors: Whether the solution is to hold the factorisation that made it.

    Raises:
        ValueError: If the tolerance is not positive or ``max_products`` is below 1.
    """

    tolerance: float = 1e-6
    max_products: int = 1000
    target: Tensor | None = None
    rank: int | None = None
    start: Tensor | None = None
    epsilon: float | None = None
    alpha: float | None = None
    kappa: float | None = None
    norm: float | None = None
    mode: Mode = "auto"
    readout: "Readout | None" = None
    execution: "Execution | None" = None
    deflate: int | None = None
    keep_factors: bool = False

    def __post_init__(self) -> None:
        check("tolerance", self.tolerance, "must be positive and finite", self.tolerance > 0.0)
        check("max_products", self.max_products, "must be at least 1", self.max_products >= 1)


class SolveKeywords(TypedDict, total=False):
    """What may be asked of a solver by keyword, the fields of :class:`SolveOptions`."""

    max_products: int
    rank: int | None
    start: Tensor | None
    epsilon: float | None
    alpha: float | None
    kappa: float | None
    norm: float | None
    mode: Mode
    readout: "Readout | None"
    execution: "Execution | None"
    deflate: int | None
    keep_factors: bool


@dataclass(frozen=True, kw_only=True)
class SolveStats:
    """What a solver spent and reached.

    Attributes:
        solver: Name in the registry.
        residual: ‖A·x - b‖/‖b‖ against the true operator, accumulated in float64 where its
            entries are at hand; ``None`` when there is no x; 0 for b = 0.
        products: Matrix-vector products the solver spent on x, 0 for a factorisation; the
            products that check the residual, or that a preconditioner was sketched from, are not
            counted.
        refinements: Rounds of iterative refinement among them.
        condition: The condition number that a Krylov solver's own coefficients, or the diagonal of
            a triangular factor, show, a lower bound; of the preconditioned matrix, where one was
            used.
        definiteness: What solving A proved of it, up to rounding: ``positive`` by a Cholesky
            factorisation, ``indefinite`` by a negative pivot or curvature.
        seconds: Wall-clock seconds, residual check included; ``None`` when nobody timed it.
        quantum: The quantum solver's own figures, when it was one.
        deflation: What was solved classically beside it.
    """

    solver: str
    residual: float | None = None
    products: int = 0
    refinements: int = 0
    condition: Estimate | None = None
    definiteness: Definiteness | None = None
    seconds: float | None = None
    quantum: QuantumStats | None = None
    deflation: Deflation | None = None


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
        factors: What solves other right-hand sides of the same matrix; ``None`` unless that was
            asked for, and a factorisation solved it.

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
    factors: "Factorization | None" = field(default=None, repr=False)

    @property
    def solved(self) -> bool:
        """Whether ``direction`` may be used."""
        return self.outcome is Outcome.SOLVED

    def describe(self) -> str:
        """Return the outcome with its detail, as people read it."""
        return self.outcome.describe(self.detail)
