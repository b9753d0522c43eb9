"""What was measured of a system A x = -g. A fact nobody measured is ``None``."""

from dataclasses import dataclass
from typing import Literal

Definiteness = Literal["positive", "indefinite"]
Representation = Literal["formed", "products", "low-rank", "sparse"]


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
class EarlierFacts:
    """What an earlier step's solve of the same block paid for, and this step may use.

    Attributes:
        step: The step k these facts are known from.
        tolerance: Relative residual that its products reached, or were meant to.
        definiteness: What its factorisation or Krylov solver proved.
        cg_products: Products conjugate gradients spent to the tolerance.
        cg_unfinished: Products they spent without reaching it.
        cg_expected: Products to the tolerance that their residual so far foretells.
        minres_products: Products MINRES spent to the tolerance.
        minres_unfinished: Products it spent without reaching it.
        minres_expected: Products to the tolerance that its residual so far foretells.
        failed: Factorisations whose solution missed the tolerance.
        envelope: That of its entries, where it was sparse; as many entries fill about as much.
    """

    step: int
    tolerance: float | None = None
    definiteness: Definiteness | None = None
    cg_products: int | None = None
    cg_unfinished: int | None = None
    cg_expected: int | None = None
    minres_products: int | None = None
    minres_unfinished: int | None = None
    minres_expected: int | None = None
    failed: tuple[str, ...] = ()
    envelope: float | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the survey found out about the treated matrix A of one block.

    Attributes:
        n: Number of unknowns.
        condition: Best estimate of the condition number max|λ|/min|λ| of A.
        bounds: Upper bounds on it that some price uses (``determinant``, ``trace``).
        row_sparsity: Most nonzero entries in a row of A: the oracle sparsity d.
        max_abs: Largest |A_ij|.
        norm: Spectral norm ‖A‖₂ (an estimate from below unless ``condition`` is exact).
        frobenius: Frobenius norm.
        definiteness: ``positive`` only when certified; ``None`` when nobody looked.
        rank: Rank of the undamped part when the representation is low-rank.
        columns: Columns of the factor it is held by, at least ``rank``; ``None`` for as many.
        batch: Samples behind the curvature.
        representation: How A is held: ``formed`` entries, ``products`` alone, a ``low-rank``
            factor with damping, or ``sparse`` entries.
        forming_flops: Operations that form the entries of an A without them.
        product_flops: Operations of one product with an A known by ``products``, or by a factor
            that has structure of its own.
        product_operations: Operations of the graph that one product by double backward passes
            through; ``None`` where a product takes none.
        forming_rows: Rows that forming differentiates by double backward, 32 in a batch.
        forming_rows_flops: Their share of ``forming_flops``.
        gram_flops: Operations of UᵀU of a low-rank factor.
        entries: Nonzero entries of a sparse A.
        envelope: Σ c_j² over the columns of A's bandwidth-reducing ordering, c_j the rows
            from j on that reach back to column j: what a sparse factorisation costs at most.
        earlier: What an earlier step's solve left.
        measured_at: The earlier step whose survey κ, d and the norms are from; ``None`` where this
            step measured them, or nobody did.
        notes: Why a fact is missing, in words.
    """

    n: int
    condition: Estimate | None = None
    bounds: tuple[Estimate, ...] = ()
    row_sparsity: int | None = None
    max_abs: float | None = None
    norm: float | None = None
    frobenius: float | None = None
    definiteness: Definiteness | None = None
    rank: int | None = None
    columns: int | None = None
    batch: int | None = None
    representation: Representation = "formed"
    forming_flops: float | None = None
    product_flops: float | None = None
    product_operations: int | None = None
    forming_rows: int = 0
    forming_rows_flops: float = 0.0
    gram_flops: float | None = None
    entries: int | None = None
    envelope: float | None = None
    earlier: EarlierFacts | None = None
    measured_at: int | None = None
    notes: tuple[str, ...] = ()

    def bound(self, method: str) -> Estimate | None:
        """Return the bound computed by ``method``, or ``None`` if it was not computed."""
        return next((bound for bound in self.bounds if bound.method == method), None)


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
