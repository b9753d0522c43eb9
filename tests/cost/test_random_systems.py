"""20,000 systems from everyday to absurd: prices are positive, add up, and never fall."""

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qnewton.cost import Audit, Scenario, load_hardware, nominal_calibration
from qnewton.cost.axes import slower
from qnewton.cost.budget import Splits
from qnewton.cost.designs import LIKELY, Designs, algorithms_of, splits_of
from qnewton.cost.given import kappa_facts
from qnewton.cost.many import prices
from qnewton.cost.points import Points
from qnewton.records import Figure, QuantumHardware

CALIBRATION = nominal_calibration()
NS_E3 = load_hardware("qubit_gate_ns_e3")
KINDS, EACH = 40, 500
HARDER = ("n", "kappa", "sparsity", "epsilon", "gate")


def _machine(scale: float) -> QuantumHardware:
    gate = Figure(value=50e-9 * scale, source="drawn", date="2026-01-01")
    return replace(NS_E3, gate_time_s=gate)


def _audit(random_: random.Random) -> Audit:
    return Audit(
        query_set=random_.choice(["paper", "rigorous", "warm-start", "optimistic"]),
        readout=random_.choice(["simulated", "provable", "coherent", "none"]),
        tables=random_.choice(["qrom", "qram"]),
        preparation=random_.choice(["tables", "rotations"]),
        table_building=random_.random() < 0.5,
        error_correction=random_.choice(["closed-form", "perfect"]),
    )


def _drawn(random_: random.Random) -> dict[str, float]:
    """Numbers from everyday to absurd: N to 1e12, κ to 1e300, ε to 1e-300."""
    n = int(10 ** random_.uniform(0.3, 12 if random_.random() < 0.2 else 5))
    return {
        "n": n,
        "kappa": 10 ** random_.uniform(0, 300 if random_.random() < 0.1 else 12),
        "sparsity": random_.randint(1, n),
        "epsilon": 0.5 * 10 ** -random_.uniform(0, 300 if random_.random() < 0.1 else 12),
        "gate": 10 ** random_.uniform(-9, 4),
    }


def _harder(known: dict[str, float], name: str, factor: float) -> dict[str, float]:
    value = known[name] / factor if name == "epsilon" else known[name] * factor
    if name in ("n", "sparsity"):
        value = min(known["n"], math.ceil(value)) if name == "sparsity" else math.ceil(value)
    return {**known, name: value}


def _scenario(known: dict[str, float], audit: Audit) -> Scenario:
    facts = kappa_facts(int(known["n"]), known["kappa"], int(known["sparsity"]))
    # A system is held by its entries or formed by how many there are; here by its numbers alone.
    facts = replace(facts, held=kappa_facts(4, 1.0, 4).held)
    return Scenario(
        facts=facts,
        calibration=CALIBRATION,
        hardware=_machine(known["gate"]),
        audit=replace(audit, epsilon=known["epsilon"]),
    )


def _figures(made: Designs) -> dict[str, Any]:
    """Return every term and every qubit count at the likely constants, shape [splits, points]."""
    price, shape = made.price, made.seconds.shape
    found = {**made.before, **price.terms(), **made.after}
    found |= {"seconds": made.seconds, "logical qubits": price.logical_qubits}
    if price.code is not None:
        found |= {
            "physical qubits": price.code.physical_qubits,
            "distance": price.code.distance,
            "factories": price.code.factories.count,
        }
    return {name: np.broadcast_to(value, shape)[LIKELY] for name, value in found.items()}


