"""The runs that come with the package: small, whole, and read like any run folder."""

import gzip
from pathlib import Path

import pytest

from qnewton.runs import (
    CorruptRunError,
    NotARunError,
    RunConfig,
    RunWriter,
    pack_run,
    read_run,
    recorded,
    recorded_names,
    run_folders,
)

MOST_BYTES = 5_000_000


def test_they_are_the_five_workloads_and_small_together():
    assert recorded_names() == ("bert", "digits", "mistral", "mnist", "pinn")
    files = [file for folder in run_folders("recorded") for file in folder.iterdir()]
    assert 0 < sum(file.stat().st_size for file in files) < MOST_BYTES


def test_each_is_whole_and_holds_what_prices_ask_for():
    for run in recorded():
        config = run.config
        assert run.warnings == ()
        assert config.calibration is not None
        assert config.hardware is not None
        assert config.machine
        assert [record.step for record in run.steps] == list(range(len(run.steps)))
        blocks = [block for record in run.steps for block in record.blocks if block.attempts]
        assert blocks
        known = [block.facts for block in blocks if block.facts.spectrum.condition is not None]
        assert len(known) > len(blocks) / 2
        for facts in known:
            assert facts.spectrum.row_sparsity is not None
            assert facts.spectrum.norm is not None
            assert facts.spectrum.bound("determinant") is not None
            assert facts.amplitudes is not None
            assert facts.amplitudes.n == facts.n


def test_names_stand_for_them_and_folders_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert [folder.name for folder in run_folders("recorded")] == list(recorded_names())
    assert run_folders("recorded/pinn") == (recorded("pinn")[0].folder,)
    assert run_folders("elsewhere/run") == (Path("elsewhere/run"),)
    for name in ("one", "two"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "config.json").touch()
    assert run_folders("mine") == (Path("mine/one"), Path("mine/two"))
    (tmp_path / "recorded").mkdir()
    assert run_folders("recorded") == (Path("recorded"),)


def test_one_that_is_not_there_names_those_that_are():
    with pytest.raises(NotARunError, match="no recorded run is called 'no-such'; choose bert"):
        recorded("no-such")
    with pytest.raises(NotARunError, match="'mnist/x'"):
        run_folders("recorded/mnist/x")


def test_a_packed_run_is_the_run_and_a_damaged_pack_is_named(
    tmp_path: Path, config: RunConfig, step_record, metric_record
):
    with RunWriter.create(tmp_path / "run", config) as writer:
        for step in range(3):
            writer.append_step(step_record(step))
        writer.append_metric(metric_record(1))
    packed = pack_run(tmp_path / "run", "small", into=tmp_path)
    whole, small = read_run(tmp_path / "run"), read_run(packed)
    assert (small.config, small.steps, small.metrics) == (whole.config, whole.steps, whole.metrics)
    again = pack_run(tmp_path / "run", "other", into=tmp_path)
    log = packed / "steps.jsonl.gz"
    assert log.read_bytes() == (again / "steps.jsonl.gz").read_bytes()
    data = log.read_bytes()
    for damaged in (data[:-9], b"no gzip", data[:20] + b"?" + data[21:]):
        log.write_bytes(damaged)
        with pytest.raises(CorruptRunError, match=r"steps\.jsonl\.gz"):
            read_run(packed)
    log.write_bytes(gzip.compress(gzip.decompress(data)[:-5]))
    assert len(read_run(packed).warnings) == 1
