"""What factorisations cost: one quote per solver, priced from fitted kernels.

A quote's terms add up to its seconds. Quotes are refused, never raised, for what a calibration
or a survey does not know.
"""

from dataclasses import replace

from qnewton.cost.kernels import cubic_work, matvec_work
from qnewton.cost.parts import NO_RANK, Draft, definiteness_known, nonzeros, singular_to_rounding
from qnewton.records import Basis, Calibration, Facts, LowRank, Quote, Sparse

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
    draft = Draft("lu_inverse", calibration, facts, dtype, "C·N³ (paper IV-C)")
    if as_timed:
        draft = replace(draft, model="LU inversion as timed", basis=Basis.AS_TIMED)
    work = cubic_work(facts.n)
    draft.add_forming().add_factor("invert", "lu_inverse", work, as_timed=as_timed)
    draft.keep("its inverse", float(facts.n) ** 2).add_network(facts.n)
    if as_timed:
        return draft.add_solve().quote()
    draft.assume("the inverse alone, as in the paper: no product with b")
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
    return _factorisation(Draft("lu", calibration, facts, dtype, _model("lu")))


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
    return _factorisation(Draft("ldl", calibration, facts, dtype, _model("ldl")))


def cholesky_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price a Cholesky factorisation (N³/3 flops) and its two triangular solves.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; N and the definiteness are read, and what forming costs.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``cholesky`` with terms ``factor`` and ``solve``; refused if A is
        known to be indefinite or singular, or the calibration lacks a rate.

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
    draft = Draft("cholesky", calibration, facts, dtype, _model("cholesky"))
    if known == "indefinite":
        reason = f"A is indefinite{since}; Cholesky needs a positive definite matrix"
        return draft.refuse(reason).quote()
    if singular_to_rounding(facts):
        reason = "A is singular to rounding; Cholesky needs a positive definite matrix"
        return draft.refuse(reason).quote()
    if known is None:
        draft.assume("positive definite, checked by the factorisation itself")
    elif since:
        draft.assume(f"positive definite{since}")
    return _factorisation(draft)


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
    # A column's number is no longer than half of a float64.
    draft.keep("its factors", 1.5 * (read or 0.0), dtype="float64").add_network(facts.n)
    return draft.add("solve", "sparse_matvec", read, calls=2, unknown=unknown).quote()


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
        Woodbury 1950.

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
        return draft.refuse("A is not held as a low-rank factor").quote()
    columns = held.columns
    if columns is None:
        return draft.refuse(NO_RANK).quote()
    if held.gram_flops is not None and draft.timed("factor_gram"):
        draft.add_factor("gram", "factor_gram", held.gram_flops)
    else:
        known = held.gram_flops
        draft.add_factor("gram", "gram", 2.0 * facts.n * columns**2 if known is None else known)
    nodes = 1 if calibration.network is None else calibration.network.nodes
    draft.add_network(1, 2.0 * nodes * columns**2).add_network(columns)
    draft.keep("its Gram matrix", 2.0 * columns**2, dtype="float64")
    double = Draft("woodbury", calibration, facts, "float64", model)
    double.add_factor("factor", "cholesky", cubic_work(columns))
    if held.product_flops is not None:
        products, half = _PASSES_OF_WOODBURY // 2, held.product_flops
        if draft.timed("factor_product"):
            # The check of the residual is one more.
            draft.add("solve", "factor_product", (products + 1) * half, calls=products + 1)
        else:
            draft.add("solve", "gemm", products * half, calls=_PASSES_OF_WOODBURY)
        small = matvec_work(columns, _SMALL_SOLVES)
        double.add("small solves", "matvec", small, calls=_SMALL_SOLVES)
    elif draft.timed("woodbury_solve"):
        draft.add("solve", "woodbury_solve", float(facts.n * columns))
    else:
        work = float(_PASSES_OF_WOODBURY * facts.n * columns)
        draft.add("solve", "matvec", work, calls=_PASSES_OF_WOODBURY)
    draft.terms += double.terms
    return (draft if double.refused is None else draft.refuse(double.refused)).quote()


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
    draft.keep("its eigenvectors", 2.0 * float(facts.n) ** 2, dtype="float64").add_network(facts.n)
    return draft.add_forming().add("eigenvalues", "eigen", cubic_work(facts.n)).quote()


def _model(kernel: str) -> str:
    return f"{kernel} factorisation (N³) and two triangular solves (N²)"


def _factorisation(draft: Draft) -> Quote:
    n = draft.facts.n
    draft.add_forming().add_factor("factor", draft.solver, cubic_work(n))
    # Pivots are found over all nodes, column by column.
    draft.keep("its factor", float(n) ** 2).add_network(n)
    return draft.add_solve().quote()
