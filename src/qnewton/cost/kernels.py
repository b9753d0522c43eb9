"""Classical kernels: what a unit of work is, how seconds are fitted, and what work then costs.

seconds = calls · t(work / calls). A kernel that was timed follows its timings, t interpolated
between them on logarithmic axes: one rate is wrong by 2 to 4 times at the ends of a range that
leaves the caches. Others follow their line, t(w) = overhead_s + seconds_per_unit · w. This package
only fits; the timing is done by ``qnewton calibrate``.
"""

import bisect
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from qnewton.records import Calibration, KernelFit
from qnewton.records.messages import check


@dataclass(frozen=True)
class Kernel:
    """A classical kernel: its unit of work, and whether its price has a fixed part per call."""

    unit: str
    has_overhead: bool


KERNELS: dict[str, Kernel] = {
    # The paper's C·N³ has no fixed part (IV-C), so neither has its fit.
    "lu_inverse": Kernel("N^3", has_overhead=False),
    "lu": Kernel("N^3", has_overhead=True),
    "cholesky": Kernel("N^3", has_overhead=True),
    "ldl": Kernel("N^3", has_overhead=True),
    # Both triangular solves, the residual in float64, and the refinement a solve takes.
    "substitution": Kernel("N^2 per solve", has_overhead=True),
    "matvec": Kernel("N^2 per product", has_overhead=True),
    "sparse_matvec": Kernel("entries kept", has_overhead=True),
    # The vector operations beside one product.
    "cg_step": Kernel("N per product", has_overhead=True),
    "minres_step": Kernel("N per product", has_overhead=True),
    "residual": Kernel("N^2 per residual", has_overhead=True),
    "gemm": Kernel("flops", has_overhead=True),
    "gram": Kernel("flops", has_overhead=True),
    # R by Householder's reflections, of a factor's rows above √λ·I.
    "householder": Kernel("flops", has_overhead=True),
    # All of a solve by Woodbury's identity but its factor: products, residual, refinement.
    "woodbury_solve": Kernel("N·k per solve", has_overhead=True),
    # Passes through an autograd graph of OPERATIONS_A_CALL operations: the loss and its gradient,
    # a product with a curvature by double backward, and ROWS_A_CALL such products in one batch.
    "forward_backward": Kernel("flops", has_overhead=True),
    "curvature_product": Kernel("flops", has_overhead=True),
    "curvature_rows": Kernel("flops", has_overhead=True),
    # A product with a Hessian whose derivatives by sample are there.
    "closed_form_product": Kernel("flops", has_overhead=True),
    # U(Uᵀv) and UᵀU of a factor that keeps a network's layers apart.
    "factor_product": Kernel("flops", has_overhead=True),
    "factor_gram": Kernel("flops", has_overhead=True),
    "compress": Kernel("N^2 searched for entries", has_overhead=True),
    "sparse_factor": Kernel("squared column lengths of a factor", has_overhead=True),
    # One pass over a vector or matrix.
    "elementwise": Kernel("entries", has_overhead=True),
    "sort": Kernel("entries·log2(entries)", has_overhead=True),
    "eigen": Kernel("N^3", has_overhead=True),
}
"""Every kernel a classical price is made of."""

OPERATIONS_A_CALL = 11
"""Operations in the graph of the network that passes are timed on, 2 linear layers and a tanh.

A graph of m operations starts as many as m/11 such passes.
"""

ROWS_A_CALL = 32
"""Rows of a matrix that are differentiated in one batch."""


def graph_calls(operations: int | None, passes: float = 1.0) -> float:
    """Return the calls of a kernel that ``passes`` through a graph are worth, one at least each.

    Example:
        >>> graph_calls(33, passes=2), graph_calls(5), graph_calls(None)
        (6.0, 1.0, 1.0)
    """
    return passes * max(1.0, (operations or 0) / OPERATIONS_A_CALL)


def rows_calls(rows: int, operations: int | None) -> float:
    """Return the calls of ``curvature_rows`` that so many rows take, 32 in a batch.

    Example:
        >>> rows_calls(33, 11)
        2.0
    """
    return graph_calls(operations, math.ceil(rows / ROWS_A_CALL))


