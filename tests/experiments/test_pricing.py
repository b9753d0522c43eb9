"""Pricing recorded steps for policies that did not run them."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from qnewton import Classical, QNewton
from qnewton.cost import load_hardware, nominal_calibration, paper_quote
from qnewton.experiments.replay import Replayed, replay
from qnewton.records import Decision, QuantumHardware, StepRecord
from qnewton.scheduler.policy import decide
from qnewton.scheduler.pricing import ReplaySettings

CALIBRATION = nominal_calibration()
CLASSICAL = Classical(calibration=CALIBRATION)


@pytest.fixture(scope="module")
def recorded() -> tuple[list[StepRecord], QuantumHardware]:
    """Three Newton steps of a small network, with quotes of every solver."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    inputs = torch.randn(50, 6, generator=generator)
    targets = torch.randint(0, 4, (50,), generator=generator)
    hardware = load_hardware("attosecond")
    optimizer = QNewton(model, damping=1.0, blocks="full", quantum=hardware, classical=CLASSICAL)
    for _ in range(3):
        optimizer.step(lambda: nn.functional.cross_entropy(model(inputs), targets))
    return list(optimizer.records), hardware


def test_the_gate_time_flips_one_recorded_decision_once_at_the_break_even(recorded) -> None:
    records, hardware = recorded
    block = records[0].blocks[0]
    classical = block.decision.quote("lu_inverse")
    quantum = block.decision.quote("qsvt")
    break_even = classical.seconds / quantum.query_count.expected
    choices = []
    gate_times = [break_even * 10 ** (k / 20) for k in range(-100, 101) if k] + [break_even]
    for gate_time in sorted(gate_times):
        machine = dataclasses.replace(
            hardware, gate_time_s=dataclasses.replace(hardware.gate_time_s, value=gate_time)
        )
        quotes = (classical, paper_quote(block.facts, machine))
        choices.append((gate_time, decide("paper", quotes).chosen))
    flips = [a for a, b in itertools.pairwise(choices) if a[1] != b[1]]
    assert len(flips) == 1
    # A tie goes to the quantum solver (Algorithm 2), so the last quantum choice is the tie
    # itself, unless rounding puts it a hair to either side.
    assert flips[0][1] == "qsvt"
    assert flips[0][0] == pytest.approx(break_even, rel=0.13)


def price_under(policy: str, records: list[StepRecord], hardware: QuantumHardware) -> Replayed:
    """Return what a policy pays by the recorded quotes."""
    settings = ReplaySettings(
        calibration=CALIBRATION, hardware=hardware, keep=("classical", "quantum")
    )
    return replay(records, policy, settings)


def solve_seconds(policy: str, records: list[StepRecord]) -> float:
    total = 0.0
    for record in records:
        decision = decide(policy, record.blocks[0].decision.quotes)
        total += seconds_of(decision, decision.chosen)
    return total


def seconds_of(decision: Decision, solver: str) -> float:
    quote = decision.quote(solver)
    assert quote is not None
    assert quote.seconds is not None
    return quote.seconds


def test_each_policy_pays_for_its_own_solver_and_survey(recorded) -> None:
    records, hardware = recorded
    prices = {
        policy: price_under(policy, records, hardware)
        for policy in ("classical-only", "quantum-only", "paper")
    }
    assert prices["classical-only"].quantum_share == 0
    assert prices["quantum-only"].quantum_share == 1
    totals = {policy: price.seconds or 0.0 for policy, price in prices.items()}
    solves = {policy: solve_seconds(policy, records) for policy in totals}
    # Everything but solve and survey is shared; classical-only surveys nothing.
    shared = totals["classical-only"] - solves["classical-only"]
    surveys = {policy: totals[policy] - solves[policy] - shared for policy in totals}
    assert surveys["paper"] == pytest.approx(surveys["quantum-only"])
    assert surveys["paper"] > 0


def test_an_unpriced_step_leaves_no_total(recorded) -> None:
    records, hardware = recorded
    block = records[0].blocks[0]
    refused = dataclasses.replace(
        block.decision.quote("qsvt"), seconds=None, refused="the bound overflows"
    )
    quotes = (*tuple(q for q in block.decision.quotes if q.solver != "qsvt"), refused)
    changed = dataclasses.replace(
        records[0],
        blocks=(
            dataclasses.replace(block, decision=dataclasses.replace(block.decision, quotes=quotes)),
        ),
    )
    price = price_under("quantum-only", [changed, records[1]], hardware)
    assert price.seconds is None
    assert price.unpriced_steps == 1
    assert price_under("paper", [changed], hardware).quantum_share == 0


def test_records_of_first_order_steps_have_no_solves(recorded) -> None:
    records, hardware = recorded
    first_order = dataclasses.replace(records[0], phase="first-order", blocks=())
    price = price_under("paper", [first_order], hardware)
    assert price.quantum_share is None
    assert price.seconds is not None
