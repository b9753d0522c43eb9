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
from qnewton.records import SCHEMA_VERSION, Sparse, StepRecord
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


def test_what_the_old_schema_had_side_by_side_is_told_apart() -> None:
    first = json.loads((GOLDEN / "hybrid" / "steps.jsonl").open().readline())
    for old, block in zip(
        first["blocks"], read_run(GOLDEN / "hybrid").steps[0].blocks, strict=True
    ):
        facts, spectrum = old["facts"], block.facts.spectrum
        assert facts["representation"] == block.facts.held.KIND
        assert spectrum.condition is not None
        assert spectrum.condition.value == facts["condition"]["value"]
        assert (spectrum.norm, spectrum.row_sparsity) == (facts["norm"], facts["row_sparsity"])
        assert (spectrum.frobenius, spectrum.max_abs) == (facts["frobenius"], facts["max_abs"])
        assert [bound.method for bound in spectrum.bounds] == ["determinant", "trace"]
        for written, quote in zip(old["decision"]["quotes"], block.decision.quotes, strict=True):
            assert quote.condition_number == written["condition_number"]
            if quote.quantum is None:
                assert (quote.machine, quote.tolerance) == ("classical", written["epsilon"])
            else:
                assert quote.name == written["algorithm"]
                assert quote.quantum.epsilon == written["epsilon"]
                assert quote.quantum.t_count == written["t_count"]


def test_what_earlier_solves_left_is_read_from_the_old_schema() -> None:
    for name in RUNS:
        lines = [json.loads(line) for line in (GOLDEN / name / "steps.jsonl").open()]
        for line, record in zip(lines, read_run(GOLDEN / name).steps, strict=True):
            for old, block in zip(line["blocks"], record.blocks, strict=True):
                written, earlier = old["facts"]["earlier"], block.facts.earlier
                assert (written is None) == (earlier is None)
                if earlier is not None:
                    assert earlier.cg.products == written["cg_products"]
                    assert earlier.minres.unfinished == written["minres_unfinished"]
                    assert earlier.definiteness == written["definiteness"]
                if isinstance(block.facts.held, Sparse):
                    assert block.facts.held.entries == old["facts"]["entries"]


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_replays_to_its_own_decisions_and_seconds(name: str) -> None:
    run = read_run(GOLDEN / name)
    policy = run.config.policy
    again = replay(run.steps, policy, own_settings(run))
    recorded = [record.modelled.total for record in run.steps if record.modelled is not None]
    assert len(recorded) == len(run.steps)
    assert again.changed == 0
    assert again.seconds == pytest.approx(sum(recorded), rel=1e-12)


@pytest.mark.slow
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
    lines = [json.loads(line) for line in (tmp_path / name / "steps.jsonl").open()]
    # The steps after the checkpoint were taken, and written, anew.
    assert {line["schema"] for line in lines} == {1, SCHEMA_VERSION}
    for ours, theirs in zip(after.steps, before.steps, strict=True):
        # Another processor rounds float32 products in another order.
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert _decided(ours) == _decided(theirs)


def _decided(record: StepRecord) -> list[tuple[str, str]]:
    return [(block.name, block.decision.chosen) for block in record.blocks]
