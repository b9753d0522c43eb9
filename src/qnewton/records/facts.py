"""What was measured of a system A x = -g. A fact nobody measured is ``None``."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from qnewton.records.amplitudes import Amplitudes

Definiteness = Literal["positive", "indefinite"]
"""Whether all eigenvalues of a matrix are positive."""
Representation = Literal["formed", "products", "low-rank", "sparse", "eigenbasis"]
"""How a matrix is held: by its entries, products, factor, nonzero entries or eigenvectors."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A positive quantity with a bracket, and what certifies each end of it.

    Attributes:
        value: The estimate itself; ``None`` when it overflows float64 (see ``log_value``), or is
            not known to the accuracy asked for: then only the bracket holds.
        low: A number the true value is not below; ``None`` if there is none.
        high: A number the true value is not above; ``None`` if there is none.
        method: How it was obtained: ``lanczos``, ``determinant``, ``trace``, ``exact``.
        products: Matrix-vector products spent on it.
        log_value: Natural logarithm of the value, kept when the value overflows.
        low_certificate: What guarantees ``low`` (a theorem, a factorisation), or ``None``.
        high_certificate: What guarantees ``high``, or ``None``.

    Example:
        >>> Estimate(value=None, low=1.0, high=None, method="determinant", products=0,
        ...          log_value=993.0).describe()
        'e^993 (determinant)'
    """

    value: float | None
    low: float | None
    high: float | None
    method: str
    products: int
    log_value: float | None = None
    low_certificate: str | None = None
    high_certificate: str | None = None

    def describe(self) -> str:
        """Return the estimate in a few characters, for tables and messages."""
        if self.value is not None:
            return f"{self.value:.4g} ({self.method})"
        if self.log_value is not None:
            return f"e^{self.log_value:.0f} ({self.method})"
        if self.low is not None and self.low > 1.0:
            return f"at least {self.low:.4g} ({self.method})"
        return f"unknown ({self.method})"


@dataclass(frozen=True, kw_only=True)
class FormingWork:
    """What forming the entries of a matrix takes that is not held by them.

    Attributes:
        flops: Operations in all.
        rows: Rows that are differentiated by double backward, 32 in a batch.
        rows_flops: Their share of ``flops``.
        row_operations: Operations of the graph that one double backward passes through; ``None``
            where there is none.
    """

    flops: float
    rows: int = 0
    rows_flops: float = 0.0
    row_operations: int | None = None


@dataclass(frozen=True, kw_only=True)
class Formed:
    """A matrix whose N² entries are there.

    Attributes:
        entries: How many of them are not zero; ``None`` where nobody counted.
        envelope: That of the nonzero entries; see :class:`Sparse`.
    """

    KIND: ClassVar[Representation] = "formed"

    entries: int | None = None
    envelope: float | None = None


@dataclass(frozen=True, kw_only=True)
class Products:
    """A matrix that is known by its products alone.

    Attributes:
        product_flops: Operations of one product; ``None`` where nobody counted.
        product_operations: Operations of the graph that one product by double backward passes
            through; ``None`` where a product takes none.
        forming: What its entries would take; ``None`` where nobody counted.
    """

    KIND: ClassVar[Representation] = "products"

    product_flops: float | None = None
    product_operations: int | None = None
    forming: FormingWork | None = None


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """A matrix U Uᵀ + λI that is held by its factor U.

    Attributes:
        columns: Columns of U, which may exceed the rank; ``None`` where nobody knows.
        product_flops: Operations of one product with U Uᵀ, where U has a structure of its own.
        gram_flops: Operations of UᵀU, where U has a structure of its own.
        forming: What the entries would take; ``None`` where nobody counted.
        target: Whether the right-hand side is known as U·t, that of least squares.
    """

    KIND: ClassVar[Representation] = "low-rank"

    columns: int | None = None
    product_flops: float | None = None
    gram_flops: float | None = None
    forming: FormingWork | None = None
    target: bool = False


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """A matrix that is held by its nonzero entries.

    Attributes:
        entries: How many there are; ``None`` where nobody counted.
        envelope: Σ c_j² over the columns of its bandwidth-reducing ordering, c_j the rows from j
            on that reach back to column j: what a sparse factorisation costs at most.
    """

    KIND: ClassVar[Representation] = "sparse"

    entries: int | None = None
    envelope: float | None = None


@dataclass(frozen=True, kw_only=True)
class Eigenbasis:
    """A matrix Q diag(s) Qᵀ that is held by its eigenvalues s and by Q = Q_L ⊗ Q_R.

    Attributes:
        left: Rows of Q_L; 1 where it is the identity.
        right: Rows of Q_R; likewise.
        turned_every: Solves from one turn of the eigenvectors towards those of newer factors to
            the next; ``None`` where nobody turns them.
    """

    KIND: ClassVar[Representation] = "eigenbasis"

    left: int
    right: int
    turned_every: int | None = None

    @property
    def orders(self) -> tuple[int, ...]:
        """Rows of those of Q_L and Q_R that are not the identity."""
        return tuple(order for order in (self.left, self.right) if order > 1)


Held = Formed | Products | LowRank | Sparse | Eigenbasis
"""How a matrix is held, with the numbers that its prices follow from."""


@dataclass(frozen=True, kw_only=True)
class KrylovHistory:
    """What a family of Krylov solvers did on a block at an earlier step.

    Attributes:
        products: Products it spent to the tolerance.
        unfinished: Products it spent without reaching the tolerance.
        expected: Products to the tolerance that its residual so far foretells.
    """

    products: int | None = None
    unfinished: int | None = None
    expected: int | None = None


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What an earlier step's solve of the same block paid for, and this step may use.

    Attributes:
        step: The step k these facts are known from.
        tolerance: Relative residual that its products reached, or were meant to.
        definiteness: What its factorisation or Krylov solver proved.
        cg: What conjugate gradients did.
        minres: What MINRES did.
        pcg: What conjugate gradients with a sketched preconditioner did.
        failed: Factorisations whose solution missed the tolerance.
        envelope: That of its entries, where it was sparse; as many entries fill about as much.
        condition_seen: What the last solve that tells showed of the condition number, from below.
    """

    step: int
    tolerance: float | None = None
    definiteness: Definiteness | None = None
    cg: KrylovHistory = KrylovHistory()
    minres: KrylovHistory = KrylovHistory()
    pcg: KrylovHistory = KrylovHistory()
    failed: tuple[str, ...] = ()
    envelope: float | None = None
    condition_seen: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """What was measured of a matrix A: its spectrum, its norms and its rows.

    Attributes:
        condition: Best estimate of the condition number max|λ|/min|λ| of A.
        bounds: Upper bounds on it that some price uses (``determinant``, ``trace``).
        row_sparsity: Most nonzero entries in a row of A: the oracle sparsity d.
        max_abs: Largest |A_ij|.
        norm: Spectral norm ‖A‖₂ (an estimate from below unless ``condition`` is exact).
        frobenius: Frobenius norm.
        undamped_trace: Trace of the undamped part: ‖U‖_F² of U Uᵀ + λI.
        definiteness: ``positive`` only when certified; ``None`` when nobody looked.
        effective_dimension: Σ σ/(σ + λ) over the eigenvalues σ of the undamped part: how many of
            them stand out above λ.
        largest: The largest |λ|, falling, as far as the survey saw them converge; of equal ones
            Lanczos sees one. Empty where nobody looked.
        preconditioned: Condition number of D^-½ A D^-½, D the diagonal of A: what conjugate
            gradients meet behind it.
        measured_at: The earlier step that measured all this; ``None`` where this step did, or
            nobody.
    """

    condition: Estimate | None = None
    bounds: tuple[Estimate, ...] = ()
    row_sparsity: int | None = None
    max_abs: float | None = None
    norm: float | None = None
    frobenius: float | None = None
    undamped_trace: float | None = None
    definiteness: Definiteness | None = None
    effective_dimension: float | None = None
    largest: tuple[float, ...] = ()
    preconditioned: Estimate | None = None
    measured_at: int | None = None

    def bound(self, method: str) -> Estimate | None:
        """Return the bound computed by ``method``, or ``None`` if it was not computed."""
        return next((bound for bound in self.bounds if bound.method == method), None)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of the damped and pruned matrix A of one block.

    Attributes:
        n: Number of unknowns.
        held: How A is held.
        spectrum: What a survey measured.
        earlier: What an earlier step's solve left.
        rank: Rank of the undamped part, where its factor tells.
        batch: Samples behind the curvature.
        semidefinite: Whether the undamped part is positive semidefinite by its form, as
            Gauss-Newton and Fisher matrices are.
        factored_by: The solver whose factorisation of A is there already.
        direction_error: What the step needs of its solution: the largest ‖x̂/‖x̂‖ - x/‖x‖‖ of
            what is found, x̂; ``None`` where a relative residual is asked for.
        notes: Why a fact is missing, in words.
        amplitudes: What stands in for the shape of the solution where shots that read it are
            counted: that of the block's last direction, or of -g before there is one; ``None``
            where nobody looked.
        solution_gain: ‖x‖·‖A‖₂/‖b‖ in [1, κ], of the solution that an earlier step found: how far
            this right-hand side is from the worst for a quantum solver; ``None`` where nobody
            knows.
    """

    n: int
    held: Held = Formed()
    spectrum: Spectrum = Spectrum()
    earlier: Earlier | None = None
    rank: int | None = None
    batch: int | None = None
    semidefinite: bool = False
    factored_by: str | None = None
    direction_error: float | None = None
    notes: tuple[str, ...] = ()
    amplitudes: Amplitudes | None = None
    solution_gain: float | None = None


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """What was done to the curvature H before solving: A = prune(H + λI).

    Attributes:
        damping: λ, absolute.
        relative_damping: The factor ε of λ = ε·max|H| when damping was relative.
        max_per_row: The cap d of the pruning; ``None`` when nothing was pruned.
        mass: The row mass that chose the cap, when one did.
        kept_entries: Nonzero entries of A after pruning; ``None`` when nothing was pruned.
        lowest_kept_mass: The smallest share of a row's absolute sum that pruning kept.
        dropped_norm: Frobenius norm of the dropped part: λ_min falls by at most this.
    """

    damping: float = 0.0
    relative_damping: float | None = None
    max_per_row: int | None = None
    mass: float | None = None
    kept_entries: int | None = None
    lowest_kept_mass: float | None = None
    dropped_norm: float | None = None