def cubic_work(n: int) -> float:
    """Return N³, the work of ``lu_inverse``, ``lu`` and ``cholesky`` at N unknowns.

    Raises:
        ValueError: If N is below 1.

    Example:
        >>> cubic_work(100)
        1000000.0
    """
    _check_size(n)
    return float(n) ** 3


def matvec_work(n: int, products: int = 1) -> float:
    """Return N² per product, the work of ``matvec``.

    Raises:
        ValueError: If N is below 1.

    Example:
        >>> matvec_work(100, products=3)
        30000.0
    """
    _check_size(n)
    return products * float(n) ** 2


def sort_work(entries: int) -> float:
    """Return entries·log2(entries), the work of ``sort``; a single entry counts 0.

    Example:
        >>> sort_work(1024)
        10240.0
    """
    return entries * math.log2(max(entries, 1))


def price(
    calibration: Calibration,
    kernel: str,
    work: float,
    dtype: str = "float32",
    *,
    calls: float = 1,
    as_timed: bool = False,
) -> float:
    """Price work on a classical kernel, in equal calls: calls · t(work / calls).

    t follows the timings of a kernel that has some at two or more amounts of work (and is not
    the paper's C·N³): log-log between them, at the rate of the largest beyond, and the
    smallest's own seconds below. Otherwise t(w) = overhead_s + seconds_per_unit · w.

    Args:
        calibration: The machine's fitted constants.
        kernel: A key of :data:`KERNELS`.
        work: Total work of all calls, in the kernel's unit.
        dtype: ``float32`` or ``float64``.
        calls: How often the kernel is started; a part of one counts as that part.
        as_timed: Follow the timings of the paper's C·N³, too.

    Returns:
        Modelled seconds.

    Raises:
        ValueError: If the kernel is unknown or the calibration has no fit of it at ``dtype``, or
            if work or calls is negative or not finite.

    Cost:
        One scalar operation.

    Example:
        >>> fit = KernelFit(kernel="gemm", work="flops", dtype="float32",
        ...                 seconds_per_unit=1e-11, overhead_s=1e-5)
        >>> machine = Calibration(name="m", machine="m", date="2026-01-01", source="s",
        ...                       fits=(fit,))
        >>> round(price(machine, "gemm", 1e6), 9)
        2e-05
    """
    known_kernel(kernel)
    fit = calibration.fit(kernel, dtype)
    if fit is None:
        raise ValueError(missing_fit(calibration, kernel, dtype))
    check(f"work of kernel {kernel!r}", work, "must be finite and 0 or more", work >= 0)
    check(f"calls of kernel {kernel!r}", calls, "must be 0 or more", calls >= 0)
    return seconds_of(fit, work, calls, as_timed)


def seconds_of(fit: KernelFit, work: float, calls: float = 1, as_timed: bool = False) -> float:
    """Return what :func:`price` does, of a fit at hand and work that is known to be sound."""
    follows = as_timed or KERNELS[fit.kernel].has_overhead
    if not follows or len(curve := fit.curve) < 2:
        return fit.overhead_s * calls + fit.seconds_per_unit * work
    return calls * _interpolate(curve, work / calls) if calls else 0.0


def known_kernel(name: str) -> Kernel:
    """Return the kernel called ``name``.

    Raises:
        ValueError: If there is none, naming those that exist.
    """
    if name not in KERNELS:
        raise ValueError(f"no kernel is called {name!r}; the kernels are {', '.join(KERNELS)}")
    return KERNELS[name]


def missing_fit(calibration: Calibration, kernel: str, dtype: str) -> str:
    """Return the line that says a calibration cannot price ``kernel``, and the way out."""
    return (
        f"calibration {calibration.name!r} has no {kernel} rate for {dtype}; run `qnewton "
        "calibrate` or choose a calibration that has one"
    )


