"""Are NIST's regressions and the MGH test problems solved, how exactly, and how fast beside SciPy?

SciPy is called as its users call it: residuals in NumPy, no Jacobian, nothing tuned. Nor is ours.
"""

import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import torch

from benchmarks.fit_problems import PROBLEMS, Problem
from benchmarks.harness import Contender, Report, Row, Say, describe_machine, interleave, reached
from benchmarks.harness.timing import ratio
from benchmarks.nist_problems import MODELS, Regression, digits, folder, load
from qnewton import QNewton
from qnewton.fitting import least_squares

REPEATS = 9
_STEPS = 500  # of QNewton, which ends before where its last step can do nothing more
_CERTIFIED = 6
_MOST_MISSED = 1
_MOST_TIMES = 3.0
_DEFAULT = 1e-8
_TIGHT = 1e-15
_PEERS = {
    "scipy lm": ("lm", _DEFAULT),
    "scipy trf": ("trf", _DEFAULT),
    "scipy lm, tolerances 1e-15": ("lm", _TIGHT),
}


@dataclass(frozen=True)
class Found:
    """One fit: parameters, sum of squares, evaluations of the residuals."""

    x: np.ndarray
    squares: float
    evaluations: int


def measure(say: Say) -> Report:
    """Fit everything from every start, by each solver, then time NIST's."""
    warnings.simplefilter("ignore")
    rows, facts, timings = [], {}, {}
    where = folder()
    if where is None:
        reason = "no folder nist/ in the data; pass --data-dir"
        rows.append(Row("NIST's 27 regressions", "54 fits", reason, "not measured"))
    else:
        problems = [load(name, where) for name in MODELS]
        say(f"NIST: {len(problems)} problems from two starts")
        found = {name: [fit() for fit in fits] for name, fits in _regressions(problems).items()}
        exact = {name: _digits(problems, fits) for name, fits in found.items()}
        timings = interleave(
            [
                Contender(name, _all(fits), repeats=REPEATS)
                for name, fits in _regressions(problems).items()
            ],
            say,
        )
        facts["nist_digits"] = exact
        facts["nist_evaluations"] = {
            name: [fit.evaluations for fit in fits] for name, fits in found.items()
        }
        rows += _exact_rows(exact, found)
        rows.append(_row_of_steps(problems, facts))
        times = ratio(timings["ours"], timings["scipy lm"])
        rows.append(
            reached(
                "the same: time beside SciPy's lm",
                f"≤ {_MOST_TIMES:g}×",
                f"{times:.2f}× ({timings['ours'].median:.3g} s, "
                f"{timings['scipy lm'].median:.3g} s)",
                times <= _MOST_TIMES,
            )
        )
    say(f"Moré, Garbow and Hillstrom: {len(PROBLEMS)} problems from up to three starts")
    solved = _solved()
    facts["mgh_solved"] = solved
    rows.append(_solved_row(solved))
    return Report("fits", rows, machine=describe_machine(), timings=timings, facts=facts)


def _exact_rows(exact: dict[str, list[float]], found: dict[str, list[Found]]) -> list[Row]:
    rows = []
    for name, each in exact.items():
        good = sum(value >= _CERTIFIED for value in each)
        evaluations = sum(fit.evaluations for fit in found[name])
        measured = (
            f"{good} of {len(each)}; median {statistics.median(each):.1f} digits, "
            f"{evaluations:,} evaluations"
        )
        question = f"NIST's 27 regressions, both starts, six certified digits: {name}"
        if name == "ours":
            least = len(each) - _MOST_MISSED
            rows.append(reached(question, f"≥ {least}", measured, good >= least))
        else:
            rows.append(Row(question, "", measured, ""))
    return rows


def _row_of_steps(problems: Sequence[Regression], facts: dict[str, Any]) -> Row:
    """Fit by QNewton with its defaults, one step of a closure after the other."""
    begun = time.perf_counter()
    starts = [(problem, start) for problem in problems for start in problem.starts]
    found = [stepped(problem, start, _STEPS) for problem, start in starts]
    seconds = time.perf_counter() - begun
    facts["nist_steps"] = [fit.evaluations for fit in found]
    exact = facts["nist_digits_of_steps"] = _digits(problems, found)
    good, steps = sum(value >= _CERTIFIED for value in exact), sum(facts["nist_steps"])
    least = len(exact) - _MOST_MISSED
    return reached(
        "NIST's 27 regressions, both starts, six certified digits: QNewton, defaults",
        f"≥ {least}",
        f"{good} of {len(exact)}; {steps:,} steps in {seconds:.2g} s",
        good >= least,
    )


