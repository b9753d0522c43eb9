"""Break-even: to what value one assumption would have to change for the choice to flip."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qnewton.cost.audited import audited
from qnewton.cost.axes import AXES, Axis
from qnewton.cost.designs import LIKELY
from qnewton.cost.many import prices
from qnewton.cost.scenario import Scenario
from qnewton.queries import QUERY_SETS
from qnewton.queries.arrays import Array

TOGETHER = "all together"
"""The assumption of a flip that changes several assumptions at once."""

_POINTS, _ROUNDS = 33, 7  # each round divides the span by 32


@dataclass(frozen=True, kw_only=True)
class Flip:
    """The value that one assumption would need for a tie, all others as they are.

    Attributes:
        assumption: Which.
        now: Its value now, in words.
        value: The value nearest to the present one at which the choice flips; ``None`` for an
            assumption without numbers, and where none flips it.
        flips: Whether the choice flips.
        said: One sentence.
        kindest: ``value`` with every constant at its kindest to the quantum solver; ``None`` where
            nothing flips the choice then.
        harshest: ``value`` with every constant at its harshest.
    """

    assumption: str
    now: str
    value: float | None
    flips: bool
    said: str
    kindest: float | None = None
    harshest: float | None = None


def break_even(scenario: Scenario) -> tuple[Flip, ...]:
    """Return, for each assumption, the value at which the other side becomes cheaper.

    A numeric assumption is scanned over its whole range, and the change of sign of
    ln(classical/quantum) nearest to the present value is bisected; where the sign never changes
    the sentence says what the best end of the range costs.

    Args:
        scenario: Where things stand; both solvers need a price.

    Raises:
        ValueError: If one has none.

    Cost:
        Some hundred prices: 0.1 s, or 1 s with ``qdk``.

    Example:
        >>> from qnewton.cost import Audit, kappa_facts, load_hardware, nominal_calibration
        >>> facts = kappa_facts(12_544, 30.0, 64)
        >>> here = Scenario(facts=facts, calibration=nominal_calibration(),
        ...                 hardware=load_hardware("qubit_gate_ns_e3"),
        ...                 audit=Audit(error_correction="closed-form"))
        >>> found = {flip.assumption: flip.flips for flip in break_even(here)}
        >>> found["gate-time"], found["machine-time"]
        (False, True)
    """
    quantum, classical = _both(scenario)
    if quantum is None or classical is None:
        why = audited(scenario).quote.refused if quantum is None else "no classical solver has one"
        raise ValueError(f"break-even compares two prices, and one is missing: {why}")
    numeric = [flip for axis in AXES.values() if (flip := _numeric(scenario, axis)) is not None]
    return (*numeric, *_named(scenario), _competitor(quantum, classical))


def crossing(
    advantage: Callable[[Array], Array], now: float, low: float, high: float
) -> float | None:
    """Return the value in [low, high] nearest to ``now`` (in logarithms) where the sign changes.

    Args:
        advantage: What changes sign, at an array of values; NaN where it is not known.
        now: The present value; within the range.
        low: Lower end, above 0.
        high: Upper end.

    Cost: seven calls of ``advantage`` with 33 values each.

    Example:
        >>> f"{crossing(lambda x: 1.0 - x / 300.0, 2.0, 1.0, 1e6):.6f}"
        '300.000000'
        >>> crossing(lambda x: 1.0 + 0 * x, 2.0, 1.0, 1e6) is None
        True
    """
    here, span = math.log(now), (math.log(low), math.log(high))
    for _ in range(_ROUNDS):
        points = np.unique([*np.linspace(*span, _POINTS), min(max(here, span[0]), span[1])])
        # exp(log(high)) may lie beyond high by a rounding.
        values = advantage(np.clip(np.exp(points), low, high))
        known = np.isfinite(values[:-1]) & np.isfinite(values[1:])
        changes = np.flatnonzero(known & ((values[:-1] > 0) != (values[1:] > 0)))
        if not len(changes):
            return None
        ends = np.minimum(abs(points[changes] - here), abs(points[changes + 1] - here))
        first = changes[int(np.argmin(ends))]
        span = (float(points[first]), float(points[first + 1]))
    return math.exp(sum(span) / 2)


def _both(scenario: Scenario) -> tuple[float | None, float | None]:
    """Return the seconds of the quantum and of the classical solver."""
    found = prices([scenario])
    both = (float(found.quantum[LIKELY, 0]), float(found.classical[0]))
    return tuple(None if math.isnan(seconds) else seconds for seconds in both)  # pyright: ignore[reportReturnType]  # two of them


def _numeric(scenario: Scenario, axis: Axis) -> Flip | None:
    """Return where one assumption flips the choice; ``None`` where the scenario has none of it."""
    now = axis.now(scenario)
    if now is None:
        return None
    low, high = axis.range(scenario)

    def advantage(constants: int) -> Callable[[Array], Array]:
        return lambda values: prices([axis.at(scenario, v) for v in values]).advantage[constants]

    words = f"{now:.3g} {axis.unit}".strip()
    found = crossing(advantage(LIKELY), now, low, high)
    quantum, classical = _both(scenario)
    winner = "classical" if (classical or 0.0) > (quantum or 0.0) else "quantum"
    if found is not None:
        kindest, harshest = (crossing(advantage(end), now, low, high) for end in (0, 2))
        said = f"{axis.quantity}: the {winner} solver wins past {found:.3g} {axis.unit}".rstrip()
        known = {"value": found, "kindest": kindest, "harshest": harshest}
        return Flip(assumption=axis.name, now=words, flips=True, said=said, **known)
    ends = prices([axis.at(scenario, low), axis.at(scenario, high)])
    ratios = {
        value: ratio
        for value, ratio in zip((low, high), np.exp(-ends.advantage[LIKELY]), strict=True)
        if math.isfinite(ratio)
    }
    said = f"{axis.quantity}: nothing flips it"
    if ratios:
        best = (min if winner == "quantum" else max)(ratios, key=ratios.__getitem__)
        said += f"; at {best:.3g} {axis.unit}".rstrip()
        said += f" the quantum solver costs {ratios[best]:.3g} times the classical one"
    return Flip(assumption=axis.name, now=words, value=None, flips=False, said=said)


def _named(scenario: Scenario) -> list[Flip]:
    audit = scenario.audit
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("table loading", "reads of QRAM", {"tables": "qram"}),
        ("table loading", "writing the tables free", {"table_building": False}),
        ("read-out", "none", {"readout": "none"}),
        ("read-out", "coherent tomography", {"readout": "coherent"}),
        ("error correction", "gates that never fail", {"error_correction": "perfect"}),
        *(("query count", f"{name} set", {"query_set": name}) for name in QUERY_SETS),
    ]
    kindest = {"tables": "qram", "table_building": False, "readout": "none"}
    kindest |= {"error_correction": "perfect", "query_set": "optimistic"}
    said = "QRAM, free tables, nothing read, perfect gates, optimistic count"
    changes.append((TOGETHER, said, kindest))
    kept = [(*names, changed) for *names, changed in changes if replace(audit, **changed) != audit]
    found = prices([scenario, *(scenario.with_audit(replace(audit, **c)) for *_, c in kept)])
    wins = found.advantage[LIKELY] > 0
    flips = []
    for place, (name, words, changed) in enumerate(kept, start=1):
        quantum, classical = found.quantum[LIKELY, place], found.classical[place]
        if math.isnan(quantum):
            continue
        flipped = bool(wins[place] != wins[0])
        then = "the choice flips" if flipped else "the choice stays"
        said = f"{name}, {words}: {then}; quantum {quantum:.3g} s, classical {classical:.3g} s"
        held = ", ".join(f"{key} {getattr(audit, key)}" for key in changed)
        flips.append(Flip(assumption=name, now=held, value=None, flips=flipped, said=said))
    return flips


def _competitor(quantum: float, classical: float) -> Flip:
    times = quantum / classical
    name, now = "classical competitor", f"{classical:.3g} s"
    said = f"{name}: it would have to take {quantum:.3g} s, {times:.3g} times as long as the"
    said += " cheapest does"
    return Flip(assumption=name, now=now, value=quantum, flips=True, said=said)
