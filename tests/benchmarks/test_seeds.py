"""Many seeds with nothing set: no run raises or ends above its first loss; the log resumes."""

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks import seeds
from benchmarks.seed_networks import DTYPES, NETWORKS, run_seed

# Ten seeds of each network and dtype; most of the time goes to the recurrent ones.
SEEDS = range(10)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_no_run_raises_rises_or_stays_at_a_bound(network: str, dtype: str, seed: int) -> None:
    run = run_seed(network, dtype, seed)
    assert run.error is None
    assert run.steps == 150
    assert run.last <= run.first
    assert run.share_at_bound <= 0.5


def test_a_run_repeats_to_the_bit() -> None:
    assert run_seed("feed-forward", "float32", 3, steps=8) == run_seed(
        "feed-forward", "float32", 3, steps=8
    )


@pytest.mark.slow
def test_a_killed_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    log, said = tmp_path / "seeds.jsonl", []
    report = seeds.measure(said.append, seeds=1, steps=3, log=log)
    assert [row.verdict for row in report.rows] == ["met"] * 6
    lines = log.read_text(encoding="utf-8").splitlines()
    # What a kill leaves: some of the lines, the last one cut short.
    log.write_text("\n".join(lines[:4]) + "\n" + lines[4][:30], encoding="utf-8")
    again = seeds.measure(said.append, seeds=1, steps=3, log=log)
    assert "3 of 6 runs are in seeds.jsonl already" in said
    assert again.facts == report.facts
    kept = seeds.read_log(log, seeds.source_code(), 3)
    assert len(kept) == 6


def test_runs_of_other_source_code_or_another_length_do_not_count(tmp_path: Path) -> None:
    log = tmp_path / "seeds.jsonl"
    run = run_seed("feed-forward", "float64", 0, steps=2)
    line = {"source": "other", "asked": 2, "run": dataclasses.asdict(run)}
    log.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert seeds.read_log(log, "other", 2) == {("feed-forward", "float64", 0): run}
    assert seeds.read_log(log, "other", 3) == {}
    assert seeds.read_log(log, seeds.source_code(), 2) == {}


def test_an_exception_is_a_run_that_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr("qnewton.QNewton.step", broken)
    run = run_seed("feed-forward", "float64", 0, steps=2)
    assert run.error == "ValueError: no"
    assert seeds._row([run]).verdict == "missed"
