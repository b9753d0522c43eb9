"""Timing this machine's classical kernels, once, so that later runs can be priced on it."""

import datetime
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.cost import fit
from qnewton.cost.kernels import cubic_work, matvec_work, sort_work
from qnewton.optimizer import describe_machine
from qnewton.records import Calibration, KernelFit

REPEATS = 5
FACTOR_SIZES = (64, 128, 256, 512, 1024, 1536)
MATVEC_SIZES = (64, 512, 1536, 3072)
GEMM_SIZES = (16, 128, 512, 1024)
VECTOR_SIZES = (1_000, 100_000, 4_000_000)


@dataclass(frozen=True)
class Timing:
    """One kernel at one size: the work it does and how to do it once."""

    kernel: str
    dtype: str
    work: float
    run: Callable[[], object]


def timings(seed: int) -> Iterator[Timing]:
    """Yield every timing of the calibration, smallest first within a kernel."""
    generator = torch.Generator().manual_seed(seed)
    for dtype in (torch.float32, torch.float64):
        name = str(dtype).removeprefix("torch.")
        for n in FACTOR_SIZES:
            matrix = _positive_definite(n, dtype, generator)
            yield Timing("lu_inverse", name, cubic_work(n), lambda a=matrix: torch.linalg.inv(a))
            yield Timing("lu", name, cubic_work(n), lambda a=matrix: torch.linalg.lu_factor(a))
            yield Timing(
                "cholesky", name, cubic_work(n), lambda a=matrix: torch.linalg.cholesky_ex(a)
            )
        for n in MATVEC_SIZES:
            matrix = torch.randn(n, n, dtype=dtype, generator=generator)
            vector = torch.randn(n, dtype=dtype, generator=generator)
            yield Timing("matvec", name, matvec_work(n), lambda a=matrix, v=vector: a @ v)
        for n in GEMM_SIZES:
            matrix = torch.randn(n, n, dtype=dtype, generator=generator)
            yield Timing("gemm", name, 2 * cubic_work(n), lambda a=matrix: a @ a)
        for n in VECTOR_SIZES:
            vector = torch.randn(n, dtype=dtype, generator=generator)
            yield Timing("elementwise", name, float(n), lambda v=vector: v + 1)
            yield Timing("sort", name, sort_work(n), lambda v=vector: torch.sort(v))


def calibrate(seed: int = 0, on_timing: Callable[[Timing], None] = lambda _: None) -> Calibration:
    """Time every kernel on this machine and fit its constants.

    Each size is run once to warm up and then five times; the median counts. A few seconds on
    two cores.

    Args:
        seed: Draws the matrices.
        on_timing: Told of every timing before it starts.

    Returns:
        The fits of float32 and float64, with the samples they were made from.
    """
    samples: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for timing in timings(seed):
        on_timing(timing)
        samples.setdefault((timing.kernel, timing.dtype), []).append(
            (timing.work, median_seconds(timing.run))
        )
    fits: tuple[KernelFit, ...] = tuple(
        fit(kernel, dtype, pairs) for (kernel, dtype), pairs in samples.items()
    )
    return Calibration(
        name="local",
        machine=describe_machine(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        source=f"qnewton calibrate: median of {REPEATS} timed runs a size, after one to warm up",
        fits=fits,
    )


def median_seconds(run: Callable[[], object]) -> float:
    """Return the median wall-clock seconds of ``REPEATS`` runs, after one to warm up."""
    run()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _positive_definite(n: int, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    square = torch.randn(n, n, dtype=dtype, generator=generator)
    return square @ square.mT / n + torch.eye(n, dtype=dtype)
