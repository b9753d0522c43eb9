"""What a run's solves would cost on other machines and under other assumptions, for its page.

Everything is modelled. Prices are worked out here at stops, each as ``qnewton replay`` finds it,
and the page chooses among them; the gate time alone moves continuously, since a price is the least
of a few straight lines in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from qnewton import cost
from qnewton.cost.designs import splits_of
from qnewton.cost.encodings import Tables
from qnewton.cost.error_correction import machine_refusal
from qnewton.cost.gate_lines import GateLines, Stops, gate_lines
from qnewton.cost.surface_code import Timed
from qnewton.queries import QuerySet
from qnewton.queries.arrays import Array
from qnewton.records import Calibration, QuantumHardware, StepRecord
from qnewton.report.sampling import of_so_many_solves
from qnewton.runs import Run
from qnewton.scheduler.pricing import ReplaySettings, repriced_steps
from qnewton.scheduler.run_prices import (
    best_seconds,
    cheapest_by,
    own_settings,
    solved_quotes,
    solved_steps,
)

MOST_DESIGNS = 2_048
"""Solves × splits of ε that a page prices; of a longer run steps are drawn evenly."""

_MOST_SOLVES = 100

DEFAULT_MACHINE = "qubit_gate_ns_e3"
"""The quantum machine of a run that had none."""

_EPSILONS, _ERRORS = (0.3, 0.1, 0.03, 0.01), (1e-3, 1e-4, 1e-6)
_TABLES, _QUERY_SETS = get_args(Tables), get_args(QuerySet)
_READOUT_PER_GATE = 2.0
"""Measurement time over gate time of a machine that has no figure, as of most profiles."""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A classical competitor.

    Attributes:
        name: Its name on the page.
        said: What it is, in a sentence or two.
        calibration: Its machine, which also does the classical parts of the quantum solver.
        solvers: The solvers it may take; ``None`` for the recorded ones.
        helper: The machine that does those parts in its place, where it has no rates for them.
    """

    name: str
    said: str
    calibration: Calibration
    solvers: tuple[str, ...] | None = None
    helper: Calibration | None = None

    @property
    def beside(self) -> Calibration:
        """The machine that does the classical parts of the quantum solver."""
        return self.helper or self.calibration


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """A run's modelled prices at every stop, and as lines in the gate time.

    Attributes:
        steps: Numbers of the steps that are shown.
        all_steps: How many steps of the run solved something.
        owners: Index of each solve's step.
        settings: What the run was decided with, its quantum machine among it.
        stands_in: Why that machine is not the run's; ``None`` where it is.
        stops: What the audited price is asked at; the run's own values are among them.
        readout_per_gate: Measurement time over gate time.
        rivals: The classical competitors.
        classical: Seconds of each solve, shape [rivals, solves]; infinite where there is no price.
        paper: Seconds of the paper's price per second of gate time, shape [solves].
        beside: By rival, the index of the machine that does the quantum solver's classical parts.
        lines: The audited prices of each solve, by these machines.
    """

    steps: tuple[int, ...]
    all_steps: int
    owners: tuple[int, ...]
    settings: ReplaySettings
    stands_in: str | None
    stops: Stops
    readout_per_gate: float
    rivals: tuple[Rival, ...]
    classical: Array
    paper: Array
    beside: tuple[int, ...]
    lines: tuple[GateLines, ...]


