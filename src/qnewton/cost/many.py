"""Prices of many scenarios at once: what break-evens, sweeps and maps are made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qnewton.cost.cheapest_designs import quantum_prices
from qnewton.cost.rivals import cheapest_whole, classical_quotes
from qnewton.cost.scenario import Scenario
from qnewton.queries.arrays import Array
from qnewton.records import Quote


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Modelled seconds of many scenarios, in their order; NaN where there is no price.

    Attributes:
        quantum: With every constant at its kindest, likely and harshest, shape [3, scenarios].
        classical: Of the cheapest classical solver, shape [scenarios].
    """

    quantum: Array
    classical: Array

    @cached_property
    def advantage(self) -> Array:
        """ln(classical/quantum), shape [3, scenarios]: above 0 the quantum solver wins."""
        with np.errstate(divide="ignore"):
            return np.log(self.classical) - np.log(self.quantum)


def prices(scenarios: Sequence[Scenario]) -> Prices:
    """Price many scenarios at once, each by its cheapest quantum design at the likely constants.

    Cost: 0.1 to 0.5 ms per scenario, most of it for the classical solvers.

    Example:
        >>> from qnewton.cost import kappa_facts, load_hardware, nominal_calibration
        >>> one = Scenario(facts=kappa_facts(12_544, 30.0, 64), calibration=nominal_calibration(),
        ...                hardware=load_hardware("qubit_gate_ns_e3"))
        >>> found = prices([one, one])
        >>> found.quantum.shape, bool(found.advantage[1, 0] < 0)
        ((3, 2), True)
    """
    return Prices(quantum=quantum_prices(scenarios), classical=_classical(scenarios))


def cheapest_rival(scenario: Scenario) -> Quote | None:
    """Return the quote of the cheapest classical solver; ``None`` where none has a price."""
    asked = {"tolerance": scenario.tolerance, "solvers": scenario.solvers}
    return cheapest_whole(
        quote
        for machine in (scenario.calibration, *scenario.rivals)
        for quote in classical_quotes(machine, scenario.facts, scenario.dtype, **asked)
    )


def _classical(scenarios: Sequence[Scenario]) -> Array:
    known: dict[Any, float] = {}
    found = []
    for scenario in scenarios:
        machines = tuple(map(id, (scenario.calibration, *scenario.rivals)))
        key = (machines, scenario.facts, scenario.tolerance, scenario.solvers)
        if key not in known:
            rival = cheapest_rival(scenario)
            known[key] = math.nan if rival is None or rival.seconds is None else rival.seconds
        found.append(known[key])
    return np.array(found)