@pytest.mark.slow
def test_no_term_and_no_qubit_count_falls_as_systems_get_harder():
    random_ = random.Random(8)
    compared = 0
    for _ in range(KINDS):
        audit = _audit(random_)
        systems = [_drawn(random_) for _ in range(EACH)]
        changes = [(random_.choice(HARDER), 1 + 10 ** random_.uniform(-3, 2)) for _ in systems]
        there = [_harder(s, *change) for s, change in zip(systems, changes, strict=True)]
        easy, hard = (Points.of([_scenario(s, audit) for s in each]) for each in (systems, there))
        splits = Splits.of(splits_of(audit)[::9])
        for algorithm in algorithms_of(audit):
            with np.errstate(all="ignore"):
                figures = [_figures(points.designs(algorithm, splits)) for points in (easy, hard)]
            before, after = figures
            whole = before["seconds"]
            known = np.isfinite(whole) & np.isfinite(after["seconds"])
            known = known & _counted(audit, changes)[easy.owners]
            compared += int(known.sum())
            assert (whole[known] > 0).all()
            for name, value in before.items():
                # A term is a difference of sums that round: to 1e-9 of the whole.
                allowed = np.abs(value) + (1e-9 * whole if name in _DIFFERENCES else 0.0)
                with np.errstate(invalid="ignore"):
                    fallen = known & (after[name] < value - 1e-9 * allowed)
                assert not fallen.any(), _first(algorithm, name, fallen, easy, changes, audit)
    assert compared > 20_000


_DIFFERENCES = ("error correction", "read-out")


def _first(algorithm: str, name: str, fallen: Any, points: Points, changes: Any, audit: Any) -> str:
    split, point = (int(index) for index in np.argwhere(fallen)[0])
    owner = points.owners[point]
    facts = points.scenarios[owner].facts
    said = (facts.n, facts.spectrum.condition, facts.spectrum.row_sparsity, changes[owner])
    return f"{name} of {algorithm} by {points.encoding(point).name}, split {split}: {said}, {audit}"


@pytest.mark.slow
def test_the_chosen_price_never_falls_is_positive_and_lies_in_its_interval():
    random_ = random.Random(9)
    priced = 0
    for _ in range(KINDS):
        audit = _audit(random_)
        systems = [_drawn(random_) for _ in range(EACH)]
        changes = [(random_.choice(HARDER), 1 + 10 ** random_.uniform(-3, 2)) for _ in systems]
        there = [_harder(s, *change) for s, change in zip(systems, changes, strict=True)]
        # In lots below the size from which designs are narrowed down.
        lots = range(0, EACH, 100)
        easy = np.concatenate([_quantum(systems[lot : lot + 100], audit) for lot in lots], axis=1)
        hard = np.concatenate([_quantum(there[lot : lot + 100], audit) for lot in lots], axis=1)
        known = np.isfinite(easy[LIKELY]) & np.isfinite(hard[LIKELY])
        priced += int(known.sum())
        low, likely, high = easy[:, known]
        assert (low > 0).all()
        assert (low <= likely * (1 + 1e-12)).all()
        assert (likely <= np.where(np.isnan(high), np.inf, high) * (1 + 1e-12)).all()
        counted = _counted(audit, changes)[known]
        assert (hard[LIKELY, known][counted] >= likely[counted] * (1 - 1e-9)).all()
    assert priced > 0.7 * KINDS * EACH


def _counted(audit: Audit, changes: list[tuple[str, float]]) -> Any:
    """Return which changes raise a price: not ε of the paper's count, whose p rises faster."""
    return np.array([not (name == "epsilon" and audit.query_set == "paper") for name, _ in changes])


def _quantum(systems: list[dict[str, float]], audit: Audit) -> Any:
    return prices([_scenario(system, audit) for system in systems]).quantum


@pytest.mark.parametrize("exponent", [-150, 150])
def test_prices_do_not_hang_on_the_units_of_a_and_b(exponent: int):
    facts = kappa_facts(1000, 100.0, 20)
    norms = {"norm": 3.0, "max_abs": 1.0, "frobenius": 30.0}
    scale = 10.0**exponent
    found = []
    for by in (1.0, scale):
        scaled = replace(facts.spectrum, **{name: by * norm for name, norm in norms.items()})
        scenario = Scenario(
            facts=replace(facts, spectrum=scaled), calibration=CALIBRATION, hardware=NS_E3
        )
        found.append(prices([scenario]).quantum[:, 0])
    assert found[1] == pytest.approx(found[0], rel=1e-12)


def test_a_slower_classical_machine_costs_in_proportion():
    here = Scenario(facts=kappa_facts(5000, 50.0, 40), calibration=CALIBRATION, hardware=NS_E3)
    there = replace(here, calibration=slower(CALIBRATION, 3.0))
    found = prices([here, there]).classical
    assert found[1] == pytest.approx(3.0 * found[0], rel=1e-9)
