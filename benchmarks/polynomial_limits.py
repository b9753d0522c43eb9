"""Do the solvers' polynomials still hold what they promise at degree 10⁶?

Degree, largest value and error are measured on grids, beside what the theorems say. No timing.
"""

import math

import numpy as np

from benchmarks.harness import Report, Row, Say, reached
from qnewton.solvers.quantum import InversePolynomial, cks_polynomial, inverse_polynomial
from qnewton.solvers.quantum.dalzell import KernelFilter

POINTS = 2_000
_ROUNDING = 1e-12


def measure(say: Say) -> Report:
    """Evaluate each polynomial near the largest degree that is allowed."""
    rows = []
    for name, polynomial in (
        ("Sünderhauf", inverse_polynomial(4e4, 1e-6)),
        ("Childs, Kothari, Somma", cks_polynomial(1.6e4, 1e-6)),
    ):
        say(f"{name}, degree {polynomial.degree:,}")
        rows += _inverse(name, polynomial)
    say("Dalzell")
    rows.append(_kernel(KernelFilter(kappa=7e4, degree=500_000)))
    return Report("polynomial_limits", rows)


def _inverse(name: str, polynomial: InversePolynomial) -> list[Row]:
    kappa = polynomial.kappa
    inside = np.geomspace(1 / kappa, 1.0, POINTS)
    error = float(np.abs(polynomial.evaluate(inside) - 1 / inside).max())
    limit = polynomial.error_bound + _ROUNDING * polynomial.sup_norm
    gap = np.linspace(0.0, 2 / kappa, POINTS)
    highest = float(np.abs(polynomial.evaluate(gap)).max())
    title = f"{name}, degree {polynomial.degree:,}, κ = {kappa:g}"
    return [
        reached(
            f"{title}: |P(x) - 1/x| on [1/κ, 1]",
            f"≤ {limit:.2g}",
            f"{error:.2g}",
            error <= limit,
        ),
        reached(
            f"{title}: max |P| beside the one stated, {polynomial.sup_norm:.6g}",
            "within 0.1%, not above",
            f"{highest:.6g}",
            0.999 <= highest / polynomial.sup_norm <= 1 + 1e-9,
        ),
    ]


def _kernel(kernel: KernelFilter) -> Row:
    delta = 1 / kernel.kappa
    eta = 1 / (math.cosh(kernel.degree * math.acosh((1 + delta**2) / (1 - delta**2))) + 1)
    x = np.append(0.0, np.geomspace(delta, 1.0, POINTS))
    found = kernel.of_squares(x**2)
    off, kept = float(np.abs(found[1:] + 1).max()), float(found[0])
    return reached(
        f"Dalzell's kernel filter, {2 * kernel.degree:,} queries, κ = {kernel.kappa:g}: "
        f"|K + 1| on [1/κ, 1], and K(0)",
        f"≤ 4η = {4 * eta:.2g}, 1",
        f"{off:.2g}, {kept:g}",
        off <= 4 * eta * (1 + 1e-6) + _ROUNDING and abs(kept - 1) <= _ROUNDING,
    )
