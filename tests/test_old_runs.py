"""Run folders and checkpoints of release 0.1.0 (schema 1) are read, resumed and replayed.

``tests/golden/release_0_1`` was written with one thread by that release, in an empty folder:

    qnewton train digits --policy hybrid --hardware attosecond --blocks layer --steps 4 \
        --checkpoint-every 2 --survey-every 2 --out hybrid
    qnewton train digits --damping auto --curvature hessian --blocks layer --steps 6 \
        --checkpoint-every 3 --out auto
    qnewton train digits --policy paper --hardware attosecond --blocks full --prune-count 200 \
        --steps 4 --checkpoint-every 2 --out paper

Only the first checkpoint of each is kept, so that resuming takes the later steps again.
"""

import json
import shutil
from pathlib import Path

import pytest

from qnewton.cli import main
from qnewton.experiments.replay import own_settings, replay
from qnewton.records import StepRecord
from qnewton.runs import read_run

GOLDEN = Path(__file__).parent / "golden" / "release_0_1"
RUNS = ("hybrid", "auto", "paper")


def test_the_old_schema_is_read() -> None:
    for name in RUNS:
        assert json.loads((GOLDEN / name / "steps.jsonl").open().readline())["schema"] == 1
        run = read_run(GOLDEN / name)
        assert run.warnings == ()
        assert [record.step for record in run.steps] == list(range(len(run.steps)))
        for block in (block for record in run.steps for block in record.blocks):
            assert block.attempts[-1].outcome == "solved"
            assert block.decision.quote(block.decision.chosen) is not None


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_replays_to_its_own_decisions_and_seconds(name: str) -> None:
    run = read_run(GOLDEN / name)
    policy = run.config.policy
    again = replay(run.steps, policy, own_settings(run))
    recorded = [record.modelled.total for record in run.steps if record.modelled is not None]
    assert len(recorded) == len(run.steps)
    assert again.changed == 0
    assert again.seconds == pytest.approx(sum(recorded), rel=1e-12)


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_resumes_from_its_checkpoint(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_run(GOLDEN / name)
    shutil.copytree(GOLDEN / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--resume", name]) == 0
    after = read_run(tmp_path / name)
    assert len(after.steps) == len(before.steps)
    for ours, theirs in zip(after.steps, before.steps, strict=True):
        # Another processor rounds float32 products in another order.
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert _decided(ours) == _decided(theirs)


def _decided(record: StepRecord) -> list[tuple[str, str]]:
    return [(block.name, block.decision.chosen) for block in record.blocks]
