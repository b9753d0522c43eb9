import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qnewton.cost import nominal_calibration, save_calibration
from qnewton.optimizer import describe_machine


@pytest.fixture(scope="session")
def calibrated_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with rates for this machine, so that no test waits for a calibration."""
    import dataclasses

    folder = tmp_path_factory.mktemp("cache")
    save_calibration(dataclasses.replace(nominal_calibration(), machine=describe_machine()), folder)
    return folder


@pytest.fixture
def qnewton(
    calibrated_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in a process of its own; returns exit code, standard output, error."""
    monkeypatch.setenv("QNEWTON_CACHE", str(calibrated_cache))
    # The machine is described with its threads; the cache was filled for one.
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "qnewton", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr

    return run
