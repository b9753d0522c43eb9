"""How much sooner does Newton reach a minimiser than L-BFGS and Adam do?

Six small full-batch problems in float64, to a gradient of norm 1e-8, within 60 seconds each.
QNewton runs with its defaults. The peers are tuned on every problem before: L-BFGS (strong Wolfe)
over its history, Adam over learning rate and decay. κ(H*) is the condition number of the Hessian
where the nearest run ended.

    python -m benchmarks full_batch
"""

import math
import statistics
from typing import Any

import torch

from benchmarks.full_batch_problems import PROBLEMS, FullBatchProblem
from benchmarks.full_batch_runs import (
    ADAM_RATES,
    LBFGS_HISTORIES,
    TOLERANCE,
    Build,
    Method,
    Run,
    adam,
    better,
    lbfgs,
    newton,
)
from benchmarks.harness import REPEATS, Report, Row, Say, Timing, describe_machine, reached
from qnewton.curvature import systems

LIMIT_S = 60.0
ILL_CONDITIONED = 1e6
FASTER_ILL_CONDITIONED = 10.0
SLOWER_ELSEWHERE = 3.0

_LBFGS_TUNING_S = 4.0
_ADAM_TUNING_S = 0.6
_SHORT_S = 3.0
_OURS = "QNewton"


def measure(say: Say) -> Report:
    """Run all three on all six problems."""
    rows: list[Row] = []
    timings: dict[str, Timing] = {}
    facts: dict[str, Any] = {}
    for build in PROBLEMS:
        problem = build()
        methods, tried = _tuned(build)
        runs = {name: method(build, LIMIT_S) for name, method in methods.items()}
        seconds = _repeat(build, methods, runs)
        for name, samples in seconds.items():
            slower = len(samples) < REPEATS
            timings[f"{problem.name}, {name}"] = Timing(name, tuple(samples), slower=slower)
        nearest = min(runs.values(), key=lambda run: run.gradient_norm)
        lowest, highest = _curvature_range(nearest.problem)
        condition = highest / lowest if lowest > 0 else None
        medians = {name: statistics.median(samples) for name, samples in seconds.items()}
        rows.append(_row(problem.name, condition, medians, runs))
        say(f"{rows[-1].question}: {rows[-1].measured}")
        facts[problem.name] = {
            "title": problem.title,
            "n": problem.n,
            "condition_number": condition,
            "eigenvalues_at_the_end": [lowest, highest],
            "tuning": tried,
            "runs": {
                name: {
                    "median_seconds": medians.get(name),
                    "evaluations": run.evaluations,
                    "smallest_gradient_norm": run.gradient_norm,
                    "loss": run.loss,
                }
                for name, run in runs.items()
            },
        }
    return Report("full_batch", rows, describe_machine(), timings, facts=facts)


def _tuned(build: Build) -> tuple[dict[str, Method], dict[str, dict[str, float | None]]]:
    """Return ours and each peer at its best setting, and what the tuning runs came to."""
    histories = {f"L-BFGS, history {h}": lbfgs(h) for h in LBFGS_HISTORIES}
    rates = {
        f"Adam, {rate:g}{', cosine' if cosine else ''}": (rate, cosine)
        for rate in ADAM_RATES
        for cosine in (False, True)
    }
    tried: dict[str, Run] = {}
    for name, method in histories.items():
        tried[name] = method(build, _LBFGS_TUNING_S)
    for name, setting in rates.items():
        tried[name] = adam(*setting)(build, _ADAM_TUNING_S)
    history, rate = _best(tried, histories), _best(tried, rates)
    # A decay that was quick enough must not be stretched over the whole minute.
    horizon = _ADAM_TUNING_S if tried[rate].seconds is not None else None
    methods = {
        _OURS: newton,
        history: histories[history],
        rate: adam(*rates[rate], horizon_s=horizon),
    }
    found = {
        name: {"seconds": run.seconds, "smallest_gradient_norm": run.gradient_norm}
        for name, run in tried.items()
    }
    return methods, found


def _best(tried: dict[str, Run], names: dict[str, Any]) -> str:
    best, *others = names
    for name in others:
        if better(tried[name], tried[best]):
            best = name
    return best


def _repeat(
    build: Build, methods: dict[str, Method], runs: dict[str, Run]
) -> dict[str, list[float]]:
    """Return the seconds of every method that got there: short runs in turns, long ones once."""
    once = {name: run.seconds for name, run in runs.items() if run.seconds is not None}
    found = {name: [seconds] for name, seconds in once.items() if seconds > _SHORT_S}
    short = [name for name in once if name not in found]
    for _ in range(REPEATS):
        for name in short:
            seconds = methods[name](build, LIMIT_S).seconds
            found.setdefault(name, []).append(LIMIT_S if seconds is None else seconds)
    return found


def _curvature_range(problem: FullBatchProblem) -> tuple[float, float]:
    """Return the lowest and the highest eigenvalue of the Hessian."""
    [system] = systems(problem.model, problem.loss, blocks="full")
    eigenvalues = torch.linalg.eigvalsh(system.operator.dense())
    return float(eigenvalues[0]), float(eigenvalues[-1])


def _row(
    name: str, condition: float | None, medians: dict[str, float], runs: dict[str, Run]
) -> Row:
    shown = "indefinite" if condition is None else f"κ = {condition:.1e}"
    ill_conditioned = condition is not None and condition >= ILL_CONDITIONED
    ours = medians.get(_OURS)
    peer = min((s for who, s in medians.items() if who != _OURS), default=None)
    least = FASTER_ILL_CONDITIONED if ill_conditioned else 1 / SLOWER_ELSEWHERE
    reach = (
        f"≥ {FASTER_ILL_CONDITIONED:g}× faster than the better peer"
        if ill_conditioned
        else f"≤ {SLOWER_ELSEWHERE:g}× slower"
    )
    times = None if ours is None else (LIMIT_S if peer is None else peer) / ours
    if times is None:
        verdict = "nobody" if peer is None else "the peers win: ours not in time"
    else:
        winner = _OURS if times >= 1 else min(medians, key=lambda who: medians[who])
        verdict = f"{'≥ ' if peer is None else ''}{times:.2g}×, {winner} wins"
    each = "; ".join(f"{who} {_shown(medians.get(who), run)}" for who, run in runs.items())
    return reached(
        f"{name} ({shown}): time to ‖g‖ ≤ {TOLERANCE:g}",
        reach,
        f"{verdict} ({each})",
        (times or -math.inf) >= least,
    )


def _shown(seconds: float | None, run: Run) -> str:
    if seconds is None:
        return f"not in {LIMIT_S:g} s, ‖g‖ {run.gradient_norm:.0e}, {run.evaluations} evaluations"
    return f"{seconds:.3g} s, {run.evaluations} evaluations"
