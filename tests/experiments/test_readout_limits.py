"""The coarsest read-out that trains, by bisection over kept runs."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qnewton.experiments.kept_runs as kept_runs
from qnewton.cli import main
from qnewton.cli.readout_limits import sentences
from qnewton.cost import ErrorBudget, nominal_calibration
from qnewton.experiments.kept_runs import KeptRuns
from qnewton.experiments.readout_limits import (
    LimitRequest,
    coarse_audit,
    coarsest,
    find_limits,
)
from qnewton.experiments.readout_sweep import ideal_request, point_of
from qnewton.training.request import TrainingRequest

SMALL = TrainingRequest(steps=2, blocks="tensor", damping=1.0)


@given(
    boundary=st.floats(1.0, 2.0**40),
    first=st.floats(2.0, 2.0**40),
)
@settings(max_examples=100, deadline=None)
def test_the_boundary_lies_between_what_trains_and_what_does_not(boundary: float, first: float):
    looked: list[float] = []

    def trains(shots: float) -> bool:
        looked.append(shots)
        return shots >= boundary

    passed, failed = coarsest(trains, first, 2.0**40, 2.0)
    assert passed is not None
    assert passed >= boundary
    assert failed is None or (failed < boundary and passed / failed <= 1.25)
    assert failed is not None or passed == 2.0
    assert len(looked) == len(set(looked)) <= 32


@pytest.mark.parametrize("boundary", [1e-11, 3e-5, 0.1, 0.239])
def test_a_larger_error_is_the_coarser(boundary: float):
    passed, failed = coarsest(lambda epsilon: epsilon <= boundary, 0.24, 1e-12, 0.24)
    assert passed is not None
    assert failed is not None
    assert passed <= boundary < failed <= 1.25 * passed


def test_where_all_or_nothing_trains_the_end_of_the_range_says_so():
    assert coarsest(lambda epsilon: True, 0.24, 1e-12, 0.24) == (0.24, None)
    assert coarsest(lambda shots: False, 64.0, 2.0**40, 2.0) == (None, 2.0**40)


@pytest.mark.slow
def test_runs_are_kept_read_again_and_gone_on_with(tmp_path: Path, monkeypatch):
    kept = KeptRuns(nominal_calibration(), tmp_path)
    request = ideal_request(SMALL)
    first = kept.run(request, "ideal")
    [folder] = tmp_path.iterdir()
    assert folder.name.startswith("ideal-")
    with monkeypatch.context() as patched:
        patched.setattr(kept_runs, "begin", None)  # nobody trains again
        patched.setattr(kept_runs, "resume", None)
        again = kept.run(request, "ideal")
    assert again == first
    # A run that was interrupted after its first step is finished, to the same numbers.
    log = folder / "steps.jsonl"
    log.write_text(log.read_text().splitlines(keepends=True)[0])
    for saved in (folder / "checkpoints").iterdir():
        saved.unlink()
    finished = kept.run(request, "ideal")
    assert [step.loss for step in finished.steps] == [step.loss for step in first.steps]
    assert finished.metrics[-1].test_accuracy == first.metrics[-1].test_accuracy
    kept.run(dataclasses.replace(request, epsilon=0.1), "ideal")
    assert len([*tmp_path.iterdir()]) == 2
    unkept = KeptRuns(nominal_calibration()).run(request, "ideal")
    assert [step.loss for step in unkept.steps] == [step.loss for step in first.steps]


@pytest.mark.slow
def test_limits_are_found_and_priced_and_the_next_call_trains_nothing(tmp_path: Path, monkeypatch):
    kept = KeptRuns(nominal_calibration(), tmp_path)
    request = LimitRequest(training=SMALL, seeds=2, margin=0.08)
    told: list[str] = []
    found = find_limits(request, kept, told.append)
    shots, epsilon = found.shots, found.epsilon
    assert shots.value is not None
    assert shots.failed is not None
    assert 1.0 < shots.value / shots.failed <= 1.25
    assert (epsilon.value, epsilon.failed) == (0.24, None)
    assert found.error is not None
    assert 0.1 < found.error < math.sqrt(2.0)
    for point in shots.points:
        assert point.shots is not None
    trained = [p for p in shots.points if p.shots == round(shots.value)]
    assert len(trained) == 2
    assert all(p.test_accuracy >= t for p, t in zip(trained, found.targets, strict=True))
    assert found.coarse is not None
    assert found.coarse.quantum_seconds < found.usual.quantum_seconds
    assert found.coarse.classical_seconds == found.usual.classical_seconds > 0
    said = sentences(found)
    assert f"Fewest shots of a read-out: {shots.value:,.0f} (" in said[0]
    assert "0.24 (the end of the range)" in said[1]
    monkeypatch.setattr(kept_runs, "begin", None)
    assert find_limits(request, kept) == found


@pytest.mark.slow
def test_the_command_prints_one_object(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["readout", "digits", "--steps", "1", "--find", "--seeds", "1", "--margin", "0.2"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["workload"] == "digits"
    assert found["shots"]["value"] >= 2
    assert len(found["said"]) == 4
    assert main(asked) == 0
    assert "Fewest shots of a read-out" in capsys.readouterr().out
    assert main([*asked, "--target", "0.99"]) != 0
    assert "misses the target 0.99" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("seeds", 0), ("margin", 1.0), ("margin", -0.1)])
def test_what_is_out_of_range_is_refused(name: str, value: float):
    with pytest.raises(ValueError, match=f"--{name} is {value}"):
        LimitRequest(training=SMALL, **{name: value})  # type: ignore[arg-type]


def test_the_audit_of_a_coarse_read_out_is_in_range():
    audit = coarse_audit(SMALL.audit, 1.4, 0.24)
    assert audit.epsilon == 0.99
    audit = coarse_audit(SMALL.audit, 0.3, 0.1)
    assert audit.split is not None
    budget = ErrorBudget.of(audit.epsilon, audit.split)
    assert audit.epsilon == pytest.approx(0.4)
    assert float(budget.readout) == pytest.approx(0.3)
    assert float(budget.sum - budget.readout) == pytest.approx(0.1, rel=0.1)


def test_a_point_of_a_run_says_how_it_was_read():
    request = ideal_request(dataclasses.replace(SMALL, steps=1))
    run = KeptRuns(nominal_calibration()).run(request, "one")
    point = point_of("ideal", request, run)
    assert (point.readout, point.shots, point.failed_steps) == ("ideal", None, 0)
    assert point.median_angle is not None
    assert point.median_angle < 1e-4