def stepped(problem: Regression, start: np.ndarray, most: int) -> Found:
    """Fit a regression by steps on its sum of squares; the evaluations are those steps."""
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    b = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = QNewton([b])
    loss = torch.tensor(math.nan)
    for _ in range(most):
        loss = optimizer.step(lambda: (problem.model(b, x, torch) - y).square().sum())
        if optimizer.converged:
            break
    return Found(b.detach().numpy(), float(loss), len(optimizer.records))


def _digits(problems: Sequence[Regression], fits: Sequence[Found]) -> list[float]:
    certified = [problem.certified for problem in problems for _ in problem.starts]
    return [digits(fit.x, values) for fit, values in zip(fits, certified, strict=True)]


def _regressions(problems: Sequence[Regression]) -> dict[str, list[Callable[[], Found]]]:
    """Return the fits of each solver, both starts of each problem."""
    starts = [(problem, start) for problem in problems for start in problem.starts]
    fits = {"ours": [_our_regression(*each) for each in starts]}
    for name, peer in _PEERS.items():
        fits[name] = [_scipy_regression(*each, *peer) for each in starts]
    return fits


def _our_regression(problem: Regression, start: np.ndarray) -> Callable[[], Found]:
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    return lambda: _ours(lambda b: problem.model(b, x, torch) - y, start)


def _scipy_regression(
    problem: Regression, start: np.ndarray, method: str, tolerance: float
) -> Callable[[], Found]:
    return lambda: _scipy(
        lambda b: problem.model(b, problem.x, np) - problem.y, start, method, tolerance
    )


def _all(fits: Sequence[Callable[[], Found]]) -> Callable[[], list[Found]]:
    return lambda: [fit() for fit in fits]


def _ours(residuals: Callable[..., Any], start: np.ndarray) -> Found:
    fit = least_squares(residuals, start)
    return Found(fit.x.numpy(), 2 * fit.cost, fit.nfev)


def _scipy(
    residuals: Callable[..., Any], start: np.ndarray, method: str, tolerance: float
) -> Found:
    tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), tolerance)
    with np.errstate(all="ignore"):
        fit = scipy.optimize.least_squares(residuals, start, method=method, **tolerances)
    return Found(fit.x, 2 * float(fit.cost), int(fit.nfev))


def _solved() -> dict[str, dict[str, bool]]:
    """Return which problem is solved from which start, by solver."""
    solved: dict[str, dict[str, bool]] = {"ours": {}, **{name: {} for name in _PEERS}}
    for problem in PROBLEMS:
        for k, start in enumerate(problem.starts()):
            name = f"{problem.name}, start {k + 1}"
            solved["ours"][name] = _is_solved(problem, lambda p=problem, s=start: our_fit(p, s))
            for peer, asked in _PEERS.items():
                solved[peer][name] = _is_solved(
                    problem, lambda p=problem, s=start, a=asked: _scipy_fit(p, s, *a)
                )
    return solved


def our_fit(problem: Problem, start: np.ndarray) -> Found:
    """Fit one of the MGH problems."""
    data = [torch.from_numpy(each) for each in problem.data]
    return _ours(lambda x: problem.residuals(x, torch, *data), start)


def _scipy_fit(problem: Problem, start: np.ndarray, method: str, tolerance: float) -> Found:
    return _scipy(lambda x: problem.residuals(x, np, *problem.data), start, method, tolerance)


def _is_solved(problem: Problem, fit: Callable[[], Found]) -> bool:
    try:
        return problem.solved(fit().squares)
    # What overflows at the start is refused; SciPy raises likewise.
    except ValueError:
        return False


def _solved_row(solved: dict[str, dict[str, bool]]) -> Row:
    counts = {name: sum(each.values()) for name, each in solved.items()}
    best = max(count for name, count in counts.items() if name != "ours")
    total = len(solved["ours"])
    others = ", ".join(f"{name} {count}" for name, count in counts.items() if name != "ours")
    return reached(
        f"Moré, Garbow and Hillstrom, {len(PROBLEMS)} problems, starts x, 10x, 100x: solved",
        f"≥ {best}, the most of SciPy's",
        f"{counts['ours']} of {total} ({others})",
        counts["ours"] >= best,
    )
