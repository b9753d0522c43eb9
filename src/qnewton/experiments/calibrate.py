"""Timing this machine's classical kernels, once, so that later runs can be priced on it."""

import dataclasses
import datetime
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from qnewton.cost import fit
from qnewton.cost.kernels import ROWS_A_CALL, cubic_work, graph_calls, matvec_work, sort_work
from qnewton.cost.least_squares import augmented_qr_flops
from qnewton.curvature import Curvature
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LowRankOperator,
    MatrixFreeOperator,
    SparseOperator,
)
from qnewton.operators.base import dtype_name
from qnewton.optimizer import describe_machine
from qnewton.optimizer.machine import memory_bytes
from qnewton.records import Calibration, KernelFit
from qnewton.solvers import factorize
from qnewton.solvers.classical import (
    conjugate_gradients,
    minimum_residual,
    relative_residual,
    solve_absolute,
)

REPEATS, SHORT_REPEATS = 5, 15
FACTOR_SIZES = (64, 128, 256, 512, 1024, 2048, 4096)
# Three times the work of LU, and double the bytes: no size beyond these is worth the wait.
LARGEST_INVERSE = 2048
LARGEST_DOUBLE = 2048
# Activations of which 32 copies are differentiated; more take seconds.
LARGEST_ROWS = 1 << 17
# All eigenvalues are asked for no further.
LARGEST_EIGEN = 512
# From what stays in a cache to what no cache holds.
MATVEC_SIZES = (64, 256, 512, 1024, 2048, 4096, 8192)
GEMM_SIZES = (16, 128, 512, 1024)
FACTOR_SHAPES = ((256, 8), (1024, 32), (4096, 64), (8192, 128), (8192, 512))
SPARSE_SHAPES = ((256, 5), (2048, 16), (4096, 64), (8192, 256))
NET_SHAPES = ((4, 4, 8), (64, 16, 256), (64, 64, 2048), (256, 256, 2048))
FISHER_SHAPES = ((4, 4, 8), (64, 16, 64), (64, 64, 256), (256, 256, 512))
BANDS = ((256, 1), (2048, 4), (4096, 16), (4096, 64), (2048, 256))
VECTOR_SIZES = (64, 1_000, 10_000, 100_000, 1_000_000)
PASS_SIZES = (1_000, 100_000, 4_000_000)
# Products of one timed Krylov run: enough that its beginning and end do not count.
_KRYLOV_PRODUCTS = 20
# A run this long is timed three times, one of a second once; medians of short runs need more.
_LONG_S, _VERY_LONG_S, _SHORT_S = 0.1, 0.8, 0.02
# OpenBLAS threads (LDLᵀ) go on spinning for so long, and take a core from who is timed next.
_SETTLE_S = 0.05

TIMINGS = 248
"""How many timings a calibration has; counting them anew would draw every matrix."""


@dataclass(frozen=True)
class Timing:
    """One kernel at one size.

    Attributes:
        kernel: A key of :data:`qnewton.cost.KERNELS`.
        work: The work of one call, in the kernel's unit.
        run: Does it.
        calls: How many calls ``run`` makes.
        dtype: ``float32`` or ``float64``.
    """

    kernel: str
    work: float
    run: Callable[[], object]
    calls: int = 1
    dtype: str = "float32"


def timings(seed: int) -> Iterator[Timing]:
    """Yield every timing of the calibration, smallest first within a kernel; :data:`TIMINGS`."""
    generator = torch.Generator().manual_seed(seed)
    for dtype in (torch.float32, torch.float64):
        drawn = (kind(dtype, generator) for kind in (_dense, _structured, _vectors))
        for timing in itertools.chain(*drawn, _passes(dtype), _layered_factors(dtype)):
            yield dataclasses.replace(timing, dtype=dtype_name(dtype))