def what_if(run: Run) -> WhatIf | None:
    """Return what a run's solves would cost otherwise; ``None`` where it solved nothing to price.

    Args:
        run: The run; steps of a long one are drawn evenly.

    Cost:
        Some 20 ms per solve that is shown.

    Example:
        >>> from qnewton.runs import recorded
        >>> found = what_if(recorded("digits")[0])
        >>> len(found.steps), len(found.rivals), found.stops.epsilons
        (15, 5, (0.3, 0.11, 0.03, 0.01))
    """
    solved = solved_steps(run)
    if run.config.calibration is None or not solved:
        return None
    settings = own_settings(run)
    most = min(_MOST_SOLVES, MOST_DESIGNS // len(splits_of(settings.audit)))
    shown = of_so_many_solves(solved, most)
    machine, why = audited_machine(settings)
    settings = replace(settings, hardware=machine)
    solves = [(at, b.facts) for at, step in enumerate(shown) for b in step.blocks if b.attempts]
    rivals, stops = rivals_of(settings.calibration), stops_of(settings.audit, machine)
    ratio = _READOUT_PER_GATE
    if machine.readout_time_s is not None:
        ratio = machine.readout_time_s.value / machine.gate_time_s.value
    helpers = list({id(rival.beside): rival.beside for rival in rivals}.values())
    lines = gate_lines([facts for _, facts in solves], settings.market, stops, helpers, ratio)
    places = [helpers.index(rival.beside) for rival in rivals]
    return WhatIf(
        steps=tuple(step.step for step in shown),
        all_steps=len(solved),
        owners=tuple(at for at, _ in solves),
        settings=settings,
        stands_in=why,
        stops=stops,
        readout_per_gate=ratio,
        rivals=rivals,
        classical=np.array([_classical(shown, settings, rival) for rival in rivals]),
        paper=_paper(shown, settings) / machine.gate_time_s.value,
        beside=tuple(places),
        lines=tuple(each.needed() for each in lines),
    )


def audited_machine(settings: ReplaySettings) -> tuple[QuantumHardware, str | None]:
    """Return the run's own quantum machine if it can have audited prices, else one for it.

    Returns:
        The machine, and why it is not the run's own; ``None`` where it is.
    """
    own, audit = settings.hardware, settings.audit
    if own is None:
        why = "The run had no quantum machine"
    else:
        refusal = machine_refusal(own, audit.error_correction, audit.physical_error)
        if refusal is None:
            return own, None
        why = f"The run's machine has no audited price: {refusal.partition(';')[0]}"
    return cost.load_hardware(DEFAULT_MACHINE), why


def rivals_of(own: Calibration) -> tuple[Rival, ...]:
    """Return the competitors: those of a run's own machine, and stored machines."""
    h100, cluster, paper = map(cost.load_classical, ("h100", "h100-cluster", "paper-h100"))
    lu = ("lu_inverse",)
    beside = "It also does the classical parts of the quantum solver."
    return (
        Rival(
            name="the best on the run's machine",
            said=f"The cheapest solver that it was offered, by calibration {own.name}.",
            calibration=own,
        ),
        Rival(
            name="LU inversion on the run's machine",
            said=f"The paper's rival, by calibration {own.name}.",
            calibration=own,
            solvers=lu,
        ),
        Rival(
            name="the best on h100",
            said=f"One H100, by its data sheet and public benchmarks. {beside}",
            calibration=h100,
        ),
        Rival(
            name="the best on h100-cluster",
            said=f"4,608 H100s, by public benchmarks. {beside}",
            calibration=cluster,
        ),
        Rival(
            name="LU inversion on paper-h100",
            said="The paper's Table III, C·N³. It has no other rate, so the quantum solver's "
            "classical parts stay on the run's machine.",
            calibration=paper,
            solvers=lu,
            helper=own,
        ),
    )


def stops_of(audit: cost.Audit, machine: QuantumHardware) -> Stops:
    """Return the stops, with the run's own ε and error in place of those nearest to them."""
    error = own_error(audit, machine)
    errors = _ERRORS if error is None else with_own(_ERRORS, error)
    return Stops(
        tables=_TABLES,
        query_sets=_QUERY_SETS,
        epsilons=with_own(_EPSILONS, audit.epsilon),
        errors=(*errors, None),
    )


def own_error(audit: cost.Audit, machine: QuantumHardware) -> float | None:
    """Return the physical error that a run assumed; ``None`` where it cannot be corrected."""
    if audit.physical_error is not None or machine_refusal(machine, "closed-form") is not None:
        return audit.physical_error
    return Timed.of(machine).error


def with_own(stops: Sequence[float], own: float) -> tuple[float, ...]:
    """Return falling stops, the one that is nearest to a value (in logarithms) replaced by it.

    Example:
        >>> with_own((1e-3, 1e-4), 2e-4)
        (0.001, 0.0002)
    """
    nearest = min(stops, key=lambda stop: abs(math.log(stop / own)))
    return tuple(own if stop == nearest else stop for stop in stops)


def _classical(steps: Sequence[StepRecord], settings: ReplaySettings, rival: Rival) -> list[float]:
    """Return a rival's seconds of every solve."""
    own = rival.calibration is settings.calibration
    asked = replace(
        settings,
        calibration=rival.calibration,
        hardware=None,
        solvers=rival.solvers,
        keep=("classical",) if own and rival.solvers is None else (),
    )
    return _best(steps, asked, "classical")


def _best(steps: Sequence[StepRecord], settings: ReplaySettings, side: Any) -> list[float]:
    priced = repriced_steps(steps, cheapest_by("paper"), settings)
    found = (best_seconds(quotes, side) for quotes in solved_quotes(priced, settings.solvers))
    return [math.inf if seconds is None else seconds for seconds in found]


def _paper(steps: Sequence[StepRecord], settings: ReplaySettings) -> Array:
    return np.array(_best(steps, replace(settings, keep=("classical",)), "quantum"))
