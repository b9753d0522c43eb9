"""The machine in words and numbers: what it is, and what it can do at best just now."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.peers import peer_versions
from qnewton.experiments.calibrate import median_seconds
from qnewton.optimizer.machine import processor
from qnewton.training.session import versions

_GEMM_SIZE = 2048
_COPY_ENTRIES = 1 << 26  # 256 MB of float32, beyond any cache


def describe_machine() -> dict[str, Any]:
    """Return processor, memory, versions, threads, and the measured rates results are read by.

    ``gemm_gflops`` is a float32 product of two 2048 × 2048 matrices; ``copy_gb_per_s`` counts
    what a 256 MB copy reads and writes. Load averages tell whether others were using the machine.

    Cost: about a second.
    """
    return {
        "processor": processor(),
        "logical_cpus": os.cpu_count(),
        "cpus_allowed": cpus_allowed(),
        "memory_gb": round(_memory_bytes() / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": {**versions(), **peer_versions()},
        "torch_threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "load_averages": [round(load, 2) for load in os.getloadavg()],
        "gemm_gflops": round(_gemm_gflops(), 1),
        "copy_gb_per_s": round(_copy_gb_per_s(), 1),
    }


def available_bytes() -> int:
    """Return the memory a new process can have without pushing others out."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return _memory_bytes()


def _gemm_gflops() -> float:
    a, b = torch.randn(_GEMM_SIZE, _GEMM_SIZE), torch.randn(_GEMM_SIZE, _GEMM_SIZE)
    out = torch.empty_like(a)
    return 2 * _GEMM_SIZE**3 / median_seconds(lambda: torch.mm(a, b, out=out)) / 1e9


def _copy_gb_per_s() -> float:
    source = torch.ones(_COPY_ENTRIES)
    target = torch.empty_like(source)
    return 2 * 4 * _COPY_ENTRIES / median_seconds(lambda: target.copy_(source)) / 1e9


def cpus_allowed() -> int:
    """Return how many processors this process may use."""
    # sched_getaffinity sees taskset and cpusets; only Linux has it.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