def calibrate(seed: int = 0, on_timing: Callable[[Timing], None] = lambda _: None) -> Calibration:
    """Time every kernel on this machine and fit its constants.

    Each size is run once to warm up and then five times, short ones fifteen times and long ones
    three times or once; the median counts. One to two minutes on two cores.

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
            (timing.work, median_seconds(timing.run) / timing.calls)
        )
    fits: tuple[KernelFit, ...] = tuple(
        fit(kernel, dtype, pairs) for (kernel, dtype), pairs in samples.items()
    )
    return Calibration(
        name="local",
        machine=describe_machine(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        source=(
            f"qnewton calibrate: median of up to {SHORT_REPEATS} timed runs per size, "
            "after a warm-up"
        ),
        fits=fits,
        memory_bytes=memory_bytes(),
    )


def median_seconds(run: Callable[[], object]) -> float:
    """Return the median wall-clock seconds of several runs, after a pause and one to warm up.

    A run of more than a tenth of a second is repeated three times, one of almost a second once,
    one of less than 20 ms fifteen times: something else that runs for a moment spoils a few.
    """
    time.sleep(_SETTLE_S)
    first = _seconds(run)
    repeats = SHORT_REPEATS if first < _SHORT_S else REPEATS
    repeats = 1 if first > _VERY_LONG_S else 3 if first > _LONG_S else repeats
    return statistics.median(_seconds(run) for _ in range(repeats))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _dense(dtype: torch.dtype, generator: torch.Generator) -> Iterator[Timing]:
    double = dtype == torch.float64
    for n in FACTOR_SIZES:
        if double and n > LARGEST_DOUBLE:
            continue
        matrix = _positive_definite(n, dtype, generator)
        operator, rhs = DenseOperator(matrix), torch.randn(n, dtype=dtype, generator=generator)
        if n <= LARGEST_INVERSE:
            yield Timing("lu_inverse", cubic_work(n), partial(torch.linalg.inv, matrix))
        if n <= LARGEST_EIGEN:
            yield Timing("eigen", cubic_work(n), partial(solve_absolute, operator, rhs, 0.1))
        for kernel in ("lu", "cholesky", "ldl"):
            yield Timing(kernel, cubic_work(n), partial(factorize, operator, kernel))
        factors = factorize(operator, "cholesky")
        yield Timing("substitution", matvec_work(n), partial(factors.solve, rhs))
    for n in MATVEC_SIZES:
        matrix = torch.randn(n, n, dtype=dtype, generator=generator)
        vector = torch.randn(n, dtype=dtype, generator=generator)
        yield Timing("matvec", matvec_work(n), partial(torch.mv, matrix, vector))
        if n <= FACTOR_SIZES[-1]:
            residual = partial(relative_residual, DenseOperator(matrix), vector, vector)
            yield Timing("residual", matvec_work(n), residual)
    for n in GEMM_SIZES:
        matrix = torch.randn(n, n, dtype=dtype, generator=generator)
        yield Timing("gemm", 2 * cubic_work(n), partial(torch.mm, matrix, matrix))


def _structured(dtype: torch.dtype, generator: torch.Generator) -> Iterator[Timing]:
    for n, k in FACTOR_SHAPES:
        factor = DenseFactor(torch.randn(n, k, dtype=dtype, generator=generator))
        yield Timing("gram", 2.0 * n * k * k, factor.gram)
        # ‖U‖² is about N: with this shift, one round is exact, as it is at a usual damping.
        factors = factorize(LowRankOperator(factor, shift=float(n)), "woodbury")
        rhs = torch.randn(n, dtype=dtype, generator=generator)
        for rows in (factor, DenseFactor(factor.dense().mT)):
            work, operator = augmented_qr_flops(*rows.shape), LowRankOperator(rows, shift=float(n))
            yield Timing("householder", work, partial(factorize, operator, "augmented_qr"))
        yield Timing("woodbury_solve", float(n * k), partial(factors.solve, rhs))
    for n, kept in SPARSE_SHAPES:
        matrix = torch.zeros(n, n, dtype=dtype)
        for _ in range(kept):
            matrix[torch.arange(n), torch.randint(n, (n,), generator=generator)] = 1.0
        if n <= MATVEC_SIZES[-2]:
            yield Timing("compress", matvec_work(n), partial(SparseOperator, matrix))
        operator, vector = SparseOperator(matrix), torch.ones(n, dtype=dtype)
        del matrix
        product = partial(operator.__matmul__, vector)
        yield Timing("sparse_matvec", float(operator.entries), product)
    for n, width in BANDS:
        operator = SparseOperator(_banded(n, width, dtype))
        run = partial(factorize, operator, "sparse_lu")
        yield Timing("sparse_factor", float(n * (width + 1) ** 2), run)


def _vectors(dtype: torch.dtype, generator: torch.Generator) -> Iterator[Timing]:
    for n in VECTOR_SIZES:
        vector = torch.randn(n, dtype=dtype, generator=generator)
        # A product that costs nothing, of a spectrum that takes more products than are allowed.
        spread = torch.logspace(0, 4, n, dtype=dtype)
        product = partial(torch.mul, spread, out=torch.empty_like(spread))
        operator = MatrixFreeOperator(n, product, dtype=dtype)
        for kernel, solver in (("cg_step", conjugate_gradients), ("minres_step", minimum_residual)):
            run = partial(solver, operator, vector, 1e-12, _KRYLOV_PRODUCTS)
            yield Timing(kernel, float(n), run, calls=_KRYLOV_PRODUCTS)
    for n in PASS_SIZES:
        vector = torch.randn(n, dtype=dtype, generator=generator)
        yield Timing("elementwise", float(n), partial(torch.add, vector, 1))
        yield Timing("sort", sort_work(n), partial(torch.sort, vector))


def _passes(dtype: torch.dtype) -> Iterator[Timing]:
    """Yield passes through graphs of nets from tiny to wide, as a training step makes them."""
    # The loss and its gradient, a product with the Hessian by double backward, a batch of such
    # products, and a product in closed form.
    for inputs, hidden, batch in NET_SHAPES:
        net = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, 10)).to(dtype)
        data = torch.ones(batch, inputs, dtype=dtype)
        curvature = Curvature(net, "hessian", blocks="full")
        closure = partial(_mean_square, net, data)
        evaluation = curvature.evaluate(closure)
        work = evaluation.work
        assert work is not None
        calls = graph_calls(work.operations)
        yield Timing("forward_backward", work.flops / calls, partial(curvature.evaluate, closure))
        graph, parameters = evaluation.gradient_graph(), curvature.parameters
        flops = graph.passes * work.flops / calls
        n = sum(parameter.numel() for parameter in parameters)
        batches = {"curvature_product": 1, "curvature_rows": ROWS_A_CALL}
        if batch * hidden > LARGEST_ROWS:
            del batches["curvature_rows"]
        for kernel, rows in batches.items():
            vectors = torch.ones(rows, n, dtype=dtype)
            run = partial(graph.products, parameters, vectors)
            yield Timing(kernel, rows * flops, run)
        (system,) = curvature.systems(evaluation)
        assert system.curvature is not None
        assert system.curvature.product_flops is not None
        product = partial(system.operator.__matmul__, torch.ones(n, dtype=dtype))
        yield Timing("closed_form_product", system.curvature.product_flops, product)
        evaluation.release()


def _layered_factors(dtype: torch.dtype) -> Iterator[Timing]:
    """Yield products and Gram matrices of factors of the empirical Fisher, layer by layer."""
    for inputs, hidden, batch in FISHER_SHAPES:
        net = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, 10)).to(dtype)
        data = torch.ones(batch, inputs, dtype=dtype)
        curvature = Curvature(net, "fisher", blocks="full")
        evaluation = curvature.evaluate(partial(_mean_square, net, data))
        (system,) = curvature.systems(evaluation)
        operator, vector = system.operator, torch.ones(system.n, dtype=dtype)
        assert isinstance(operator, LowRankOperator)
        factor = operator.factor
        product = partial(operator.__matmul__, vector)
        yield Timing("factor_product", factor.product_flops, product)
        yield Timing("factor_gram", factor.gram_flops, factor.gram)
        evaluation.release()


def _mean_square(net: nn.Module, data: Tensor) -> Tensor:
    return net(data).square().mean()


def _positive_definite(n: int, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Return a matrix with eigenvalues around 1 to 3: noise of norm 1 around 2·I."""
    noise = torch.randn(n, n, dtype=dtype, generator=generator) / (2 * n) ** 0.5 / 2
    return noise + noise.mT + 2 * torch.eye(n, dtype=dtype)


def _banded(n: int, width: int, dtype: torch.dtype) -> Tensor:
    """Return a definite matrix with ``width`` diagonals on either side of the main one."""
    distance = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    matrix = torch.where(distance <= width, 1.0 / (1 + distance), 0.0).to(dtype)
    return matrix + 2 * width * torch.eye(n, dtype=dtype)
