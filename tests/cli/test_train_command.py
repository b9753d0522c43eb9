"""``qnewton train``: what it prints and leaves, and what interrupts it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from qnewton.cli import main
from qnewton.cost import calibration_path
from qnewton.optimizer import describe_machine
from qnewton.runs import latest_checkpoint, read_run

# Each test trains, most of them in processes of their own.
pytestmark = pytest.mark.slow


def parameters_of(folder: Path) -> dict[str, torch.Tensor]:
    import io

    checkpoint, warnings = latest_checkpoint(folder)
    assert checkpoint is not None, warnings
    return torch.load(io.BytesIO(checkpoint.data), weights_only=True)["model"]


def test_train_prints_one_json_object_and_leaves_a_run_folder(qnewton_process) -> None:
    code, output, error = qnewton_process(
        "train", "digits", "--steps", "3", "--policy", "paper", "--out", "run", "--json"
    )
    assert code == 0, error
    result = json.loads(output)
    assert result["run"] == "run"
    assert result["steps"] == 3
    assert sum(result["decisions"].values()) == 3
    assert result["measured_seconds"] > 0
    assert result["modelled_seconds"] > 0
    run = read_run("run")
    assert len(run.steps) == 3
    assert [m.step for m in run.metrics] == [1, 2, 3]
    assert run.config.calibration is not None
    quotes = run.steps[0].blocks[0].decision.quotes
    assert {q.solver for q in quotes} >= {"lu_inverse", "qsvt"}
    for name in ("config.json", "steps.jsonl", "metrics.jsonl", "report.html"):
        assert (Path("run") / name).exists()


def test_a_run_that_diverged_prints_its_json_object(qnewton) -> None:
    options = ["--optimizer", "sgd", "--lr", "1e30", "--steps", "2", "--out", "run", "--json"]
    code, output, error = qnewton("train", "digits", *options)
    assert code == 0, error
    # As in steps.jsonl: JSON has no NaN.
    assert json.loads(output)["loss"] in ("NaN", "Infinity")


def test_print_every_prints_a_line_of_every_so_many_steps_and_nothing_else(qnewton) -> None:
    options = ["--steps", "5", "--print-every", "2", "--out", "run"]
    code, output, error = qnewton("train", "digits", *options)
    assert code == 0, error
    told = [line for line in error.splitlines() if line.startswith("training, step")]
    steps = read_run("run").steps
    assert told == [f"training, {steps[k]}" for k in (0, 2, 4)]
    assert "5 steps, loss" in output
    code, _, error = qnewton("train", "digits", "--print-every", "0")
    assert code == 2
    assert "--print-every is 0; it must be at least 1" in error


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_other_kinds_of_curvature_train(qnewton, kind) -> None:
    options = ["--curvature", kind, "--out", "run", "--json"]
    code, output, error = qnewton("train", "digits", "--steps", "4", *options)
    assert code == 0, error
    run = read_run("run")
    assert run.config.options["curvature"] == kind
    assert {step.blocks[0].curvature.kind for step in run.steps} == {kind}
    assert run.steps[-1].loss < run.steps[0].loss
    assert json.loads(output)["modelled_seconds"] > 0


def test_layers_put_together_train_and_resume_as_asked(qnewton) -> None:
    options = ["--curvature", "fisher", "--blocks", "layer", "--rescale", "True"]
    code, output, error = qnewton("train", "digits", "--steps", "4", *options, "--out", "run")
    assert code == 0, error
    assert "layers put together by the Fisher matrix between them" in " ".join(output.split())
    assert "Layers put together by the Fisher" in (Path("run") / "report.html").read_text()
    run = read_run("run")
    assert run.config.options["rescale"] is True
    assert all(block.rescaled_by is not None for step in run.steps for block in step.blocks)
    assert run.steps[-1].loss < run.steps[0].loss
    assert qnewton("replay", "run", "--json")[0] == 0


def test_layers_of_a_hessian_cannot_be_put_together(qnewton) -> None:
    code, _, error = qnewton("train", "digits", "--rescale", "True", "--out", "run")
    assert code == 2
    (line,) = error.strip().splitlines()
    assert line.startswith("qnewton: rescale is set with curvature='hessian'")
    assert not Path("run").exists()


def test_an_existing_run_is_not_overwritten(qnewton) -> None:
    assert qnewton("train", "digits", "--steps", "1", "--out", "run")[0] == 0
    before = Path("run/steps.jsonl").read_bytes()
    code, _, error = qnewton("train", "digits", "--steps", "1", "--out", "run")
    assert code == 2
    assert "--resume" in error
    assert Path("run/steps.jsonl").read_bytes() == before


NINE_STEPS = ["--steps", "9", "--checkpoint-every", "3", "--prune-mass", "0.9"]


@pytest.fixture(scope="module")
def whole_run(calibrated_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of nine steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "whole"
    assert main(["train", "digits", *NINE_STEPS, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("after", [0, 1, 4, 7])
def test_a_killed_run_resumes_to_the_same_bits(qnewton, whole_run: Path, after: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "qnewton", "train", "digits", *NINE_STEPS, "--out", "cut"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    steps = Path("cut/steps.jsonl")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if steps.exists() and steps.read_bytes().count(b"\n") >= after:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    code, _, error = qnewton("train", "--resume", "cut")
    assert code == 0, error
    whole, cut = parameters_of(whole_run), parameters_of(Path("cut"))
    for name, value in whole.items():
        assert torch.equal(value, cut[name]), name
    recorded = [(s.step, s.loss) for s in read_run("cut").steps]
    assert recorded == [(s.step, s.loss) for s in read_run(whole_run).steps]


def test_a_full_disk_is_one_line_with_exit_code_1_and_loses_nothing(
    calibrated_cache, tmp_path
) -> None:
    resource = pytest.importorskip("resource")
    limit = 60_000

    def limit_file_size() -> None:
        # Writing past the limit fails as a full disk does, without filling one.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    options = ["train", "digits", "--steps", "40", "--out", "run", "--checkpoint-every", "40"]
    done = subprocess.run(
        [sys.executable, "-m", "qnewton", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "QNEWTON_CACHE": str(calibrated_cache)},
        preexec_fn=limit_file_size,
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("qnewton: ")
    assert "--resume" in last
    run = read_run(tmp_path / "run")
    assert run.warnings == ()
    assert len(run.steps) >= 1
    assert [s.step for s in run.steps] == list(range(len(run.steps)))


def test_a_folder_that_cannot_be_made_is_a_wrong_request(qnewton) -> None:
    Path("file").write_text("not a folder")
    code, _, error = qnewton("train", "digits", "--steps", "1", "--out", "file/run")
    assert code == 2
    assert error.startswith("qnewton: --out is file/run, and ")
    assert error.endswith("file is a file; choose another place\n")
    assert Path("file").read_text() == "not a folder"


def test_damping_that_sets_itself_trains_and_replays(qnewton) -> None:
    options = ["--damping", "auto", "--steps", "4", "--blocks", "layer"]
    code, output, error = qnewton("train", "digits", *options, "--out", "run", "--json")
    assert code == 0, error
    run = read_run("run")
    assert run.config.options["damping"] == "auto"
    assert run.config.options["lr"] == 1.0
    assert all(step.damping is not None for step in run.steps)
    assert run.steps[-1].loss < run.steps[0].loss
    code, output, error = qnewton("replay", "run", "--json")
    assert code == 0, error
    rows = {row["policy"]: row for row in json.loads(output)["rows"]}
    assert rows["classical"]["changed_decisions"] == 0


def test_the_summary_says_what_newton_covers(qnewton) -> None:
    options = ["--blocks", "layer", "--max-newton", "300", "--steps", "2", "--out", "run"]
    code, output, error = qnewton("train", "digits", *options)
    assert code == 0, error
    said = " ".join(output.split())
    assert "Newton covers 29.8% of the parameters; above max_newton, on first-order steps" in said


def test_the_summary_says_what_the_quantum_solver_reported(qnewton) -> None:
    options = ["--policy", "quantum-only", "--steps", "1", "--out", "run"]
    code, output, error = qnewton("train", "digits", *options)
    assert code == 0, error
    assert "1 quantum solve by emulator: success probability at least" in " ".join(output.split())


@pytest.mark.slow
def test_a_finished_run_changes_no_later_one_until_it_is_asked_to(
    qnewton, calibrated_cache: Path
) -> None:
    stored = calibration_path(describe_machine(), calibrated_cache)
    before = stored.read_bytes()
    options = ("--steps", "6", "--damping", "1.0", "--blocks", "layer")
    try:
        for name in ("one", "two"):
            assert qnewton("train", "digits", *options, "--out", name)[0] == 0
            assert stored.read_bytes() == before
        one, two = read_run("one"), read_run("two")
        assert one.config.calibration == two.config.calibration
        chosen = [
            [(b.decision.chosen, b.decision.quotes) for s in run.steps for b in s.blocks]
            for run in (one, two)
        ]
        assert chosen[0] == chosen[1]
        code, output, error = qnewton("calibrate", "--drift", "one", "--json")
        assert code == 0, error
        drifts = json.loads(output)["drifts"]
        assert drifts
        assert all(drift["ratio"] > 0 and drift["solves"] >= 5 for drift in drifts)
        assert qnewton("train", "digits", *options, "--out", "three")[0] == 0
        corrected = read_run("three").config.calibration
        assert corrected is not None
        assert [drift.solver for drift in corrected.drifts] == [d["solver"] for d in drifts]
    finally:
        stored.write_bytes(before)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("calibrate", "--drift", "nowhere"), "not a run folder"),
        (("calibrate", "--drift", "nowhere", "--force"), "give one of them"),
    ],
)
def test_a_drift_of_no_run_is_one_line(qnewton, words, said) -> None:
    code, _, error = qnewton(*words)
    assert code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_what_a_resume_depends_on_is_named_with_exit_code_1_when_it_was_changed(
    qnewton, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qnewton("train", "digits", "--steps", "2", "--out", "run")[0] == 0
    whole = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    config, steps = Path("run/config.json"), Path("run/steps.jsonl")
    fields = json.loads(config.read_text())
    for path, data, said in (
        (config, json.dumps(fields | {"threads": 7}).encode(), "threads was changed"),
        (config, json.dumps(fields | {"calibration": None}).encode(), "calibration was changed"),
        (steps, whole[steps].replace(b"1", b"2", 1), "does not hold the"),
        (steps, whole[steps][:-9], "bytes where its checkpoint saw"),
    ):
        path.write_bytes(data)
        assert main(["train", "--resume", "run"]) == 1
        output, error = capsys.readouterr()
        assert output == ""
        assert said in error
        assert len(error.strip().splitlines()) == 1
        assert path.read_bytes() == data
        path.write_bytes(whole[path])
    for path in Path("run/checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert main(["train", "--resume", "run"]) == 1
    assert "its records are kept" in capsys.readouterr().err
    assert steps.read_bytes() == whole[steps]
