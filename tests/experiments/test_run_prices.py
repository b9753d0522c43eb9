"""Recorded runs priced on any machine by any cost model, with the gate time that breaks even."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from qnewton.cli import main
from qnewton.cost import MACHINES, QUANTUM_PRICES, QuantumPrice, load_hardware
from qnewton.experiments.replay import own_settings
from qnewton.experiments.run_prices import RunPrice, price_run, verdict
from qnewton.records import Facts, Figure, QuantumHardware, QuantumPart, Quote
from qnewton.runs import recorded, recorded_names
from qnewton.scheduler.run_prices import _equal

OURS = "our-lab"


def _bare(facts: Facts, market: object, hardware: QuantumHardware) -> Quote:
    """Price a solve at gate time × κ × N, and a nanosecond that no gate changes."""
    condition = facts.spectrum.condition
    kappa = None if condition is None else condition.value
    return Quote(
        solver="qsvt",
        machine="quantum",
        seconds=None if kappa is None else hardware.gate_time_s.value * kappa * facts.n + 1e-9,
        refused="κ was not measured" if kappa is None else None,
        quantum=QuantumPart(),
        model="gate time × κ × N",
        hardware=hardware.name,
    )


@pytest.fixture(autouse=True)
def from_outside() -> Iterator[None]:
    QUANTUM_PRICES.register(QuantumPrice(name="bare", title="gate time × κ × N", price=_bare))
    gate = Figure(value=1e-6, source="measured by us", date="2026-11-01")
    ours = QuantumHardware(name=OURS, title="Ours", hypothetical=False, gate_time_s=gate)
    MACHINES.register(ours)
    yield
    QUANTUM_PRICES.unregister("bare")
    MACHINES.unregister(OURS)


def test_a_cost_model_and_a_machine_from_outside_get_their_break_even_on_every_run(capsys):
    asked = ["replay", "recorded", "--cost-model", "bare", "--hardware", OURS, "--json"]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cost_model"] == "bare"
    assert [row["run"] for row in found["runs"]] == list(recorded_names())
    for row, run in zip(found["runs"], recorded(), strict=True):
        assert row["machine"] == OURS
        assert 0 < row["priced"] <= row["solves"]
        kappas = [
            block.facts.spectrum.condition.value * block.n
            for record in run.steps
            for block in record.blocks
            if block.attempts
            and block.facts.spectrum.condition is not None
            and block.facts.spectrum.condition.value is not None
        ]
        assert row["quantum_seconds"] == pytest.approx(
            1e-6 * math.fsum(kappas) + 1e-9 * len(kappas)
        )
        gate = (row["classical_seconds"] - 1e-9 * len(kappas)) / math.fsum(kappas)
        assert row["gate_time_s"] == pytest.approx(gate, rel=2.5e-2)
        assert sum(row["solves_by_solver"].values()) == row["solves"]
        assert row["seconds_by_solver"].keys() == row["solves_by_solver"].keys()
    assert f"On {OURS} the quantum solver is cheaper in" in found["verdict"]
    assert main(asked[:-1]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in recorded_names())


def test_one_run_has_its_row_where_a_cost_model_is_named(capsys):
    assert main(["replay", "recorded/digits", "--cost-model", "paper", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["runs"]
    assert row["run"] == "digits"
    assert main(["replay", "recorded/digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["policy"] == "classical"
    assert main(["replay", "recorded/digits", "--cost-model", "no-such"]) != 0
    assert "no-such" in capsys.readouterr().err


@pytest.mark.slow
def test_at_the_break_even_both_machines_take_as_long():
    for run in recorded("digits", "pinn"):
        settings = own_settings(run)
        settings = replace(settings, audit=replace(settings.audit, epsilon=0.05))
        price = price_run(run, settings)
        assert price.times is not None
        machine = settings.hardware
        assert machine is not None
        assert machine.readout_time_s is not None
        faster = replace(
            machine,
            gate_time_s=replace(machine.gate_time_s, value=price.gate_time_s),
            readout_time_s=replace(
                machine.readout_time_s, value=machine.readout_time_s.value * price.times
            ),
        )
        again = price_run(run, replace(settings, hardware=faster))
        assert again.quantum_seconds == pytest.approx(price.classical_seconds, rel=2.5e-2)
        assert again.classical_seconds == pytest.approx(price.classical_seconds)


@pytest.mark.parametrize(
    ("lines", "target"),
    [
        ([(1.0, 5.0)], 3.0),
        ([(1.0, 5.0)], 1e6),
        ([(1.0, 5e12), (2.0, 1e12), (2.5, 1.0)], 2.2),
        ([(0.0, 1e20)], 1e-3),
        ([(1.0, 1e-12)], 2.0),
    ],
)
def test_the_cheapest_of_some_lines_is_met_where_it_crosses(
    lines: list[tuple[float, float]], target: float
):
    def seconds(times: float) -> float:
        return min(fixed + slope * times for fixed, slope in lines)

    found = _equal(seconds, target, seconds(1.0))
    assert found is not None
    assert seconds(found) == pytest.approx(target, rel=2e-2)


def test_what_is_fixed_and_too_dear_breaks_even_nowhere():
    assert _equal(lambda times: 3.0 + times, 3.0, 4.0) is None


def test_a_run_without_a_quantum_machine_asks_for_one():
    [digits] = recorded("digits")
    with pytest.raises(ValueError, match="needs a quantum machine"):
        price_run(digits, replace(own_settings(digits), hardware=None))


def test_a_solver_that_nobody_asked_for_is_no_rival() -> None:
    """Conjugate gradients solved the steps; asked for is inversion, which takes longer."""
    [digits] = recorded("digits")
    settings = own_settings(digits)
    best = price_run(digits, settings)
    price = price_run(digits, replace(settings, solvers=("lu_inverse",)))
    assert price.classical_seconds > 4 * best.classical_seconds
    assert price.times is not None
    assert best.times is not None
    assert price.times > 4 * best.times


def test_verdicts_say_who_wins_and_what_would_have_to_change():
    base = RunPrice(run="a", machine="m", steps=2, solves=4, priced=4, quantum_wins=0)
    dear = replace(base, times=1e-3, gate_time_s=1e-9)
    cheap = replace(base, run="b", times=10.0, gate_time_s=1e-5, quantum_wins=4)
    assert verdict([base]).endswith("No gate time is short enough to change that.")
    assert "1e+03 times shorter, gates of 1e-09 s" in verdict([dear, base])
    assert "in 4 of 8 solves. It wins the run b up to gates of 1e-05 s" in verdict([dear, cheap])
    nothing = replace(base, priced=0, refused="κ is unknown")
    assert verdict([nothing]) == "On m no solve has a quantum price: κ is unknown."


def test_runs_are_priced_without_loading_torch():
    code = (
        "import sys; from qnewton.cli import main; main(['replay', 'recorded/pinn', "
        "'--cost-model', 'paper', '--json']); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_load_hardware_knows_the_machine_from_outside():
    assert load_hardware(OURS).gate_time_s.value == 1e-6
