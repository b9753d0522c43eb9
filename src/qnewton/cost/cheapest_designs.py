"""The cheapest quantum design of many scenarios at once."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from qnewton.cost.budget import Split, Splits
from qnewton.cost.designs import LIKELY, algorithms_of, splits_of
from qnewton.cost.error_correction import machine_refusal
from qnewton.cost.points import Places, Points, alike
from qnewton.cost.scenario import Scenario
from qnewton.queries.arrays import Array

SAMPLED = 128
"""Scenarios on which the designs of more of them are narrowed down."""


def quantum_prices(scenarios: Sequence[Scenario], algorithm: str | None = None) -> Array:
    """Return modelled seconds, each of the design that is cheapest at the likely constants.

    Beyond 128 scenarios the designs are those that are the cheapest of some scenario in an evenly
    drawn sample of 128.

    Args:
        scenarios: Which.
        algorithm: The quantum solver; ``None`` for the cheapest that each audit counts.

    Returns:
        With every constant at its kindest, likely and harshest, shape [3, scenarios]; NaN where
        there is no price.

    Cost: some milliseconds, and 0.1 ms per scenario.
    """
    found = np.full((3, len(scenarios)), np.nan)
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, scenario in enumerate(scenarios):
        if _priceable(scenario):
            groups[alike(scenario)].append(place)
    for places in groups.values():
        found[:, places] = _of_one_kind([scenarios[place] for place in places], algorithm)
    return found


def _priceable(scenario: Scenario) -> bool:
    condition, audit = scenario.facts.spectrum.condition, scenario.audit
    if condition is None or condition.value is None or not math.isfinite(condition.value):
        return False
    return machine_refusal(scenario.hardware, audit.error_correction, audit.physical_error) is None


def _of_one_kind(scenarios: Sequence[Scenario], algorithm: str | None) -> Array:
    """Return the seconds of scenarios whose audits make the same choices, shape [3, scenarios]."""
    audit = scenarios[0].audit
    algorithms, splits, names = algorithms_of(audit, algorithm), splits_of(audit), None
    if len(scenarios) > SAMPLED:
        drawn = np.linspace(0, len(scenarios) - 1, SAMPLED).astype(int)
        sample = Points.of([scenarios[place] for place in drawn])
        if not len(sample.owners):
            return np.full((3, len(scenarios)), np.nan)
        algorithms, splits, names = _winners(sample, algorithms, splits)
    points = Points.of(scenarios, names)
    least = np.full((3, len(scenarios)), np.inf)
    if len(points.owners):
        for name in algorithms:
            chosen = points.designs(name, Splits.of(splits)).least
            cheaper = _cheaper(chosen[LIKELY], points.owners, least[LIKELY])
            least[:, points.owners[cheaper]] = chosen[:, cheaper]
    priced = np.array([reason is None for reason in points.refused])
    return np.where(np.isfinite(least) & priced, least, np.nan)


def _cheaper(seconds: Array, owners: Places, least: Array) -> Places:
    """Return the cheapest point of each scenario, where it is cheaper than what is known."""
    order = np.lexsort((seconds, owners))
    first = order[np.unique(owners[order], return_index=True)[1]]
    return first[seconds[first] < least[owners[first]]]


def _winners(
    points: Points, algorithms: Sequence[str], splits: Sequence[Split]
) -> tuple[tuple[str, ...], tuple[Split, ...], set[str]]:
    """Return algorithms, splits and encodings of the designs that are some scenario's cheapest."""
    found = [points.designs(name, Splits.of(tuple(splits))).seconds[LIKELY] for name in algorithms]
    table = np.array(found).reshape(-1, len(points.owners))
    best, least = np.argmin(table, axis=0), np.full(len(points.scenarios), np.inf)
    winners = _cheaper(np.min(table, axis=0), points.owners, least)
    kinds = sorted({int(best[point]) // len(splits) for point in winners})
    kept = sorted({int(best[point]) % len(splits) for point in winners})
    names = {points.encoding(point).name for point in winners}
    return tuple(algorithms[kind] for kind in kinds), tuple(splits[k] for k in kept), names
