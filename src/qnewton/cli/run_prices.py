"""The table of ``qnewton replay`` with one row per run: who wins, and the break-even gate time."""

from collections.abc import Sequence
from typing import Any

from qnewton.cli.output import RESULTS, print_json, say
from qnewton.experiments.run_prices import RunPrice, verdict
from qnewton.records import encode

_NOTE = (
    "wins: solves at which the quantum machine is cheaper, of those that have both prices; "
    "classical and quantum: their modelled seconds, each by the cheapest solver of its kind. gate "
    "time: at which both are equal, the read-out time scaled with it; none where no time is "
    "short enough."
)


def print_run_prices(
    prices: Sequence[RunPrice], cost_model: str, *, as_json: bool, verbose: bool
) -> None:
    """Print the verdict and a row per run, or all of it as one JSON object.

    Args:
        prices: One per run.
        cost_model: The price of the quantum solver that they were made by.
        as_json: Whether to print JSON.
        verbose: Whether to add who would solve what, and what the columns mean.
    """
    said = verdict(prices)
    if as_json:
        runs = [encode(price) for price in prices]
        print_json({"cost_model": cost_model, "runs": runs, "verdict": said})
        return
    from qnewton.report.table import Column, table_of

    columns: tuple[Column[RunPrice], ...] = (
        Column("run", lambda price: price.run, words=True),
        Column("steps", lambda price: f"{price.steps:,}"),
        Column("N", lambda price: f"{price.unknowns:,}"),
        Column("wins", lambda price: f"{price.quantum_wins}/{price.priced}"),
        Column("classical", lambda price: _seconds(price, price.classical_seconds)),
        Column("quantum", lambda price: _seconds(price, price.quantum_seconds)),
        Column("gate time", _break_even),
    )
    title = f"{len(prices)} runs priced again, quantum price {cost_model}, modelled seconds"
    say(said)
    RESULTS.print(table_of(title, columns, prices, _NOTE if verbose else "").rich())
    if not verbose:
        return
    solvers = [(price, name) for price in prices for name in price.solves_by_solver]
    by_solver: tuple[Column[tuple[RunPrice, str]], ...] = (
        Column("run", lambda row: row[0].run, words=True),
        Column("cheapest of all", lambda row: row[1], words=True),
        Column("solves", lambda row: f"{row[0].solves_by_solver[row[1]]:,}"),
        Column("modelled seconds", lambda row: f"{row[0].seconds_by_solver[row[1]]:.2g}"),
    )
    RESULTS.print(table_of("who would solve what", by_solver, solvers, "").rich())


def _seconds(price: RunPrice, seconds: float) -> str:
    return f"{seconds:.2g}" if price.priced else "–"


def _break_even(price: RunPrice) -> Any:
    if price.gate_time_s is not None:
        return f"{price.gate_time_s:.1e}"
    return "none" if price.priced else "–"
