"""What Krylov solvers cost: products, the vectors beside them, and the check of the residual.

How many products is what the last step of the block took, else what its condition number bounds.
A survey may take as many as one factorisation is worth.
"""

import math
from typing import Any

from qnewton.cost.convergence import (
    CG_BOUNDS,
    DEFINITE_MINRES_BOUNDS,
    MINRES_BOUNDS,
    Bounds,
    relative_error,
)
from qnewton.cost.kernels import cubic_work, matvec_work, price
from qnewton.cost.parts import BASIS, Draft, definiteness_known
from qnewton.records import Calibration, Earlier, Facts, KrylovHistory, Quote, Sparse

USUAL_PRODUCTS = 32
"""Products that a damped solve to a rough residual takes, as long as nobody counted them."""


def cg_quote(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    products: int | None = None,
) -> Quote:
    """Price conjugate gradients on A as it is held: entries, a factor, or products alone.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; the products are those of ``facts.earlier`` where an earlier
            step spent some, else :func:`cg_products` of the condition number.
        dtype: ``float32`` or ``float64``.
        tolerance: Relative residual to reach.
        products: Price as many, whatever the facts say.

    Returns:
        The quote of solver ``cg`` with terms ``products``, ``vectors`` and ``residual``; refused
        if A is known to be indefinite, nothing tells its products, or a rate is missing.

    Raises:
        ValueError: If the tolerance or the condition number is out of range.

    Cost:
        A few scalar operations.

    Reference:
        See :func:`cg_products`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> cg_quote(nominal_calibration(), Facts(n=100)).refused
        'the condition number is unknown; measure it to price CG'
    """
    draft = Draft("cg", calibration, facts, dtype, "⌈½√κ ln(2√κ/ε)⌉ products, or the last step's")
    return _definite_quote(draft, tolerance, products, on_entries=False)


def sparse_cg_quote(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    products: int | None = None,
) -> Quote:
    """Price conjugate gradients on the nonzero entries alone.

    As :func:`cg_quote`; a product is ``sparse_matvec`` of the entries, which are searched for
    (``compress``) where A is formed.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> from qnewton.records import Earlier, KrylovHistory
        >>> earlier = Earlier(step=0, cg=KrylovHistory(products=5))
        >>> sparse_cg_quote(nominal_calibration(), Facts(n=10, earlier=earlier)).refused
        'the number of nonzero entries is unknown'
    """
    model = "⌈½√κ ln(2√κ/ε)⌉ products of the nonzero entries, or the last step's"
    draft = Draft("sparse_cg", calibration, facts, dtype, model)
    return _definite_quote(draft, tolerance, products, on_entries=True)


def minres_quote(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    products: int | None = None,
) -> Quote:
    """Price MINRES on A as it is held; A may be indefinite.

    Beside products and vectors it pays for the basis that each step is made orthogonal to.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; the products are the last step's, else ½√κ ln(2√κ/ε) where A
            is known to be definite and κ ln(2/ε) where it is not.
        dtype: ``float32`` or ``float64``.
        tolerance: Relative residual to reach.
        products: Price as many, whatever the facts say.

    Returns:
        The quote of solver ``minres``, refused if nothing tells its products or a rate is missing.

    Raises:
        ValueError: If the tolerance or the condition number is out of range.

    Reference:
        See :func:`minres_products`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> minres_quote(nominal_calibration(), Facts(n=100)).refused
        'the condition number is unknown; measure it to price MINRES'
    """
    model = "⌈κ ln(2/ε)⌉ products, ⌈½√κ ln(2√κ/ε)⌉ of a definite matrix, or the last step's"
    draft = Draft("minres", calibration, facts, dtype, model)
    definite = definiteness_known(facts)[0] == "positive"
    bounds = DEFINITE_MINRES_BOUNDS if definite else MINRES_BOUNDS
    counted = counted_products(
        draft, "MINRES", earlier_of(facts).minres, bounds, tolerance, products
    )
    if counted is None:
        return draft.quote()
    count, condition = counted
    n = float(facts.n)
    draft.keep("its vectors", _MINRES_VECTORS * n, dtype="float64")
    draft.keep("its basis", n * _basis_vectors(facts.n, count))
    draft.add_products(count).add_vectors("minres_step", count)
    draft.add(BASIS, "matvec", _basis_entries(facts.n, count), calls=count).add_residual()
    return draft.quote(
        condition_number=condition, products=count, **accuracy(draft.facts, tolerance)
    )


