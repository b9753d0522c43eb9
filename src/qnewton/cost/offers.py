"""Every classical price by the name of its solver, for whoever prices without solving."""

from collections.abc import Callable, Collection, Mapping

from qnewton.cost.direct import (
    cholesky_quote,
    ldl_quote,
    lu_inverse_quote,
    lu_quote,
    sparse_lu_quote,
    woodbury_quote,
)
from qnewton.cost.krylov import cg_quote, minres_quote, sparse_cg_quote
from qnewton.records import Calibration, Facts, Quote

ClassicalPrice = Callable[[Calibration, Facts, str, float], Quote]

CLASSICAL_PRICES: Mapping[str, ClassicalPrice] = {
    "lu_inverse": lambda c, f, dtype, _: lu_inverse_quote(c, f, dtype),
    "lu": lambda c, f, dtype, _: lu_quote(c, f, dtype),
    "cholesky": lambda c, f, dtype, _: cholesky_quote(c, f, dtype),
    "cg": lambda c, f, dtype, tolerance: cg_quote(c, f, dtype, tolerance=tolerance),
    "ldl": lambda c, f, dtype, _: ldl_quote(c, f, dtype),
    "minres": lambda c, f, dtype, tolerance: minres_quote(c, f, dtype, tolerance=tolerance),
    "woodbury": lambda c, f, dtype, _: woodbury_quote(c, f, dtype),
    "sparse_cg": lambda c, f, dtype, tolerance: sparse_cg_quote(c, f, dtype, tolerance=tolerance),
    "sparse_lu": lambda c, f, dtype, _: sparse_lu_quote(c, f, dtype),
}
"""Calibration, facts, dtype and relative residual in; the solver's quote out."""


def classical_quotes(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    solvers: Collection[str] | None = None,
) -> tuple[Quote, ...]:
    """Return a quote of each classical solver that can take the system as it is held.

    Args:
        calibration: The classical machine.
        facts: Facts of the system.
        dtype: ``float32`` or ``float64``.
        tolerance: Relative residual of iterative solvers.
        solvers: The competitors; ``None`` for all.

    Raises:
        ValueError: If a solver is unknown or a number out of range.

    Cost:
        Some microseconds a solver.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> quotes = classical_quotes(nominal_calibration(), Facts(n=100))
        >>> sorted(quote.solver for quote in quotes if quote.seconds is not None)
        ['cholesky', 'ldl', 'lu', 'lu_inverse']
    """
    names = tuple(CLASSICAL_PRICES) if solvers is None else tuple(solvers)
    for name in names:
        if name not in CLASSICAL_PRICES:
            raise ValueError(
                f"no classical solver is called {name!r}; choose {', '.join(CLASSICAL_PRICES)}"
            )
    sparse = facts.representation == "sparse" or facts.entries is not None
    left_out = {
        "woodbury": facts.representation != "low-rank",
        "sparse_cg": not sparse,
        "sparse_lu": not sparse,
    }
    return tuple(
        CLASSICAL_PRICES[name](calibration, facts, dtype, tolerance)
        for name in names
        if not left_out.get(name, False)
    )
