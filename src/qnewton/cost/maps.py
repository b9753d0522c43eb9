"""A price over two assumptions: the table behind a map, and where both prices are equal."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qnewton.cost.audit import priced_machine
from qnewton.cost.audited import audited_lot
from qnewton.cost.axes import Axis
from qnewton.cost.designs import LIKELY
from qnewton.cost.many import Prices, cheapest_rival, prices
from qnewton.cost.scenario import Scenario
from qnewton.queries.arrays import Array
from qnewton.records import QuantumHardware
from qnewton.records.messages import check

ENDS = ("kindest", "likely", "harshest")
"""What the three prices of a quantum solver take for its constants."""


@dataclass(frozen=True, kw_only=True)
class PriceMap:
    """Modelled seconds over a grid of two assumptions, logarithmically spaced.

    Attributes:
        scenario: What holds elsewhere, with the user's own values of both.
        x: The first assumption.
        y: The second.
        xs: Its values, rising, shape [columns].
        ys: Those of the second, shape [rows].
        prices: Of the scenarios row by row.
    """

    scenario: Scenario
    x: Axis
    y: Axis
    xs: Array
    ys: Array
    prices: Prices

    @property
    def advantage(self) -> Array:
        """ln(classical/quantum), shape [3, rows, columns]; the first axis is :data:`ENDS`."""
        return self.prices.advantage.reshape(3, len(self.ys), len(self.xs))

    @property
    def machine(self) -> QuantumHardware:
        """The quantum machine, hypothetical where an axis varies what a real one can do."""
        here = self.scenario
        corners = (here, *(self.x.at(self.y.at(here, self.ys[i]), self.xs[i]) for i in (0, -1)))
        kinds = [priced_machine(at.hardware, at.audit).hypothetical for at in corners]
        return replace(here.hardware, hypothetical=any(kinds))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give one row per point: both values and the modelled seconds."""
        names = [f"quantum_{end}_s" for end in ENDS]
        for place in range(len(self.xs) * len(self.ys)):
            row, column = divmod(place, len(self.xs))
            yield {
                self.x.name: float(self.xs[column]),
                self.y.name: float(self.ys[row]),
                **{n: _known(s) for n, s in zip(names, self.prices.quantum[:, place], strict=True)},
                "classical_s": _known(self.prices.classical[place]),
            }

    def crossings(self) -> list[dict[str, Any]]:
        """Return where both prices are equal: one row per value of x, end and crossing.

        Between two points of the grid ln(classical/quantum) is taken as linear in the logarithm.
        """
        found, logs = [], np.log(self.ys)
        for end, advantage in zip(ENDS, self.advantage, strict=True):
            known = np.isfinite(advantage[:-1]) & np.isfinite(advantage[1:])
            changes = known & ((advantage[:-1] > 0) != (advantage[1:] > 0))
            for row, column in np.argwhere(changes):
                below, above = advantage[row, column], advantage[row + 1, column]
                at = logs[row] - below * (logs[row + 1] - logs[row]) / (above - below)
                place = {self.x.name: float(self.xs[column]), self.y.name: math.exp(at)}
                found.append({"constants": end, **place})
        return found

    @property
    def priced(self) -> int:
        """Points at which both solvers have a price at the likely constants."""
        return int(np.isfinite(self.prices.advantage[LIKELY]).sum())

    @property
    def shares(self) -> dict[str, float]:
        """The share of the priced points at which the quantum solver is cheaper, by constants."""
        known = np.isfinite(self.prices.advantage)
        wins = (self.prices.advantage > 0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
        return dict(zip(ENDS, map(float, wins), strict=True))


def _refuse_where_nothing_is_priced(corners: Sequence[Scenario]) -> None:
    """Raise ``ValueError`` where no corner has both prices.

    Along every axis both prices rise or fall, so that one corner has a price where any point has.
    """
    quantum = [found.quote for found in audited_lot(corners)]
    if all(quote.seconds is None for quote in quantum):
        raise ValueError(f"the quantum solver has no price: {quantum[0].refused}")
    if all(cheapest_rival(corner) is None for corner in corners):
        raise ValueError("no classical solver has a price at any corner of the map")


def _known(seconds: float) -> float | None:
    return float(seconds) if math.isfinite(seconds) else None


def price_map(
    scenario: Scenario,
    x: tuple[Axis, float, float],
    y: tuple[Axis, float, float],
    points: int = 60,
) -> PriceMap:
    """Price a scenario over two assumptions.

    Args:
        scenario: Everything else.
        x: An assumption, and the ends of its range.
        y: Another one.
        points: Values of each.

    Raises:
        ValueError: If both are the same, a range does not rise, there are fewer than 2 points, or
            the quantum or every classical solver has no price at any corner: nothing would be
            compared.

    Cost: 0.1 to 0.5 ms per point: a second for 60 × 60, 4 to 20 s for 200 × 200.

    Example:
        >>> from qnewton.cost import AXES, kappa_facts, load_hardware, nominal_calibration
        >>> here = Scenario(facts=kappa_facts(12_544, 30.0, 64), calibration=nominal_calibration(),
        ...                 hardware=load_hardware("qubit_gate_ns_e3"))
        >>> found = price_map(here, (AXES["kappa"], 1, 1e3), (AXES["n"], 1e3, 1e9), points=5)
        >>> found.advantage.shape, found.shares["likely"]
        ((3, 5, 5), 0.0)
    """
    if x[0].name == y[0].name:
        raise ValueError(f"both axes are {x[0].name!r}; choose two assumptions")
    check("points", points, "must be at least 2", points >= 2)
    values = []
    for axis, low, high in (x, y):
        limits = "must rise from above 0"
        check(f"range of {axis.name}", f"{low:g} to {high:g}", limits, 0 < low < high)
        # exp(log(high)) may lie beyond high by a rounding.
        values.append(np.clip(np.geomspace(low, high, points), low, high))
    columns, rows = values
    _refuse_where_nothing_is_priced(
        [x[0].at(y[0].at(scenario, b), a) for b in rows[[0, -1]] for a in columns[[0, -1]]]
    )
    grid = [x[0].at(y[0].at(scenario, b), a) for b in rows for a in columns]
    known = {"scenario": scenario, "x": x[0], "y": y[0], "xs": columns, "ys": rows}
    return PriceMap(**known, prices=prices(grid))
