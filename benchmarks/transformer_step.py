"""What does Newton add to one step of the paper's Mistral, and what did the paper's recipe cost?

The paper's shapes (hidden 64, 4 layers, 32,000 words), batch 128, 64 tokens a sequence (the paper
does not say its own). The head, 2,048,000 unknowns, is above ``max_newton`` and takes its
gradient. The recipe is a dense empirical Fisher N × N of every layer and its LU inverse; it is
timed from the very same per-sample gradients, on one layer of each size, and charged to every
layer of that size.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import Report, Row, Say, available_bytes, describe_machine, reached
from qnewton import Limits, QNewton
from qnewton.curvature import BlockLimits, Curvature
from qnewton.operators import LinearSystem, LowRankOperator
from qnewton.solvers import solve
from qnewton.treatment import damp
from qnewton.workloads.language import load_language_workload
from qnewton.workloads.text import TextWorkload

BATCH, LENGTH, DAMPING, MAX_NEWTON = 128, 64, 0.5, 20_000
STEPS = 6
_TIMED_ONCE = 8192
"""Rows from which the recipe, then a minute or more, is timed by one run, its first."""


def measure(say: Say) -> Report:
    """Time steps, then the recipe."""
    folder = os.environ.get("QNEWTON_DATA")
    if folder is None:
        row = Row("one Mistral step", "", "needs --data-dir with wikitext-2", "not measured")
        return Report("transformer_step", [row])
    workload = load_language_workload("mistral", Path(folder), length=LENGTH)
    stages, plan = _steps(workload, say)
    pairs = [_recipe(workload, n, say) for n in sorted(set(plan.values()))]
    added = [stage["curvature"] + stage["survey"] + stage["solve"] for stage in stages]
    own = [stage["forward_backward"] for stage in stages]
    ratio = _median(added) / _median(own)
    rows = [
        reached(
            f"curvature and solve beside forward and backward, Mistral, batch {BATCH} × {LENGTH}",
            "< 1×",
            f"{ratio:.2f}× ({_median(added):.3g} s, {_median(own):.3g} s)",
            ratio < 1,
        ),
        _whole_step(pairs, plan, _median(added)),
        Row(
            "one layer: factor and Woodbury beside dense Fisher and LU inverse",
            "",
            "; ".join(
                f"N = {pair['n']:,}: {_times(pair['recipe_s'] / pair['factor_s'])} "
                f"({pair['factor_s']:.3g} s, {pair['recipe_s']:.3g} s)"
                for pair in pairs
            ),
            "",
        ),
    ]
    return Report(
        "transformer_step",
        rows,
        machine=describe_machine(),
        facts={
            "batch": BATCH,
            "length": LENGTH,
            "damping": DAMPING,
            "stages": stages,
            "layers": pairs,
            "blocks": plan,
            "notes": workload.notes,
        },
    )


def _steps(workload: TextWorkload, say: Say) -> tuple[list[dict[str, float]], dict[str, int]]:
    """Return the measured stages of every step but the first, which checks the route."""
    model = workload.build_model(0)
    optimizer = QNewton(
        model,
        lr=0.1,
        curvature="fisher",
        blocks="layer",
        damping=DAMPING,
        limits=Limits(max_newton=MAX_NEWTON),
    )
    batches, stages = workload.batches(0), []
    for step in range(STEPS):
        inputs, targets = next(batches)
        optimizer.step(lambda i=inputs, t=targets: workload.loss(model(i), t))
        record = optimizer.records[-1]
        seconds = record.measured
        say(
            f"step {step}: forward and backward {seconds.forward_backward:.2f} s, curvature "
            f"{seconds.curvature:.3f} s, solve {seconds.solve:.3f} s"
        )
        if record.skipped is not None:
            raise RuntimeError(f"step {step} was skipped: {record.skipped}")
        if step:
            names = ("forward_backward", "curvature", "survey", "solve", "update")
            stages.append({name: getattr(seconds, name) for name in names})
    return stages, {block.name: block.n for block in optimizer.plan if block.newton}


def _recipe(workload: TextWorkload, n: int, say: Say) -> dict[str, float]:
    """Time one layer of N unknowns both ways, from one and the same backward pass."""
    model = workload.build_model(0)
    inputs, targets = next(workload.batches(0))
    curvature = Curvature(model, "fisher", "layer", limits=BlockLimits(max_newton=MAX_NEWTON))
    systems = curvature.systems(curvature.evaluate(lambda: workload.loss(model(inputs), targets)))
    system = next(s for s in systems if s.n == n)
    operator = system.operator
    assert isinstance(operator, LowRankOperator)
    fast, fast_s = _timed(lambda: solve(_damped(system), "woodbury").direction, repeats=5)
    columns = operator.factor.dense()

    def dense_and_inverse() -> Tensor:
        matrix = columns @ columns.mT
        matrix.diagonal().add_(DAMPING)
        return torch.linalg.inv(matrix) @ system.rhs

    if 4 * 4 * n**2 > available_bytes():
        raise RuntimeError(f"N = {n:,} does not fit in memory")
    if n < _TIMED_ONCE:
        slow, slow_s = _timed(dense_and_inverse, repeats=5)
    else:
        start = time.perf_counter()
        slow, slow_s = dense_and_inverse(), time.perf_counter() - start
    apart = float((fast - slow).norm() / slow.norm())
    say(f"N = {n:,}: {fast_s:.3g} s, recipe {slow_s:.3g} s, directions apart {apart:.1e}")
    if apart > 1e-3:
        raise RuntimeError(f"the two directions of N = {n:,} differ by {apart:.1e}")
    return {"n": n, "factor_s": fast_s, "recipe_s": slow_s, "apart": apart}


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.2g}×"


def _damped(system: LinearSystem) -> LinearSystem:
    return system.with_operator(damp(system.operator, DAMPING))


def _whole_step(pairs: list[dict[str, float]], plan: dict[str, int], added: float) -> Row:
    of_size = {pair["n"]: pair["recipe_s"] for pair in pairs}
    recipe = sum(of_size[n] for n in plan.values())
    return reached(
        f"curvature and solve beside dense Fisher and LU inverse of all {len(plan)} layers, each "
        "size timed",
        "≥ 100×",
        f"{recipe / added:,.0f}× ({added:.3g} s, {recipe:.3g} s)",
        recipe >= 100 * added,
    )


def _timed(run: Callable[[], Tensor | None], repeats: int) -> tuple[Tensor, float]:
    """Return the result and the median seconds, the first run left out."""
    result, seconds = run(), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    assert result is not None
    return result, _median(seconds)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
