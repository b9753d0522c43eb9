"""Space against time: what more or fewer physical qubits do to the seconds of a design."""

import math
from dataclasses import dataclass

from qnewton.cost.breakdown import Breakdown


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to lay a design out.

    Attributes:
        copies: Machines that make states at the same time.
        factories: T factories of each.
        physical_qubits: Of all copies.
        seconds: The price.
    """

    copies: int
    factories: int
    physical_qubits: int
    seconds: float


def frontier(breakdown: Breakdown) -> tuple[Layout, ...]:
    """Return the layouts that no other beats in both qubits and seconds, fewest qubits first.

    With m of the M factories that keep up a run takes up to M/m times as long; c copies, whose
    states are independent, make them in 1/c of the time, down to one state.

    Args:
        breakdown: A design under error correction.

    Raises:
        ValueError: If its gates never fail, so that it has no physical qubits.

    Cost: a few hundred scalar operations.

    Example:
        >>> from qnewton.cost import Scenario, audited, kappa_facts, load_hardware
        >>> from qnewton.cost import nominal_calibration
        >>> here = Scenario(facts=kappa_facts(12_544, 30.0, 64), calibration=nominal_calibration(),
        ...                 hardware=load_hardware("qubit_gate_ns_e3"))
        >>> found = frontier(audited(here).breakdown)
        >>> found[0].factories, found[-1].copies > 10**6
        (1, True)
    """
    qubits, factories = breakdown.physical_qubits, breakdown.factories
    if qubits is None or factories is None or breakdown.factory_qubits is None:
        raise ValueError("the design has no physical qubits: its gates never fail")
    one = breakdown.factory_qubits // factories if factories else 0
    rest = qubits - breakdown.factory_qubits
    quantum = breakdown.states * breakdown.state_s
    classical = breakdown.total_s - quantum
    found = []
    for count in _halved(factories):
        slower = factories / count if count else 1.0
        for copies in _decades(breakdown.states):
            rounds = math.ceil(breakdown.states / copies)
            seconds = classical + rounds * breakdown.state_s * slower
            space = copies * (rest + count * one)
            known = {"copies": copies, "factories": count}
            found.append(Layout(**known, physical_qubits=space, seconds=seconds))
    found.sort(key=lambda layout: (layout.physical_qubits, layout.seconds))
    kept: list[Layout] = []
    for layout in found:
        if not kept or layout.seconds < kept[-1].seconds:
            kept.append(layout)
    return tuple(kept)


def _halved(count: int) -> list[int]:
    """Return a count and its halves down to 1."""
    found = [count]
    while found[-1] > 1:
        found.append((found[-1] + 1) // 2)
    return found


def _decades(states: float) -> list[int]:
    """Return 1, 10, 100, … and the number of states."""
    most = math.ceil(states)
    return [*(10**k for k in range(len(str(most))) if 10**k < most), most]
