"""How accurately are differential equations solved, and how soon, by closures as they are?

Poisson 2-D beside Levenberg-Marquardt written by hand for it, and four more equations. QNewton runs
with its defaults on a closure that returns the loss. Adam and SOAP have the best of three learning
rates on each problem, decayed over the whole time; L-BFGS has strong Wolfe and a history of 100.
One thread unless ``THREADS`` says otherwise.

    python -m benchmarks physics
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.harness import (
    INSTALL,
    Report,
    Row,
    Say,
    describe_machine,
    missing_peers,
    reached,
)
from benchmarks.physics_problems import OTHERS, Build, poisson_2d
from benchmarks.physics_runs import Method, Run, adam, by_hand, lbfgs, newton, soap

THREADS = 1
FIRST_LIMIT_S = 40.0
LIMIT_S = 60.0
ERRORS = (1e-4, 1e-5, 5e-6)
FASTER_THAN_LBFGS = 10.0
SHARE_OF_BEST = 0.1

_REPEATS = 3
_RATES = (1e-3, 3e-3, 1e-2)
_WARM_UP_S = 0.1
_MOST_POINTS = 100
_OURS, _HAND, _LBFGS = "QNewton", "by hand", "L-BFGS"


@dataclass(frozen=True)
class Tuned:
    """The best run of every method on one problem.

    Attributes:
        runs: By what the table calls the method, the rate included.
        tried: The errors at the end of all runs, by the same names.
    """

    runs: dict[str, Run]
    tried: dict[str, float]


def measure(say: Say) -> Report:
    """Run all methods on all problems, one after the other."""
    torch.set_num_threads(THREADS)
    # Whoever runs first would pay for what all others import, too.
    tuned(poisson_2d, {_OURS: newton, _HAND: by_hand, _LBFGS: lbfgs}, _WARM_UP_S, lambda _: None)
    rows, facts = first_problem(say)
    for build in OTHERS:
        found = tuned(build, {_OURS: newton, _LBFGS: lbfgs}, LIMIT_S, say)
        problem = build()
        rows.append(error_row(problem.name, found.runs))
        say(f"{rows[-1].question}: {rows[-1].measured}")
        facts[problem.name] = described(build, found)
    if missing := missing_peers("pytorch_optimizer"):
        reason = f"{', '.join(missing)} is not installed: {INSTALL}"
        rows.append(Row("SOAP beside the others", "runs", reason, "not measured"))
    return Report("physics", rows, describe_machine(), facts={"threads": THREADS, **facts})


def first_problem(say: Say) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of Poisson 2-D, and its facts."""
    found = tuned(poisson_2d, {_OURS: newton, _HAND: by_hand, _LBFGS: lbfgs}, FIRST_LIMIT_S, say)
    repeated = {_OURS: [found.runs[_OURS]], _HAND: [found.runs[_HAND]]}
    for turn in range(1, _REPEATS):
        repeated[_OURS].append(newton(poisson_2d, FIRST_LIMIT_S))
        repeated[_HAND].append(by_hand(poisson_2d, FIRST_LIMIT_S))
        say(f"Poisson 2-D: turn {turn + 1} of {_REPEATS} of {_OURS} and {_HAND}")
    seconds = {
        error: {name: median_seconds(runs, error) for name, runs in repeated.items()}
        for error in ERRORS
    }
    rows = [time_row(error, by_name, found.runs) for error, by_name in seconds.items()]
    rows.append(lbfgs_row(repeated[_OURS], found.runs[_LBFGS]))
    for row in rows:
        say(f"{row.question}: {row.measured}")
    times = {f"{error:g}": by_name for error, by_name in seconds.items()}
    facts = described(poisson_2d, found) | {"median_seconds_to": times}
    return rows, {poisson_2d().name: facts}


