"""What every classical solver that can take a system asks for it."""

from collections.abc import Collection, Iterable

from qnewton.cost.audit import Market
from qnewton.cost.solvers import SOLVERS, classical_solver, quote_by, rivals
from qnewton.records import Calibration, Facts, Quote
from qnewton.records.quotes import cheapest


def cheapest_whole(quotes: Iterable[Quote]) -> Quote | None:
    """Return the cheapest quote that leaves no part of a solve out, as the paper's C·N³ does.

    Where no other has a price, the paper's is taken.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> found = classical_quotes(nominal_calibration(), Facts(n=4))
        >>> cheapest(found).solver, cheapest_whole(found).solver
        ('lu_inverse', 'cholesky')
    """
    every = list(quotes)
    return cheapest(quote for quote in every if is_whole(quote)) or cheapest(every)


def is_whole(quote: Quote) -> bool:
    """Return whether a quote leaves no part of a solve out, as the paper's C·N³ does.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> found = classical_quotes(nominal_calibration(), Facts(n=4))
        >>> [quote.solver for quote in found if not is_whole(quote)]
        ['lu_inverse']
    """
    solver = SOLVERS.find(quote.solver)
    return solver is None or solver.price_as_timed is None


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
        Some microseconds per solver.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> quotes = classical_quotes(nominal_calibration(), Facts(n=100))
        >>> sorted(quote.solver for quote in quotes if quote.seconds is not None)
        ['cholesky', 'ldl', 'lu', 'lu_inverse']
    """
    market = Market(calibration, tolerance=tolerance, dtype=dtype)
    asked = None if solvers is None else [classical_solver(name) for name in solvers]
    takers = [s for s in (rivals() if asked is None else asked) if s.takes(facts)]
    return tuple(quote_by(solver, solver.price, facts, market) for solver in takers)
