"""What factorisations cost: one quote per solver, priced from fitted kernels.

A quote's terms add up to its seconds. Quotes are refused, never raised, for what a calibration
or a survey does not know.
"""

from qnewton.cost.kernels import cubic_work, matvec_work
from qnewton.cost.parts import NO_RANK, Draft, definiteness_known, nonzeros
from qnewton.records import Basis, Calibration, Facts, LowRank, Quote, Sparse

_SOLVES_AS_PRODUCT = (
    "the two triangular solves are priced as one matrix-vector product: both read N² entries"
)
# Products with U or Uᵀ of one solve, and with the triangular factors of the k × k system.
_PASSES_OF_WOODBURY, _SMALL_SOLVES = 8, 6


def lu_inverse_quote(
    calibration: Calibration, facts: Facts, dtype: str = "float32", *, as_timed: bool = False
) -> Quote:
    """Price LU inversion exactly as the paper does, C·N³, or as it was timed.

    Args:
        calibration: The classical machine; C is its ``lu_inverse`` rate.
        facts: Facts of the system; N is read, and what forming the entries costs.
        dtype: ``float32`` or ``float64``.
        as_timed: Follow the timings instead of their common rate, and charge the product with
            the gradient and its check, so that it compares with other solvers' prices.

    Returns:
        The quote of solver ``lu_inverse``, refused if the calibration has no rate.

    Cost:
        A few scalar operations; on the machine priced, 2N³ flops.

    Reference:
        Li et al., arXiv:2405.00252, IV-C ("Classical Solver Cost Estimation").

    Example:
        >>> from qnewton.cost import load_classical
        >>> quote = lu_inverse_quote(load_classical("paper-h100"), Facts(n=12_544))
        >>> f"{quote.seconds:.2f}"
        '0.92'
    """
    if as_timed:
        draft = Draft(
            "lu_inverse", calibration, facts, dtype, "LU inversion as timed", Basis.AS_TIMED
        )
        draft.add_forming()
        draft.add("invert", "lu_inverse", cubic_work(facts.n), as_timed=True)
        _add_solve(draft)
        return draft.quote()
    draft = Draft("lu_inverse", calibration, facts, dtype, "C·N³ (paper IV-C)")
    draft.assumptions.append("the inverse times the gradient is not charged, as in the paper")
    draft.add_forming()
    draft.add("invert", "lu_inverse", cubic_work(facts.n))
    return draft.quote(drifts=False)


def lu_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price an LU factorisation (2N³/3 flops) and its two triangular solves.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; N is read, and what forming the entries costs.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``lu`` with terms ``factor`` and ``solve``, refused if the calibration
        lacks a rate.

    Cost:
        A few scalar operations.

    Reference:
        Golub and Van Loan, Matrix Computations, 4th ed., 3.4.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> [term.name for term in lu_quote(nominal_calibration(), Facts(n=100)).terms]
        ['factor', 'solve']
    """
    return _factorisation("lu", calibration, facts, dtype)


def ldl_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price an LDLᵀ factorisation (N³/3 flops, mostly unblocked) and its solves.

    Args:
        calibration: The classical machine; needs its ``ldl`` rate.
        facts: Facts of the system; N is read, and what forming the entries costs.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``ldl``, refused if the calibration lacks a rate.

    Cost:
        A few scalar operations.

    Reference:
        Bunch and Kaufman 1977; Golub and Van Loan, Matrix Computations, 4th ed., 4.4.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> ldl_quote(nominal_calibration(), Facts(n=100)).refused is None
        True
    """
    return _factorisation("ldl", calibration, facts, dtype)


def cholesky_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price a Cholesky factorisation (N³/3 flops) and its two triangular solves.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; N and the definiteness are read, and what forming costs.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``cholesky`` with terms ``factor`` and ``solve``; refused if A is
        known to be indefinite or the calibration lacks a rate.

    Cost:
        A few scalar operations.

    Reference:
        Golub and Van Loan, Matrix Computations, 4th ed., 4.2.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> from qnewton.records import Spectrum
        >>> facts = Facts(n=100, spectrum=Spectrum(definiteness="indefinite"))
        >>> cholesky_quote(nominal_calibration(), facts).refused
        'A is indefinite; Cholesky needs a positive definite matrix'
    """
    known, since = definiteness_known(facts)
    if known == "indefinite":
        draft = Draft("cholesky", calibration, facts, dtype, _model("cholesky"))
        draft.refuse(f"A is indefinite{since}; Cholesky needs a positive definite matrix")
        return draft.quote()
    assumption = None
    if known is None:
        assumption = "positive definite, checked by the factorisation itself"
    elif since:
        assumption = f"positive definite{since}"
    return _factorisation("cholesky", calibration, facts, dtype, assumption)


def sparse_lu_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price a sparse LU factorisation by the envelope of a bandwidth-reducing ordering.

    Minimum degree, which the solver orders by, seldom fills more than that envelope.

    Args:
        calibration: The classical machine; needs its ``sparse_factor`` rate.
        facts: Facts of the system; the envelope of its nonzero entries is read.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``sparse_lu``, refused where the envelope is unknown.

    Cost:
        A few scalar operations.

    Reference:
        George and Liu, Computer Solution of Large Sparse Positive Definite Systems, 4.3.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> sparse_lu_quote(nominal_calibration(), Facts(n=100)).refused
        'the envelope of the nonzero entries is unknown'
    """
    model = "Σ c_j² over the columns of the envelope, and two sparse triangular solves"
    draft = Draft("sparse_lu", calibration, facts, dtype, model)
    unknown = "the envelope of the nonzero entries is unknown"
    filled = nonzeros(facts).envelope
    if filled is not None and not isinstance(facts.held, Sparse):
        draft.add("compressing", "compress", matvec_work(facts.n))
    draft.add("factor", "sparse_factor", filled, unknown=unknown)
    # A factor's columns hold √(envelope·N) entries at most (Cauchy-Schwarz); read twice.
    read = None if filled is None else 2 * (filled * facts.n) ** 0.5
    draft.add("solve", "sparse_matvec", read, calls=2, unknown=unknown)
    return draft.quote()


