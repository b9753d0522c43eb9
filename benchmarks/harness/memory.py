"""Peak memory of one contender, in a process of its own.

What counts is the highest resident size during the run above the resident size just before it,
when libraries are loaded, data built and code compiled. Neither part can come from
``getrusage`` alone: on Linux ``ru_maxrss`` survives exec, so that a child starts with its parent's
peak, and loading data leaves a peak behind that a run could hide under. So the kernel's
high-water mark is set back just before the run.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_CHILD = "from benchmarks.harness.memory import child; child()"
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_SET_BACK_HIGH_WATER = "5"  # proc(5)


def peak_bytes(prepare: Callable[..., Callable[[], object]], *arguments: str | int) -> int:
    """Return the bytes that a contender's run adds to a fresh process at its highest.

    Args:
        prepare: A function of a module; called in the child with ``arguments``, it imports,
            builds data and compiles, and returns what to run once.
        arguments: Strings and whole numbers.

    Raises:
        RuntimeError: If the child does not finish; the line says why.
    """
    target = f"{prepare.__module__}:{prepare.__qualname__}"
    command = [sys.executable, "-c", _CHILD, target, json.dumps(arguments)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT)
    if child.returncode < 0:
        raise RuntimeError(
            f"{target} was killed by signal {-child.returncode} while its memory was measured; "
            "9 means that the machine ran out of it"
        )
    if child.returncode > 0:
        reason = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{target} failed while its memory was measured: {reason}")
    return int(child.stdout.splitlines()[-1])


def _measure(prepare: Callable[..., Callable[[], object]], arguments: list[str | int]) -> int:
    run = prepare(*arguments)
    gc.collect()
    before = _set_back()
    result = run()
    peak = _high_water()
    del result
    return max(0, peak - before)


def _set_back() -> int:
    """Set the high-water mark back to the present resident size and return it."""
    if _CLEAR.exists():
        _CLEAR.write_text(_SET_BACK_HIGH_WATER)
    return _high_water()


def _high_water() -> int:
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not at the top: Windows has none, and its tests of the rest go on

    # Elsewhere the mark cannot be set back: an upper bound of what came before is subtracted.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def child() -> None:
    """Measure what the command line names and print the bytes: the other end of peak_bytes."""
    module, _, name = sys.argv[1].partition(":")
    # What a library prints belongs to nobody here; only the number leaves on standard output.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    prepare = getattr(importlib.import_module(module), name)
    print(_measure(prepare, json.loads(sys.argv[2])), file=out, flush=True)
