"""A run killed at any instant and resumed writes what the uninterrupted one writes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qnewton.runs import RunWriter, latest_checkpoint, read_run
from qnewton.runs.errors import NotARunError
from tests import recorded

STEPS = 12


def toy_training(folder: Path, n_steps: int) -> None:
    """Train a linear congruential generator: any lost or repeated step changes every later one."""
    config = recorded.run_config(workload="toy", policy="none")
    checkpoint = None
    try:
        checkpoint, _ = latest_checkpoint(folder)
        writer = RunWriter.resume(folder, checkpoint)
    except NotARunError:
        writer = RunWriter.create(folder, config)
    state = 1 if checkpoint is None else int(checkpoint.data)
    with writer:
        for step in range(0 if checkpoint is None else checkpoint.step + 1, n_steps):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            writer.append_step(recorded.step(step, loss=state / 2**64))
            if step % 2:
                writer.append_metric(recorded.metric(step + 1, test_loss=state / 2**64))
            if step % 3 == 2:
                writer.save_checkpoint(step, str(state).encode())


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncing guards against power cuts, not kills, and takes most of the time here."""
    monkeypatch.setattr(os, "fsync", skip_sync)


def skip_sync(descriptor: int) -> None:
    pass


def contents(folder: Path) -> list[tuple[str, bytes]]:
    return [
        (path.relative_to(folder).as_posix(), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


SYSTEM_CALLS = ("open", "write", "fsync", "replace", "ftruncate", "mkdir", "unlink", "close")


def die_at_call(number: int) -> None:
    """Make this process end at its ``number``-th system call, a write half done."""
    calls = 0

    def deadly(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                if name == "write":
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os._exit(9)
            return call(*arguments, **options)

        return counted

    for name in SYSTEM_CALLS:
        setattr(os, name, deadly(name, getattr(os, name)))


def run_in_child(folder: Path, dies_at: int) -> bool:
    """Run the toy in a forked child; tell whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            die_at_call(dies_at)
            toy_training(folder, STEPS)
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), f"the run failed instead of being killed at call {dies_at}"
    return status == 0


@pytest.mark.slow
def test_killed_at_each_system_call_in_turn(tmp_path: Path) -> None:
    toy_training(tmp_path / "whole", STEPS)
    expected = contents(tmp_path / "whole")
    dies_at, ended = 0, False
    while not ended:
        dies_at += 1
        folder = tmp_path / f"run-{dies_at}"
        ended = run_in_child(folder, dies_at)
        run_in_child(folder, dies_at=7)  # and once more, early in the resumed run
        toy_training(folder, STEPS)
        assert contents(folder) == expected, f"killed at call {dies_at}"
    assert dies_at > 50  # the calls really are counted


@pytest.mark.slow
def test_killed_from_outside_at_random(tmp_path: Path) -> None:
    n_steps = 3000
    toy_training(tmp_path / "whole", n_steps)
    random_delay = random.Random(0)
    program = (
        "import importlib.util, sys, pathlib;"
        f"spec = importlib.util.spec_from_file_location('toy', {__file__!r});"
        "toy = importlib.util.module_from_spec(spec); spec.loader.exec_module(toy);"
        "toy.os.fsync = toy.skip_sync;"
        "print('ready', flush=True);"
        f"toy.toy_training(pathlib.Path(sys.argv[1]), {n_steps})"
    )
    kills = 0
    while True:
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "run")], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(random_delay.uniform(0.0, 0.12))
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
        if child.returncode == 0 or kills == 10:
            break
    toy_training(tmp_path / "run", n_steps)
    assert kills > 0
    assert read_run(tmp_path / "run").warnings == ()
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
