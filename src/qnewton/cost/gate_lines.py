"""Audited prices as straight lines in the gate time: one per design, exact at every speed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qnewton.cost.audit import Audit, Market
from qnewton.cost.budget import ErrorBudget, Splits
from qnewton.cost.constants import Constants
from qnewton.cost.deflation import DEFLATED, Splittable
from qnewton.cost.designs import algorithms_of, splits_of
from qnewton.cost.encodings import Tables
from qnewton.cost.points import Points
from qnewton.cost.quantum_prices import QSVT, counted
from qnewton.cost.scenario import Scenario
from qnewton.cost.solvers import quantum_solvers
from qnewton.cost.state_price import Asked, Called, state_price, states_made
from qnewton.cost.surface_code import code_distance, round_seconds
from qnewton.queries import QuerySet
from qnewton.queries.arrays import Array
from qnewton.records import Calibration, Facts


@dataclass(frozen=True, kw_only=True)
class Stops:
    """What prices are asked at; every combination is one stop.

    Attributes:
        tables: What reads the tables.
        query_sets: Which theorems count.
        epsilons: Errors ε of the vector that is read.
        errors: Physical errors of the machine; ``None`` for gates that never fail.
    """

    tables: tuple[Tables, ...]
    query_sets: tuple[QuerySet, ...]
    epsilons: tuple[float, ...]
    errors: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class GateLines:
    """The audited prices of one system: the least of fixed + writing + rise·(gate time).

    Attributes:
        fixed: Seconds of the classical parts, shape [calibrations, designs]; infinite where a
            part has no price.
        writing: Of them those that write the tables, in the same shape.
        rise: Seconds per second of gate time, shape [tables, query sets, ε, errors, designs];
            infinite where a number overflows.
    """

    fixed: Array
    writing: Array
    rise: Array

    def seconds(self, gate_s: float, *, writes: bool = True) -> Array:
        """Return the prices at a gate time, shape [calibrations, tables, query sets, ε, errors].

        Args:
            gate_s: Seconds of a gate.
            writes: Whether writing the tables is charged.
        """
        classical = self.fixed + self.writing if writes else self.fixed
        lines = classical[:, None, None, None, None, :] + self.rise * gate_s
        return np.min(lines, axis=-1, initial=np.inf)

    def needed(self) -> "GateLines":
        """Return the prices without designs that are the cheapest at no stop and no gate time.

        Design i is, where the gate times at which it costs less than each that rises more begin
        before those at which it costs more than one that rises less.

        Cost: some ms for a hundred stops and twenty designs.
        """
        designs = self.fixed.shape[-1]
        rise = self.rise.reshape(math.prod(self.rise.shape[:-1]), designs)
        needed = np.zeros(designs, bool)
        with np.errstate(all="ignore"):
            steeper = rise[:, None, :] - rise[:, :, None]
            for fixed in np.unique(np.vstack([self.fixed, self.fixed + self.writing]), axis=0):
                meets = (fixed[:, None] - fixed) / steeper
                after = np.max(np.where(steeper > 0, meets, 0.0), axis=2, initial=0.0)
                before = np.min(np.where(steeper < 0, meets, np.inf), axis=2, initial=np.inf)
                needed |= np.isfinite(fixed) & (before > after).any(axis=0)
        return GateLines(
            fixed=self.fixed[:, needed],
            writing=self.writing[:, needed],
            rise=self.rise[..., needed],
        )


def gate_lines(
    systems: Sequence[Facts],
    market: Market,
    stops: Stops,
    calibrations: Sequence[Calibration],
    readout_per_gate: float,
) -> list[GateLines]:
    """Return the audited prices of systems as functions of the gate time, at every stop.

    Queries, gates, code distance and the states that are read do not hang on how fast a machine
    is, where a measurement takes so many times as long as a gate. So every design (algorithm,
    block-encoding, split of ε, eigenpairs taken out) costs its classical seconds and a multiple of
    the gate time, and a price is the least of these lines. Of designs whose classical parts are
    the same, the one that rises least stands for all.

    Args:
        systems: Facts of each; one that cannot be priced gets no design.
        market: The quantum machine, the solver that is asked, and what the audit assumes beside
            the stops. The closed form corrects errors.
        stops: Where.
        calibrations: Classical machines that do the classical parts.
        readout_per_gate: Measurement time over gate time.

    Cost: some 20 ms per system for a hundred stops and the grid of all splits.
    """
    ends = (len(calibrations),), (len(calibrations),), _shape(stops)
    found = [tuple([np.empty((*front, 0))] for front in ends) for _ in systems]
    for lot, names in _lots(systems, market):
        owners, *columns = _of_lot(lot, names, market.audit, stops, calibrations, readout_per_gate)
        for system in dict.fromkeys(owners):
            for parts, column in zip(found[system], columns, strict=True):
                parts.append(column[..., np.array(owners) == system])
    joined = ([np.concatenate(parts, axis=-1) for parts in each] for each in found)
    return [GateLines(fixed=fixed, writing=writing, rise=rise) for fixed, writing, rise in joined]


def _shape(stops: Stops) -> tuple[int, ...]:
    return tuple(map(len, (stops.tables, stops.query_sets, stops.epsilons, stops.errors)))


@dataclass(frozen=True)
class _Posed:
    """A system as a quantum machine gets it: whole, or with its largest eigenpairs taken out.

    Attributes:
        system: Index of the system.
        scenario: What is left of it, and the machines.
        split: The whole system, where eigenpairs are taken out.
        taken: How many.
    """

    system: int
    scenario: Scenario
    split: Splittable | None = None
    taken: int = 0

    def finding(self, calibration: Calibration) -> float:
        """Return the seconds of finding the eigenpairs; infinite where they have no price."""
        if self.split is None:
            return 0.0
        there = replace(self.split.scenario, calibration=calibration)
        draft = replace(self.split, scenario=there).finding(self.taken)
        return draft.seconds if draft.refused is None else np.inf


def _lots(
    systems: Sequence[Facts], market: Market
) -> Iterator[tuple[list[_Posed], tuple[str, ...]]]:
    """Give what is priced together, and the solvers that it is priced for."""
    assert market.hardware is not None
    audited = replace(market, quantum_price="audited")
    names = tuple(solver.name for solver in quantum_solvers(audited))
    known = {"calibration": market.calibration, "hardware": market.hardware}
    known |= {"audit": market.audit, "dtype": market.dtype}
    whole = tuple(name for name in names if name != DEFLATED)
    for knows_gain in (False, True):
        posed, rests = [], []
        for place, facts in enumerate(systems):
            spectrum = facts.spectrum
            estimate = spectrum.condition
            kappa = None if estimate is None else estimate.value
            if estimate is None or kappa is None or not np.isfinite(kappa):
                continue
            if spectrum.row_sparsity == 0 or (facts.solution_gain is not None) != knows_gain:
                continue
            scenario = Scenario(facts=facts, **known)
            posed.append(_Posed(place, scenario))
            if DEFLATED in names and len(spectrum.largest) > 1:
                split = Splittable(scenario, spectrum.largest, estimate.products or facts.n)
                left = enumerate(split.rests(), start=1)
                rests += [_Posed(place, rest, split, taken) for taken, rest in left]
        if posed and whole:
            yield posed, whole
        if rests:
            yield rests, (QSVT,)


def _of_lot(
    lot: Sequence[_Posed],
    names: Sequence[str],
    audit: Audit,
    stops: Stops,
    calibrations: Sequence[Calibration],
    readout_per_gate: float,
) -> tuple[list[int], Array, Array, Array]:
    """Return the owners of all designs, and their fixed, writing and rise."""
    audits = [replace(audit, tables=tables) for tables in stops.tables]
    points = [Points.of([replace(each.scenario, audit=a) for each in lot]) for a in audits]
    owners = points[0].owners
    if not len(owners):
        nothing = np.empty((len(calibrations), 0))
        return [], nothing, nothing, np.empty((*_shape(stops), 0))
    rises = [
        _rises(each.asked, names, a, stops, readout_per_gate)
        for each, a in zip(points, audits, strict=True)
    ]
    classical = np.array([_classical(lot, points[0], each) for each in calibrations])
    systems = [lot[owner].system for owner in owners]
    return systems, classical[:, 0], classical[:, 1], np.stack(rises)


def _classical(lot: Sequence[_Posed], points: Points, calibration: Calibration) -> Array:
    """Return the seconds of classical parts but writing, and of writing, shape [2, points].

    They are infinite where a part has no price; then its design may be no point there.
    """
    there = Points.of([replace(each.scenario, calibration=calibration) for each in lot])
    places = {
        (owner, there.encoding(point).name): there.which[point]
        for point, owner in enumerate(there.owners)
        if there.refused[owner] is None
    }
    finding = [each.finding(calibration) for each in lot]
    found = np.full((2, len(points.owners)), np.inf)
    for point, owner in enumerate(points.owners):
        place = places.get((owner, points.encoding(point).name))
        if place is not None:
            before, after = there.before[place], there.after[place]
            writing = before.get("tables", 0.0)
            others = sum(before.values()) - writing + sum(after.values())
            found[:, point] = others + finding[owner], writing
    return found


def _rises(
    asked: Asked, names: Sequence[str], audit: Audit, stops: Stops, readout_per_gate: float
) -> Array:
    """Return seconds per second of gate time, shape [query sets, ε, errors, points]."""
    epsilon = np.array(stops.epsilons)[:, None, None]
    asked = replace(asked, epsilon=epsilon)
    constants, budget = Constants.likely(), ErrorBudget.of(epsilon, Splits.of(splits_of(audit)))
    with np.errstate(all="ignore"):
        states = states_made(asked, budget.readout, audit, constants)
        called = Called.of(asked, audit, budget, constants)
        found = np.full((*_shape(stops)[1:], len(asked.which)), np.inf)
        for place, query_set in enumerate(stops.query_sets):
            # States are counted once for all, and errors corrected at every stop.
            choices = {"readout": "none", "error_correction": "perfect", "split": None}
            one = replace(audit, query_set=query_set, **choices)
            for algorithm in _algorithms(names, one):
                made = state_price(asked, algorithm, one, budget, constants, called)
                cycles = constants.toffoli_cycles * made.toffoli + made.t_gates
                for error, physical in enumerate(stops.errors):
                    per_cycle = 1.0
                    if physical is not None:
                        known = (made.logical_qubits, cycles, physical, audit.error_budget)
                        distance = code_distance(*known, constants)
                        per_cycle = round_seconds(1.0, readout_per_gate, constants) * distance
                    rises = states * cycles * per_cycle
                    least = np.min(np.where(np.isnan(rises), np.inf, rises), axis=1)
                    found[place, :, error] = np.minimum(found[place, :, error], least)
    return found


def _algorithms(names: Sequence[str], audit: Audit) -> list[str]:
    asked = (algorithms_of(audit, counted(audit, name)) for name in names)
    return list(dict.fromkeys(algorithm for each in asked for algorithm in each))
