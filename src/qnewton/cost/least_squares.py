"""What solvers cost that work on a factor itself, and do not square its condition number."""

from qnewton.cost.convergence import LSMR_BOUNDS
from qnewton.cost.kernels import matvec_work
from qnewton.cost.krylov import accuracy, counted_products, earlier_of
from qnewton.cost.parts import NO_RANK, Draft
from qnewton.records import Calibration, Facts, LowRank, Quote
from qnewton.records.messages import check

NO_FACTOR = "A is not held as a low-rank factor"

# Reads of U in one solve with its check and a refinement, and of the triangular factor.
_PASSES, _SMALL_SOLVES, _STARTS = 8, 4, 8
_VECTORS = 4  # of LSMR


def householder_flops(rows: int, columns: int) -> float:
    """Return 2mn² - 2n³/3, the operations of R of an m × n matrix.

    Raises:
        ValueError: If there are fewer rows than columns, or no column.

    Reference:
        Golub and Van Loan, Matrix Computations, 4th ed., 5.2.2.

    Example:
        >>> householder_flops(3, 3)
        36.0
    """
    check("columns", columns, f"must lie between 1 and the {rows} rows", 1 <= columns <= rows)
    return 2.0 * rows * columns**2 - 2.0 * columns**3 / 3.0


def augmented_qr_flops(n: int, columns: int) -> float:
    """Return the operations of the R that solves with U Uᵀ + λI, U of shape [N, k].

    R of the k + N rows (Uᵀ; √λ·I); or, where that is less, U = Q·S with Q, and R of (Sᵀ; √λ·I).

    Example:
        >>> augmented_qr_flops(3, 3), augmented_qr_flops(6, 3)
        (90.0, 270.0)
    """
    whole = householder_flops(columns + n, n)
    if n <= columns:
        return whole
    reduced = 2.0 * householder_flops(n, columns) + householder_flops(2 * columns, columns)
    return min(whole, reduced)


def augmented_qr_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price R of the rows (Uᵀ; √λ·I) by Householder's reflections, and the solve.

    A calibration that did not time ``householder`` prices as many operations at half the rate of a
    Gram matrix.

    Args:
        calibration: The classical machine; needs its ``householder`` or its ``gram`` rate.
        facts: Facts of a system held as a :class:`~qnewton.records.LowRank` factor.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``augmented_qr``, refused for a system without a factor that holds its
        entries.

    Cost:
        A few scalar operations.

    Reference:
        :func:`augmented_qr_flops`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> from qnewton.records import LowRank
        >>> facts = Facts(n=100, held=LowRank(columns=1000))
        >>> [term.name for term in augmented_qr_quote(nominal_calibration(), facts).terms]
        ['factor', 'solve']
    """
    model = (
        "R of the factor's rows and √λ·I by Householder reflections: 2kN² + 4N³/3, or 4Nk² + 2k³"
    )
    draft = Draft("augmented_qr", calibration, facts, dtype, model)
    held = facts.held
    if not isinstance(held, LowRank):
        return draft.refuse(NO_FACTOR).quote()
    if held.columns is None:
        return draft.refuse(NO_RANK).quote()
    if held.gram_flops is not None:
        return draft.refuse("the factor keeps products in place of its entries").quote()
    flops = augmented_qr_flops(facts.n, held.columns)
    if facts.factored_by != draft.solver:
        draft.add_reflections("factor", flops)
    n, k = float(facts.n), float(held.columns)
    draft.keep("the rows that are reflected", min((n + k) * n, 2.0 * n * k + 2.0 * k * k))
    draft.add_network(min(facts.n, held.columns))
    small = matvec_work(min(facts.n, held.columns), _SMALL_SOLVES)
    work = _PASSES * float(facts.n) * held.columns + small
    return draft.add("solve", "matvec", work, calls=_STARTS).quote()


def lsmr_quote(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    products: int | None = None,
) -> Quote:
    """Price LSMR on a factor U: a product with Uᵀ and one with U, and vectors of both lengths.

    Args:
        calibration: The classical machine.
        facts: Facts of a system held as a :class:`~qnewton.records.LowRank` factor, whose target
            is known; the products are those of conjugate gradients, else of MINRES, at an earlier
            step, since all three search the same space; else :func:`~qnewton.cost.lsmr_products`.
        dtype: ``float32`` or ``float64``.
        tolerance: Relative residual to reach.
        products: Price as many, whatever the facts say.

    Returns:
        The quote of solver ``lsmr``; refused for a system without a factor or a target, or if
        nothing tells its products.

    Raises:
        ValueError: If the tolerance or the condition number is out of range.

    Cost:
        A few scalar operations.

    Reference:
        See :func:`~qnewton.cost.lsmr_products`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> from qnewton.records import LowRank
        >>> facts = Facts(n=100, held=LowRank(columns=1000))
        >>> lsmr_quote(nominal_calibration(), facts).refused
        'LSMR begins from the target of least squares, which is unknown'
    """
    draft = Draft("lsmr", calibration, facts, dtype, "⌈½√κ ln(2/ε)⌉ products, or the last step's")
    held = facts.held
    if not isinstance(held, LowRank):
        return draft.refuse(NO_FACTOR).quote()
    if held.columns is None:
        return draft.refuse(NO_RANK).quote()
    if not held.target:
        unknown = "LSMR begins from the target of least squares, which is unknown"
        return draft.refuse(unknown).quote()
    earlier = earlier_of(facts)
    history = earlier.minres if earlier.cg.products is None else earlier.cg
    counted = counted_products(draft, "LSMR", history, LSMR_BOUNDS, tolerance, products)
    if counted is None:
        return draft.quote()
    count, condition = counted
    draft.keep("its vectors", _VECTORS * float(facts.n + held.columns), dtype="float64")
    draft.add_products(count).add_vectors("minres_step", count, facts.n + held.columns)
    return draft.add_residual().quote(
        condition_number=condition, products=count, **accuracy(facts, tolerance)
    )