CG_VECTORS = 4
"""N-vectors of conjugate gradients beside the matrix."""

CG_BASIS, CG_BASIS_FROM = 32, 256
"""Residuals that conjugate gradients keep, and the unknowns from which they keep them."""

_MINRES_VECTORS = 6

MINRES_BASIS_ENTRIES = 1 << 24
"""Entries of basis vectors that MINRES keeps, and reads twice a step."""


def _basis_entries(n: int, products: int) -> float:
    """Return the entries of the basis that are read, 2N·min(k, K) in step k."""
    kept = _basis_vectors(n, products)
    return n * kept * (2.0 * products - kept)


def _basis_vectors(n: int, products: int) -> float:
    """Return the vectors of the basis that are kept, rounded up so that N of them never fall."""
    # ⌊E/N⌋ + 1 are, whose entries fall where one vector less fits. The most before are E + E/k, of
    # N = E/k with the next whole number k.
    fewer = MINRES_BASIS_ENTRIES // n
    most = MINRES_BASIS_ENTRIES + MINRES_BASIS_ENTRIES / (fewer + 1.0)
    return min(float(products), max(fewer + 1.0, most / n))


_Counted = tuple[int, float | None]
"""Products to price, and the condition number that bounds them, if one does."""


def _definite_quote(
    draft: Draft, tolerance: float, products: int | None, *, on_entries: bool
) -> Quote:
    known, since = definiteness_known(draft.facts)
    if known == "indefinite":
        return draft.refuse(f"A is indefinite{since}; CG needs a positive definite matrix").quote()
    counted = counted_products(
        draft, "CG", earlier_of(draft.facts).cg, CG_BOUNDS, tolerance, products
    )
    if counted is None:
        return draft.quote()
    count, condition = counted
    if known is None:
        draft.assume("positive definite, which nobody has certified")
    elif since:
        draft.assume(f"positive definite{since}")
    n = float(draft.facts.n)
    draft.keep("its vectors", CG_VECTORS * n)
    if not on_entries and not isinstance(draft.facts.held, Sparse) and n >= CG_BASIS_FROM:
        fewer = f"keep fewer than {CG_BASIS} basis vectors"
        draft.keep("its basis", CG_BASIS * n, fewer=fewer)
    if on_entries:
        draft.add_entry_products(count + 1).add_vectors("cg_step", count)
    else:
        draft.add_products(count).add_vectors("cg_step", count).add_residual()
    return draft.quote(
        condition_number=condition, products=count, **accuracy(draft.facts, tolerance)
    )


def counted_products(
    draft: Draft,
    name: str,
    history: KrylovHistory,
    bounds: Bounds | None,
    tolerance: float,
    products: int | None,
) -> _Counted | None:
    """Return the products to price, or refuse: the last step's before what κ bounds, if it does."""
    if products is not None:
        return products, None
    earlier = earlier_of(draft.facts)
    if history.products is not None:
        asked = residual_asked(draft.facts, tolerance)
        products = _rescaled(history.products, earlier.tolerance, asked)
        draft.assume(f"{products} products, as many as step {earlier.step} took")
        return products, None
    unfinished, expected = history.unfinished, history.expected
    if unfinished is not None and expected is not None:
        asked = residual_asked(draft.facts, tolerance)
        products = _rescaled(expected, earlier.tolerance, asked)
        reached = f"the residual that {unfinished} reached at step {earlier.step}"
        draft.assume(f"{products} products, as foretold by {reached}")
        return products, None
    if unfinished is not None:
        draft.refuse(f"{name} had not converged after {unfinished} products at step {earlier.step}")
        return None
    if bounds is None:
        draft.refuse(f"nobody knows how many products {name} takes")
        return None
    condition = draft.facts.spectrum.condition
    if condition is None:
        draft.refuse(f"the condition number is unknown; measure it to price {name}")
        return None
    value, described = condition.value, condition.describe()
    if value is None and condition.log_value is None:
        draft.refuse(f"the condition number is not known, {described}, so {name} has no price")
        return None
    if value is None or not math.isfinite(value):
        draft.refuse(f"the condition number is {described}, too large to price {name}")
        return None
    return bounded_products(draft, bounds, value, tolerance, f"κ = {described}"), value


