"""A workload from outside the package is known to every command."""

from dataclasses import replace
from pathlib import Path

import pytest

from qnewton.cli import main
from qnewton.runs import read_run
from qnewton.workloads import WORKLOADS, Source, Workload, available_workloads, load_workload


def load_few_digits(seed: int, data_dir: Path | None) -> Workload:
    return replace(load_workload("digits", seed), name="few-digits", batch_size=50)


@pytest.mark.slow
def test_a_registered_workload_trains_into_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    WORKLOADS.register(Source("few-digits", load_few_digits))
    try:
        assert available_workloads()[-1] == "few-digits"
        compared = ["compare", "few-digits", "--steps", "2", "--max-sgd-steps", "2"]
        words = ["--sgd-learning-rates", "0.1", "--calibration", "nominal", "--out", "run"]
        assert main([*compared, *words, "--agreement-every", "9", "--json"]) == 0
    finally:
        WORKLOADS.unregister("few-digits")
    assert read_run(tmp_path / "run" / "newton").config.workload == "few-digits"
    with pytest.raises(ValueError, match="no workload is called 'few-digits'"):
        load_workload("few-digits", 0)


def test_two_workloads_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'digits' is there already"):
        WORKLOADS.register(Source("digits", load_few_digits))
