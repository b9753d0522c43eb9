"""What conjugate gradients cost with the diagonal of A as their preconditioner."""

import math
from functools import partial

from qnewton.cost.convergence import Bounds, pcg_products
from qnewton.cost.krylov import CG_VECTORS, accuracy, bounded_products
from qnewton.cost.parts import Draft, definiteness_known
from qnewton.records import Calibration, Estimate, Facts, Formed, LowRank, Quote, Sparse


def pcg_diagonal_quote(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    products: int | None = None,
) -> Quote:
    """Price conjugate gradients on A behind its own diagonal D.

    Args:
        calibration: The classical machine.
        facts: Facts of a system whose diagonal is there: entries, or a factor U of U Uᵀ + λI. The
            products are those of κ of D^-½ A D^-½, which somebody has to have measured or given.
        dtype: ``float32`` or ``float64``.
        tolerance: Relative residual to reach.
        products: Price as many, whatever the facts say.

    Returns:
        The quote of solver ``pcg_diagonal``; refused if A is indefinite, its diagonal is not
        there, nobody knows its condition number after the division, or a rate is missing.

    Raises:
        ValueError: If the tolerance or a condition number is out of range.

    Cost:
        A few scalar operations.

    Reference:
        See :func:`~qnewton.cost.pcg_products`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> pcg_diagonal_quote(nominal_calibration(), Facts(n=100)).refused
        'nobody knows the condition number after diagonal scaling; give --preconditioned-kappa, or \
--matrix to measure it'
    """
    model = "⌈½√κ_D ln(2√κ/ε)⌉ products, κ_D of D^-½ A D^-½"
    draft = Draft("pcg_diagonal", calibration, facts, dtype, model)
    signs, since = definiteness_known(facts)
    if signs == "indefinite":
        return draft.refuse(f"A is indefinite{since}; CG needs a positive definite matrix").quote()
    if not isinstance(facts.held, Formed | Sparse | LowRank):
        return draft.refuse("the diagonal of A is not there: A is not held by entries").quote()
    if products is None:
        products = _bounded(draft, tolerance)
    if products is None:
        return draft.quote()
    if signs is None:
        draft.assume("positive definite, which nobody has certified")
    elif since:
        draft.assume(f"positive definite{since}")
    n = float(facts.n)
    draft.keep("its vectors", (CG_VECTORS + 2) * n)
    draft.add_products(products).add_vectors("cg_step", products)
    draft.add("preconditioner", "elementwise", products * n, calls=products)
    return draft.add_residual().quote(products=products, **accuracy(facts, tolerance))


def _bounded(draft: Draft, tolerance: float) -> int | None:
    """Return the products that both condition numbers bound, or refuse."""
    spectrum = draft.facts.spectrum
    behind = spectrum.preconditioned
    if behind is None:
        unknown = "nobody knows the condition number after diagonal scaling"
        draft.refuse(f"{unknown}; give --preconditioned-kappa, or --matrix to measure it")
        return None
    value = _finite(behind)
    if value is None:
        draft.refuse(f"the condition number after diagonal scaling is {behind.describe()}")
        return None
    condition = spectrum.condition
    kappa = None if condition is None else _finite(condition)
    if kappa is None:
        kappa = max(value, 1.0 if condition is None else condition.low or 1.0)
        draft.assume(f"κ of A is not known: {kappa:.3g} stands for it, which it may exceed")
    towards = partial(pcg_products, value)
    described = f"κ_D = {behind.describe()}"
    return bounded_products(draft, Bounds(towards, towards), kappa, tolerance, described)


def _finite(estimate: Estimate) -> float | None:
    value = estimate.value
    return value if value is not None and math.isfinite(value) else None