def bounded_products(
    draft: Draft, bounds: Bounds, kappa: float, tolerance: float, described: str
) -> int:
    """Return the most products that a solver takes to what is asked of it, and say so.

    Args:
        draft: The quote in the making.
        bounds: The solver's.
        kappa: The condition number that they hang on.
        tolerance: Relative residual, where its facts ask for no error of the direction.
        described: The condition number, in words.
    """
    to_residual = bounds.residual(kappa, tolerance)
    asked = draft.facts.direction_error
    most = "products: an upper bound in exact arithmetic at"
    if asked is None:
        draft.assume(f"{to_residual} {most} {described} for a residual of {tolerance:.2g}")
        return to_residual
    products = bounds.error(kappa, relative_error(asked))
    instead = f"a residual of {tolerance:.2g} would take {to_residual}"
    said = f"for an error of {asked:.2g} in the direction"
    draft.assume(f"{products} {most} {described} {said}; {instead}")
    return products


def residual_asked(facts: Facts, tolerance: float) -> float:
    """Return the relative residual that a solver has to reach: e/κ for an error e of x.

    Example:
        >>> residual_asked(Facts(n=3), 1e-6)
        1e-06
    """
    condition = facts.spectrum.condition
    if facts.direction_error is None or condition is None or condition.value is None:
        return tolerance
    return relative_error(facts.direction_error) / condition.value


def accuracy(facts: Facts, tolerance: float) -> dict[str, Any]:
    """Return what a quote says of how exactly its solver solves."""
    if facts.direction_error is not None:
        return {"direction_error": facts.direction_error}
    return {"tolerance": tolerance}


def earlier_of(facts: Facts) -> Earlier:
    """Return what earlier steps left of a system, which may be nothing."""
    return facts.earlier or Earlier(step=0)


def _rescaled(products: int, reached: float | None, tolerance: float) -> int:
    """Return the products to another residual: they grow as ln(2/ε)."""
    if reached is None or reached == tolerance:
        return products
    return max(1, math.ceil(products * math.log(2 / tolerance) / math.log(2 / reached)))


FEWEST_PRODUCTS = 16
"""Granted whatever they cost: about a millisecond."""

# Kernels that one step of the recurrence starts, and that a look at its tridiagonal is worth.
_STARTS_PER_STEP = 12
_STARTS_PER_RUN = 60


def lanczos_products(calibration: Calibration, n: int, dtype: str = "float32") -> int | None:
    """Return the most Lanczos products that cost no more than one dense Cholesky factorisation.

    The largest k with k·(N² entries read + 12 kernel starts) + N·k² float64 entries read
    + 60 starts ≤ Cholesky of N unknowns; N·k² is what reorthogonalisation reads. At least 16,
    at most N.

    Args:
        calibration: The machine's constants: ``cholesky`` and ``matvec``.
        n: Unknowns N.
        dtype: dtype of the matrix; the Krylov basis is float64 in any case.

    Returns:
        Products; ``None`` if the calibration lacks a rate.

    Raises:
        ValueError: If N is below 1.

    Cost:
        A few scalar operations.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> [lanczos_products(nominal_calibration(), n) for n in (20, 1_000, 12_544)]
        [16, 20, 299]
    """
    factor = calibration.fit("cholesky", dtype)
    product = calibration.fit("matvec", dtype)
    if factor is None or product is None:
        return None
    basis = calibration.fit("matvec", "float64") or product
    seconds = price(calibration, "cholesky", cubic_work(n), dtype)
    seconds -= _STARTS_PER_RUN * product.overhead_s
    step = price(calibration, "matvec", matvec_work(n), dtype, calls=_STARTS_PER_STEP)
    growth = n * basis.seconds_per_unit
    affordable = 0
    if seconds > 0 and step > 0:
        # The positive root of growth·k² + step·k = seconds, without cancellation.
        root = math.sqrt(step**2 + 4 * growth * seconds)
        affordable = math.floor(2 * seconds / (step + root))
    return min(n, max(FEWEST_PRODUCTS, affordable))