def woodbury_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price Woodbury's identity: UᵀU, a Cholesky factorisation of order k, and the solve.

    Where no calibration timed ``woodbury_solve``, the solve is eight passes over U. A factor that
    keeps a network's layers apart brings its operations, priced by ``factor_gram`` and
    ``factor_product``.

    Args:
        calibration: The classical machine; needs its ``gram`` rate.
        facts: Facts of a system held as a :class:`~qnewton.records.LowRank` factor.
        dtype: ``float32`` or ``float64`` of the factor; the small system is float64.

    Returns:
        The quote of solver ``woodbury``, refused for a system without a factor.

    Cost:
        A few scalar operations.

    Reference:
        Woodbury 1950; FORMULAS 4.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> from qnewton.records import LowRank
        >>> facts = Facts(n=10_000, held=LowRank(columns=50))
        >>> [term.name for term in woodbury_quote(nominal_calibration(), facts).terms]
        ['gram', 'solve', 'factor']
    """
    model = "2k²N for UᵀU, Cholesky of k³ in float64, products with U and Uᵀ"
    draft = Draft("woodbury", calibration, facts, dtype, model)
    held = facts.held
    if not isinstance(held, LowRank):
        draft.refuse("A is not held as a low-rank factor")
        return draft.quote()
    columns = held.columns
    if columns is None:
        draft.refuse(NO_RANK)
        return draft.quote()
    if held.gram_flops is not None and draft.timed("factor_gram"):
        draft.add("gram", "factor_gram", held.gram_flops)
    else:
        known = held.gram_flops
        draft.add("gram", "gram", 2.0 * facts.n * columns**2 if known is None else known)
    double = Draft("woodbury", calibration, facts, "float64", model)
    double.add("factor", "cholesky", cubic_work(columns))
    if held.product_flops is not None:
        products, half = _PASSES_OF_WOODBURY // 2, held.product_flops
        if draft.timed("factor_product"):
            # The check of the residual is one more.
            draft.add("solve", "factor_product", (products + 1) * half, calls=products + 1)
        else:
            draft.add("solve", "gemm", products * half, calls=_PASSES_OF_WOODBURY)
        double.add(
            "small solves", "matvec", matvec_work(columns, _SMALL_SOLVES), calls=_SMALL_SOLVES
        )
    elif draft.timed("woodbury_solve"):
        draft.add("solve", "woodbury_solve", float(facts.n * columns))
    else:
        work = float(_PASSES_OF_WOODBURY * facts.n * columns)
        draft.add("solve", "matvec", work, calls=_PASSES_OF_WOODBURY)
    draft.terms += double.terms
    if double.refused is not None:
        draft.refuse(double.refused)
    return draft.quote()


def absolute_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price all eigenvalues and eigenvectors, taken by their size: about 9N³ operations in float64.

    It is no candidate: it takes over where negative curvature was met.

    Args:
        calibration: The classical machine; needs its ``eigen`` rate.
        facts: Facts of the system; N is read, and what forming the entries costs.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``absolute``, refused if the calibration lacks the rate.

    Cost:
        A few scalar operations.

    Reference:
        Golub and Van Loan, Matrix Computations, 4th ed., 8.3.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> [term.name for term in absolute_quote(nominal_calibration(), Facts(n=100)).terms]
        ['eigenvalues']
    """
    draft = Draft("absolute", calibration, facts, dtype, "eigendecomposition (N³) in float64")
    draft.add_forming()
    draft.add("eigenvalues", "eigen", cubic_work(facts.n))
    return draft.quote()


def _model(kernel: str) -> str:
    return f"{kernel} factorisation (N³) and two triangular solves (N²)"


def _factorisation(
    kernel: str, calibration: Calibration, facts: Facts, dtype: str, assumption: str | None = None
) -> Quote:
    draft = Draft(kernel, calibration, facts, dtype, _model(kernel))
    if assumption is not None:
        draft.assumptions.append(assumption)
    draft.add_forming()
    draft.add("factor", kernel, cubic_work(facts.n))
    _add_solve(draft)
    return draft.quote()


def _add_solve(draft: Draft) -> None:
    if draft.timed("substitution"):
        draft.add("solve", "substitution", matvec_work(draft.facts.n))
    else:
        draft.assumptions.append(_SOLVES_AS_PRODUCT)
        draft.add("solve", "matvec", matvec_work(draft.facts.n))
