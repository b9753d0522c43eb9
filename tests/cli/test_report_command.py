"""``qnewton report``: one page of one run, or of several."""

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from qnewton.cli import main
from qnewton.cli.main import COMMANDS
from qnewton.cli.parsing import parse
from qnewton.report.page_facts import training_command
from qnewton.training.request import TrainingRequest, request_of
from tests import recorded


def test_runs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "both.html"
    runs = ["recorded/digits", "recorded/pinn"]
    assert main(["report", *runs, "--out", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(place), "pictures": []}
    assert "2 runs side by side: digits, pinn" in place.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recorded/digits"], "name the page, such as --out page.html"),
        (["recorded/none", "--out", "page.html"], "no recorded run is called 'none'"),
        (["a", "b", "--pictures"], "--pictures takes one folder, not 2"),
        ([], "no folder is named and there is no run below runs/"),
    ],
)
def test_what_cannot_be_shown(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "asked",
    [
        TrainingRequest(),
        TrainingRequest(workload="mnist", steps=7, seed=3, damping=0.25, prune_count=12, lr=0.5),
        TrainingRequest(policy="paper", hardware="attosecond", readout="amplitude", shots=100),
        TrainingRequest(damping="auto", curvature="auto", blocks="layer", rescale=False),
        TrainingRequest(optimizer="sgd", batch_size=64, target=0.9),
        TrainingRequest(damping=0.1, relative_damping=True, policy="hybrid", qpus=2),
    ],
    ids=lambda asked: f"{asked.optimizer}-{asked.policy}-{asked.damping}",
)
def test_the_command_on_a_page_asks_for_the_same_training(asked: TrainingRequest) -> None:
    config = recorded.run_config(workload=asked.workload, policy=asked.policy, seed=asked.seed)
    config = replace(config, hardware=None, options=json.loads(json.dumps(asdict(asked))))
    command = parse(COMMANDS, shlex.split(training_command(config))[1:])
    assert request_of(command) == asked
    compared = replace(config, kind="compare", options=config.options | {"max_sgd_steps": 30})
    if asked.damping != "auto":
        command = parse(COMMANDS, shlex.split(training_command(compared))[1:])
        assert command.training.steps == asked.steps  # type: ignore[attr-defined]
        assert command.max_sgd_steps == 30  # type: ignore[attr-defined]