def tuned(build: Build, methods: Mapping[str, Method], limit_s: float, say: Say) -> Tuned:
    """Run the methods, and Adam and SOAP at every rate."""
    name = build().name
    families = [{who: method} for who, method in methods.items()]
    families.append({f"Adam, {rate:g}": adam(rate) for rate in _RATES})
    if not missing_peers("pytorch_optimizer"):
        families.append({f"SOAP, {rate:g}": soap(rate) for rate in _RATES})
    best: dict[str, Run] = {}
    tried: dict[str, float] = {}
    for family in families:
        runs: dict[str, Run] = {}
        for who, method in family.items():
            runs[who] = method(build, limit_s)
            tried[who] = runs[who].error
            say(f"{name}, {who}: error {tried[who]:.1e}, {runs[who].steps} steps")
        least = min(runs, key=lambda who: runs[who].error)
        best[least] = runs[least]
    return Tuned(best, tried)


def median_seconds(runs: list[Run], error: float) -> float | None:
    """Return the median of the seconds to an error; ``None`` if a run never reached it."""
    seconds = [run.seconds_to(error) for run in runs]
    known = [s for s in seconds if s is not None]
    return statistics.median(known) if len(known) == len(seconds) else None


def time_row(error: float, seconds: Mapping[str, float | None], runs: Mapping[str, Run]) -> Row:
    """Return the row of the seconds to one error."""
    ours, hand = seconds[_OURS], seconds[_HAND]
    others = {who: run.seconds_to(error) for who, run in runs.items() if who not in seconds}
    all_seconds = {**seconds, **others}
    each = "; ".join(f"{who} {_shown(when, runs[who].error)}" for who, when in all_seconds.items())
    return reached(
        f"Poisson 2-D: time to error {error:g}",
        "≤ Levenberg-Marquardt by hand",
        each,
        ours is not None and ours <= (math.inf if hand is None else hand),
    )


def lbfgs_row(ours: list[Run], peer: Run) -> Row:
    """Return the row of the time to the least error of L-BFGS."""
    point = min(peer.curve, key=lambda point: point.error)
    seconds = median_seconds(ours, point.error)
    question = f"Poisson 2-D: speed over L-BFGS to its error, {point.error:.1e}"
    reach = f"≥ {FASTER_THAN_LBFGS:g}×"
    if seconds is None:
        return reached(question, reach, f"not within {FIRST_LIMIT_S:g} s", False)
    times = point.seconds / seconds
    measured = f"{times:.2g}× ({seconds:.3g} s, {point.seconds:.3g} s)"
    return reached(question, reach, measured, times >= FASTER_THAN_LBFGS)


def error_row(name: str, runs: Mapping[str, Run]) -> Row:
    """Return the row of the errors after the time allowed."""
    errors = {who: run.error for who, run in runs.items()}
    peer = min((error for who, error in errors.items() if who != _OURS), default=math.inf)
    each = "; ".join(f"{who} {error:.1e}" for who, error in errors.items())
    winner = min(errors, key=lambda who: errors[who])
    return reached(
        f"{name}: error after {LIMIT_S:g} s over the best peer's",
        f"≤ {SHARE_OF_BEST:g}",
        f"{errors[_OURS] / peer:.2g}, {winner} wins ({each})",
        errors[_OURS] <= SHARE_OF_BEST * peer,
    )


def described(build: Build, found: Tuned) -> dict[str, Any]:
    """Return a problem and its runs for the JSON: curves of 100 points, to four digits."""
    problem = build()
    runs = {
        who: {"steps": run.steps, "error": run.error, "curve": _curve(run)}
        for who, run in found.runs.items()
    }
    return {"title": problem.title, "n": problem.n, "errors_of_all": found.tried, "runs": runs}


def _curve(run: Run) -> dict[str, list[float]]:
    stride = -(-len(run.curve) // _MOST_POINTS)
    points = [asdict(point) for point in (*run.curve[:-1:stride], run.curve[-1])]
    return {key: [float(f"{point[key]:.4g}") for point in points] for key in points[0]}


def _shown(seconds: float | None, error: float) -> str:
    if seconds is None:
        return f"not in {FIRST_LIMIT_S:g} s ({error:.1e})"
    return f"{seconds:.3g} s"
