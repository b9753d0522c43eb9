"""Peak memory is what the run adds: not what came before it, nor what the parent held."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

from benchmarks.harness import peak_bytes

# Memory is measured in processes of their own.
pytestmark = pytest.mark.slow

MB = 1 << 20
# The interpreter's own growth during a run.
SLACK = 4 * MB


def filled(size: int) -> bytearray:
    return bytearray(b"\1") * size


def holds(size: int) -> Callable[[], object]:
    return lambda: filled(size)


def peaks_while_preparing(before: int, size: int) -> Callable[[], object]:
    filled(before)
    return holds(size)


def fails() -> Callable[[], object]:
    raise ValueError("no such data")


def is_killed() -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), signal.SIGKILL)


def prints() -> Callable[[], object]:
    sys.stdout.write("a library's greeting\n")
    return holds(MB)


def test_counts_what_the_run_allocates() -> None:
    assert 64 * MB <= peak_bytes(holds, 64 * MB) <= 64 * MB + SLACK


def test_a_peak_before_the_run_hides_nothing() -> None:
    assert 32 * MB <= peak_bytes(peaks_while_preparing, 256 * MB, 32 * MB) <= 32 * MB + SLACK


def test_a_large_parent_does_not_count() -> None:
    # ru_maxrss of a child starts at its parent's peak.
    ballast = filled(256 * MB)
    assert 32 * MB <= peak_bytes(holds, 32 * MB) <= 32 * MB + SLACK
    assert len(ballast) == 256 * MB


def test_what_libraries_print_is_no_number() -> None:
    assert peak_bytes(prints) >= MB


def test_a_failure_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"fails failed .* ValueError: no such data"):
        peak_bytes(fails)


def test_a_kill_says_so() -> None:
    with pytest.raises(RuntimeError, match="killed by signal 9"):
        peak_bytes(is_killed)
