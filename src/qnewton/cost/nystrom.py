"""What conjugate gradients cost with a preconditioner of sketched eigenpairs."""

import math
from functools import partial

from qnewton.cost.convergence import Bounds, cg_products, pcg_products
from qnewton.cost.krylov import (
    CG_VECTORS,
    accuracy,
    bounded_products,
    counted_products,
    earlier_of,
)
from qnewton.cost.parts import SKETCH, Draft
from qnewton.records import Calibration, Facts, PriceTerm, Quote
from qnewton.records.messages import check

USUAL_RANK = 64
"""Eigenpairs that are sketched where nobody knows how many stand out."""

PRECONDITIONED = 28.0
"""κ that a sketch of the effective dimension leaves in the mean, at most."""

# Operations of orthogonal bases and singular values, in N·ℓ², and normal numbers that are drawn.
_ASSEMBLY_FLOPS, _DRAWS = 16.0, 16


def nystrom_rank(facts: Facts) -> int:
    """Return the rank ℓ of a Nyström sketch: 2⌈1.5·d⌉ + 1 for the effective dimension d.

    64 where nobody knows d, N at most.

    Reference:
        Frangella, Tropp and Udell, SIAM J. Matrix Anal. Appl. 44 (2023), theorem 5.1.

    Example:
        >>> from qnewton.records import Spectrum
        >>> nystrom_rank(Facts(n=1000)), nystrom_rank(
        ...     Facts(n=1000, spectrum=Spectrum(effective_dimension=10.0))
        ... )
        (64, 31)
    """
    dimension = facts.spectrum.effective_dimension
    if dimension is None:
        return min(facts.n, USUAL_RANK)
    check("effective_dimension", dimension, "must be 0 or more", dimension >= 0.0)
    return min(facts.n, 2 * math.ceil(1.5 * dimension) + 1)


def pcg_nystrom_quote(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    products: int | None = None,
) -> Quote:
    """Price conjugate gradients behind a randomised Nyström preconditioner of A = G + λI.

    Args:
        calibration: The classical machine.
        facts: Facts of a system whose G is positive semidefinite by its form. The products are
            those of an earlier step; else, where the effective dimension is known, those of κ = 28,
            which a sketch of twice as many eigenpairs leaves.
        dtype: ``float32`` or ``float64``; the sketch is float64.
        tolerance: Relative residual to reach.
        products: Price as many, whatever the facts say.

    Returns:
        The quote of solver ``pcg_nystrom`` with terms ``sketch``, ``products``, ``preconditioner``,
        ``vectors`` and ``residual``; refused if nothing tells its products or a rate is
        missing.

    Raises:
        ValueError: If the tolerance or the effective dimension is out of range.

    Cost:
        A few scalar operations.

    Reference:
        Frangella, Tropp and Udell, Randomized Nyström preconditioning, SIAM J. Matrix Anal. Appl.
        44 (2023), theorem 5.1: κ ≤ 28 in the mean.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> pcg_nystrom_quote(nominal_calibration(), Facts(n=100)).refused
        'nobody knows how many products preconditioned CG takes'
    """
    model = "a sketch of ℓ products, and those of κ ≤ 28 or the last step's"
    draft = Draft("pcg_nystrom", calibration, facts, dtype, model)
    history, rank = earlier_of(facts).pcg, nystrom_rank(facts)
    known = facts.spectrum.effective_dimension
    if products is None and known is not None and history.products is None:
        draft.assume(f"effective dimension {known:.3g}: a sketch of {rank} leaves κ ≤ 28")
        condition = facts.spectrum.condition
        plain = PRECONDITIONED if condition is None else condition.value or PRECONDITIONED
        towards = partial(pcg_products, PRECONDITIONED)
        bounds = Bounds(lambda _, residual: cg_products(PRECONDITIONED, residual), towards)
        products = bounded_products(draft, bounds, plain, tolerance, "κ ≤ 28 behind the sketch")
    counted = counted_products(draft, "preconditioned CG", history, None, tolerance, products)
    if counted is None:
        return draft.quote()
    count, _ = counted
    n = float(facts.n)
    fewer = "sketch fewer eigenpairs (rank)"
    draft.keep("a sketch", n * rank).keep("its basis", n * rank, dtype="float64", fewer=fewer)
    draft.keep("its vectors", CG_VECTORS * n).add_sketch(rank)
    double = Draft("pcg_nystrom", calibration, facts, "float64", model)
    kernel = "householder" if double.timed("householder") else "gram"
    double.add(SKETCH, kernel, _ASSEMBLY_FLOPS * n * rank**2)
    double.add(SKETCH, "elementwise", _DRAWS * n * rank)
    if double.refused is not None:
        return draft.refuse(double.refused).quote()
    seconds = math.fsum(term.seconds for term in (*draft.terms, *double.terms))
    draft.terms = [PriceTerm(name=SKETCH, seconds=seconds)]
    draft.add_products(count).add("preconditioner", "matvec", 2 * n * rank * count, calls=2 * count)
    draft.add_vectors("cg_step", count).add_residual()
    return draft.quote(products=count, **accuracy(facts, tolerance))
