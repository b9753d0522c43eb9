"""What does Newton add to one step of the paper's Mistral, and what did the paper's recipe cost?

The paper's shapes (hidden 64, 4 layers, 32,000 words), batch 128, 64 tokens a sequence (the paper
does not say its own). The head, 2,048,000 unknowns, is above ``max_newton`` and takes its
gradient. The recipe is a dense empirical Fisher N × N of every layer and its LU inverse; it is
timed from the very same per-sample gradients, on one layer of each size that fits a time budget,
and larger sizes are scaled by N³ in a row of their own.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import Report, Row, Say, available_bytes, describe_machine, reached
from qnewton import QNewton
from qnewton.curvature import Curvature
from qnewton.operators import LinearSystem, LowRankOperator
from qnewton.solvers import solve
from qnewton.treatment import damp
from qnewton.workloads.language import load_language_workload
from qnewton.workloads.text import TextWorkload

BATCH, LENGTH, DAMPING, MAX_NEWTON = 128, 64, 0.5, 20_000
STEPS = 6
TIMED_UP_TO = 4096
"""Rows of the largest layer that the recipe is timed on."""


def measure(say: Say) -> Report:
    """Time steps, then the recipe."""
    folder = os.environ.get("QNEWTON_DATA")
    if folder is None:
        row = Row("one Mistral step", "", "needs --data-dir with wikitext-2", "not measured")
        return Report("transformer_step", [row])
    workload = load_language_workload("mistral", Path(folder), length=LENGTH)
    stages, plan = _steps(workload, say)
    pairs = [_recipe(workload, n, say) for n in (1024, TIMED_UP_TO)]
    added = [stage["curvature"] + stage["survey"] + stage["solve"] for stage in stages]
    own = [stage["forward_backward"] for stage in stages]
    ratio = _median(added) / _median(own)
    speed = min(pair["recipe_s"] / pair["factor_s"] for pair in pairs)
    rows = [
        reached(
            f"curvature and solve beside forward and backward, Mistral, batch {BATCH} × {LENGTH}",
            "< 1×",
            f"{ratio:.2f}× ({_median(added):.3g} s, {_median(own):.3g} s)",
            ratio < 1,
        ),
        reached(
            f"factor and Woodbury beside dense Fisher and LU inverse, layers of 1,024 and "
            f"{TIMED_UP_TO:,}",
            "≥ 100×",
            "; ".join(
                f"N = {pair['n']:,}: {pair['recipe_s'] / pair['factor_s']:.0f}× "
                f"({pair['factor_s']:.3g} s, {pair['recipe_s']:.3g} s)"
                for pair in pairs
            ),
            speed >= 100,
        ),
        _whole_step(pairs[-1], plan, _median(added)),
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
        max_newton=MAX_NEWTON,
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
    curvature = Curvature(model, "fisher", "layer", max_newton=MAX_NEWTON)
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

    if 4 * 8 * n**2 > available_bytes():
        raise RuntimeError(f"N = {n:,} does not fit in memory")
    slow, slow_s = _timed(dense_and_inverse, repeats=2)
    apart = float((fast - slow).norm() / slow.norm())
    say(f"N = {n:,}: {fast_s:.3g} s, recipe {slow_s:.3g} s, directions apart {apart:.1e}")
    if apart > 1e-3:
        raise RuntimeError(f"the two directions of N = {n:,} differ by {apart:.1e}")
    return {"n": n, "factor_s": fast_s, "recipe_s": slow_s, "apart": apart}


def _damped(system: LinearSystem) -> LinearSystem:
    return system.with_operator(damp(system.operator, DAMPING))


def _whole_step(largest: dict[str, float], plan: dict[str, int], added: float) -> Row:
    scaled = sum(largest["recipe_s"] * (n / largest["n"]) ** 3 for n in plan.values())
    return Row(
        f"the recipe on all {len(plan)} layers, scaled by N³ from N = {largest['n']:,}",
        "",
        f"{scaled:.3g} s a step, {scaled / added:,.0f}× what curvature and solve took",
        "",
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
