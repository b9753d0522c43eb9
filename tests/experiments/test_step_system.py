"""The Newton system of a recorded step, made again: the same bits, and nothing is written."""

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from qnewton.cost import nominal_calibration
from qnewton.experiments.step_system import block_to_solve, solved_system
from qnewton.optimizer import QNewton
from qnewton.runs import Run, read_run
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare
from qnewton.workloads import load_workload
from tests import recorded

trains = pytest.mark.slow

Told = dict[tuple[int, str], tuple[Tensor, Tensor]]


def trained(folder: Path, steps: int = 7, **options: object) -> tuple[Run, Told]:
    """Train on the digits; return the run, and the systems that its steps told of last."""
    asked = TrainingRequest(steps=steps, blocks="tensor", checkpoint_every=3, **options)  # type: ignore[arg-type]
    session = prepare(asked, load_workload("digits", 0), nominal_calibration())
    optimizer = session.stepper.optimizer
    assert isinstance(optimizer, QNewton)
    told: Told = {}

    def keep(step, system, record, direction) -> None:
        told[step, system.name] = (system.operator.dense().clone(), system.rhs.clone())

    optimizer.register_solution_hook(keep)
    begin(session, folder)
    return read_run(folder), told


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Told]:
    return trained(tmp_path_factory.mktemp("run") / "run")


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@trains
# Checkpoints of the run stand after 6 and 7 steps: step 1 is reached from the beginning.
@pytest.mark.parametrize("step", [1, 6])
def test_the_system_is_the_recorded_one_to_the_bit_and_nothing_is_written(run, step) -> None:
    (whole, told), before, taken = run, contents(run[0].folder), []
    block = block_to_solve(whole, step, None, largest=16)
    assert block.n == 16
    warnings: list[str] = []
    system = solved_system(
        whole, step, block.name, on_step=taken.append, on_warning=warnings.append
    )
    entries, rhs = told[step, block.name]
    assert torch.equal(system.operator.dense(), entries)
    assert torch.equal(system.rhs, rhs)
    assert system.operator.treatment.damping == block.treatment.damping
    assert len(taken) == (2 if step == 1 else 1)
    assert not warnings
    assert contents(whole.folder) == before


@trains
def test_of_many_tried_dampings_it_is_the_last(tmp_path) -> None:
    whole, told = trained(tmp_path / "run", steps=3, damping="auto", curvature="ggn")
    for step in range(3):
        block = block_to_solve(whole, step, None, largest=16)
        system = solved_system(whole, step, block.name)
        entries, rhs = told[step, block.name]
        assert torch.equal(system.operator.dense(), entries)
        assert torch.equal(system.rhs, rhs)
        assert system.operator.treatment.damping == block.treatment.damping


@trains
def test_a_damaged_checkpoint_is_passed_over(run, tmp_path) -> None:
    (whole, told), warnings = run, []
    folder = shutil.copytree(whole.folder, tmp_path / "copy")
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    block = block_to_solve(whole, 6, None, largest=16).name
    system = solved_system(read_run(folder), 6, block, on_warning=warnings.append)
    assert torch.equal(system.rhs, told[6, block][1])
    (line,) = warnings
    assert "cut short" in line


@trains
def test_a_step_that_comes_out_otherwise_is_said(run) -> None:
    (whole, _), warnings = run, []
    other = replace(whole.steps[0], loss=whole.steps[0].loss * 1.01)
    block = block_to_solve(whole, 0, None, largest=16).name
    solved_system(replace(whole, steps=(other,)), 0, block, on_warning=warnings.append)
    (line,) = warnings
    assert "taken again, has the loss" in line


def made_of(*steps: tuple[object, ...]) -> Run:
    records = tuple(recorded.step(k, blocks=blocks) for k, blocks in enumerate(steps))
    return Run(folder=Path("runs/some"), config=recorded.run_config(), steps=records, metrics=())


WEIGHTS = recorded.block("weights", n=640)
BIAS = recorded.block("bias", n=10)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (
            lambda run: block_to_solve(run, 2, None, 16),
            "--step is 2; runs/some has recorded steps 0 to 1",
        ),
        (lambda run: block_to_solve(run, -1, None, 16), "--step is -1"),
        (
            lambda run: block_to_solve(run, 0, None, 16),
            "step 0 of runs/some solved no system; the first",
        ),
        (
            lambda run: block_to_solve(run, 1, "head", 16),
            "'head'; step 1 solved: bias (10), weights (640)",
        ),
        (
            lambda run: block_to_solve(run, 1, "weights", 16),
            "limit of 16 unknowns; blocks of step 1 that fit: bias (10)",
        ),
        (
            lambda run: block_to_solve(run, 1, None, 8),
            "fit: none; of all: bias (10), weights (640)",
        ),
    ],
)
def test_what_cannot_be_solved_is_one_line_that_says_what_can(
    ask: Callable[[Run], object], says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as raised:
        ask(made_of((), (WEIGHTS, BIAS)))
    assert "\n" not in str(raised.value)


def test_of_many_blocks_the_smallest_are_named() -> None:
    blocks = tuple(recorded.block(f"b{k}", n=100 - k) for k in range(20))
    with pytest.raises(ValueError, match=r"fit: none; of all: b19 \(81\), .*, 12 larger ones;"):
        block_to_solve(made_of(blocks), 0, None, 16)


def test_the_first_block_that_fits_is_taken() -> None:
    assert block_to_solve(made_of((WEIGHTS, BIAS)), 0, None, 16) is BIAS
    assert block_to_solve(made_of((WEIGHTS, BIAS)), 0, None, 1000) is WEIGHTS
    assert block_to_solve(made_of((WEIGHTS, BIAS)), 0, "bias", 1000) is BIAS
