"""Two processes with half the batch each take the steps of one process with all of it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

SCRIPT = Path(__file__).parent / "replicas" / "scenarios.py"
_spec = importlib.util.spec_from_file_location("scenarios", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
scenarios = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenarios)

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="torch was built without gloo"
)


@pytest.fixture(scope="module")
def spread_out(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """Return what each of two processes ended with."""
    folder = tmp_path_factory.mktemp("replicas")
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), str(rank), "2"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        complaints = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], complaints
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Tensor]:
    return scenarios.run_all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [scenario.__name__ for scenario in scenarios.SCENARIOS])
def test_two_halves_are_one_whole(
    name: str, spread_out: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    first, second = (found[name] for found in spread_out)
    assert torch.equal(first, second)
    # float64, three steps on systems of condition below 100; the sums have another order.
    assert torch.allclose(first, alone[name], rtol=0, atol=1e-11)
    assert not torch.equal(alone[name], start())


def start() -> Tensor:
    return nn.utils.parameters_to_vector(scenarios.Share().net.parameters()).detach()