def fit(kernel: str, dtype: str, samples: Sequence[tuple[float, float]]) -> KernelFit:
    """Fit a kernel's constants to timed runs, by least squares on the relative error.

    Minimises Σ_i ((overhead + rate·work_i)/seconds_i - 1)² over rate ≥ 0 and, for kernels with a
    fixed part, overhead ≥ 0. Relative, so that the smallest run weighs as much as the largest.

    Args:
        kernel: A key of :data:`KERNELS`; says the unit of work and whether there is an overhead.
        dtype: ``float32`` or ``float64``.
        samples: (work, seconds) pairs, both positive; at least two different amounts of work
            where there is an overhead to tell from the rate.

    Returns:
        The fit with its samples and its median relative error on them.

    Raises:
        ValueError: If the kernel is unknown, or samples are missing or not positive.

    Cost:
        O(samples).

    Example:
        >>> line = fit("gemm", "float32", [(1e6, 2e-5), (2e6, 3e-5), (4e6, 5e-5)])
        >>> f"{line.overhead_s:.3g} {line.seconds_per_unit:.3g}"
        '1e-05 1e-11'
    """
    described = known_kernel(kernel)
    pairs = tuple((float(work), float(seconds)) for work, seconds in samples)
    for work, seconds in pairs:
        if not (0 < work < math.inf and 0 < seconds < math.inf):
            sample = f"a sample of kernel {kernel!r} is ({work!r}, {seconds!r})"
            raise ValueError(f"{sample}; work and seconds must be finite and above 0")
    needed, found = 2 if described.has_overhead else 1, len({work for work, _ in pairs})
    if found < needed:
        timed = f"kernel {kernel!r} was timed at {found} amounts of work"
        raise ValueError(f"{timed}; time at least {needed}")
    overhead, rate = _fit_line(pairs) if described.has_overhead else (0.0, _fit_rate(pairs))
    errors = [abs((overhead + rate * work) / seconds - 1) for work, seconds in pairs]
    return KernelFit(
        kernel=kernel,
        work=described.unit,
        dtype=dtype,
        seconds_per_unit=rate,
        overhead_s=overhead,
        samples=pairs,
        median_error=statistics.median(errors),
    )


def _interpolate(curve: tuple[tuple[float, float], ...], work: float) -> float:
    first, last = curve[0], curve[-1]
    if work <= first[0]:
        return first[1]  # what is left there is the start of the kernel
    if work >= last[0]:
        return last[1] * (work / last[0])
    right = bisect.bisect_left(curve, (work,))
    (low, before), (high, after) = curve[right - 1], curve[right]
    share = math.log(work / low) / math.log(high / low)
    return before * (after / before) ** share


def _check_size(n: int) -> None:
    if n < 1:
        raise ValueError(f"n is {n!r}; a system has at least 1 unknown")


def _fit_rate(pairs: tuple[tuple[float, float], ...]) -> float:
    """Minimise Σ(r·w/t - 1)²: r = Σ(w/t) / Σ(w/t)²."""
    ratios = [work / seconds for work, seconds in pairs]
    return math.fsum(ratios) / math.fsum(ratio * ratio for ratio in ratios)


def _fit_line(pairs: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    """Minimise Σ((o + r·w)/t - 1)² over o, r ≥ 0 and return (o, r)."""
    # Two unknowns, so the constrained optimum is the free one if that is feasible, else the better
    # of the two edges. Columns 1/t and w/t are scaled to unit length, and the rate is found along
    # what the second has beside the first: 1 - cos² of nearly parallel columns is only rounding.
    inverse = [1 / seconds for _, seconds in pairs]
    ratio = [work / seconds for work, seconds in pairs]
    length_o = math.sqrt(math.fsum(a * a for a in inverse))
    length_r = math.sqrt(math.fsum(b * b for b in ratio))
    cosine = math.fsum(a * b for a, b in zip(inverse, ratio, strict=True)) / (length_o * length_r)
    target_o = math.fsum(inverse) / length_o
    target_r = math.fsum(ratio) / length_r
    beside = [b / length_r - cosine * a / length_o for a, b in zip(inverse, ratio, strict=True)]
    sine_squared = math.fsum(x * x for x in beside)
    if sine_squared > 0:
        rate = math.fsum(beside) / sine_squared
        overhead = target_o - cosine * rate
        if overhead >= 0 and rate >= 0:
            return overhead / length_o, rate / length_r
    # On an edge the sum of squares is len(pairs) - target², so the larger target is the better.
    if target_r >= target_o:
        return 0.0, target_r / length_r
    return target_o / length_o, 0.0
