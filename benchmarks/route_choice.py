"""How much time does the scheduler's choice of a route lose against the best in hindsight?

Over sixty systems as curvature and treatment leave them: formed, sparse, held by a factor or by
products alone. Every candidate of the portfolio solves each system to a residual of 1e-6 (or what
its dtype can reach), forming included. The scheduler's way is to price, decide, solve, and take
the next quote where a solver fails, all of it timed. It knows this machine's calibration, the
shapes, and what three steps before left, whose systems were others by about a percent. What it
loses at the first step, where nothing is known, is told, too.

All take turns; whoever is twice as slow as the best when tried first takes no part in the rounds.
"""

import math
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.harness import (
    Contender,
    Report,
    Row,
    Say,
    Timing,
    describe_machine,
    interleave,
    reached,
)
from benchmarks.route_systems import Case, cases
from qnewton.cost import Market, Solver
from qnewton.experiments.calibrate import calibrate
from qnewton.operators import DenseOperator, LinearSystem
from qnewton.operators.base import dtype_name
from qnewton.optimizer.attempts import solve_block
from qnewton.optimizer.blocks import PreparedBlock, formed
from qnewton.optimizer.clock import StageClock
from qnewton.records import BlockRecord, Calibration, CurvatureRecord, Earlier, Facts, Quote
from qnewton.scheduler.history import facts_left
from qnewton.scheduler.offers import candidates, price_routes
from qnewton.scheduler.planned import planned_facts
from qnewton.scheduler.policy import decide
from qnewton.scheduler.running import run_solver

TOLERANCE = 1e-6
MEDIAN_LOSS, LATE_LOSS, SHORT_S, SHORT_LOSS_S, TOTAL = 0.05, 0.25, 1e-3, 5e-4, 1.1
# At a first try, how many times slower than the best a candidate may be and still be timed.
_IN_THE_RUNNING = 2.0
# The first run of a kernel in a process is no measure of it.
_SHORT_S = 0.5
LATER, FIRST = "at the fourth step", "at the first step"
STEPS_BEFORE = 3
_GIVEN = CurvatureRecord(kind="given", route="given", reason="a benchmark's")


@dataclass(frozen=True)
class Found:
    """One system, timed.

    Attributes:
        case: The system.
        best: The fastest candidate's name.
        best_s: Its median seconds.
        chosen: What the scheduler ran, by way of the step before and without.
        chosen_s: Median seconds of those.
        medians: Of every candidate in the running.
    """

    case: Case
    best: str
    best_s: float
    chosen: dict[str, str]
    chosen_s: dict[str, float]
    medians: dict[str, float]

    def lost(self, way: str) -> float:
        """Seconds over the best."""
        return self.chosen_s[way] - self.best_s


def measure(say: Say) -> Report:
    """Calibrate, time every system, and compare."""
    say("calibrating, about a minute")
    calibration = calibrate()
    found, timings = [], {}
    for number, case in enumerate(cases()):
        result, times = _time(case, calibration, number)
        found.append(result)
        timings |= {f"{case.name}: {name}": timing for name, timing in times.items()}
        say(
            f"{case.name}: best {result.best} {1e3 * result.best_s:.3g} ms; "
            + "; ".join(
                f"{way} {result.chosen[way]} {1e3 * result.chosen_s[way]:.3g} ms"
                for way in (LATER, FIRST)
            )
        )
    unseen = {result.case.kind for result in found if not result.case.seen}
    rows = [
        reached(
            "route choice: systems, and kinds that calibration never saw",
            "≥ 60, ≥ 20",
            f"{len(found)}, {len(unseen)}",
            len(found) >= 60 and len(unseen) >= 20,
        ),
        *_rows(found, LATER),
        *(replace(row, reach="", verdict="") for row in _rows(found, FIRST)),
    ]
    return Report("route_choice", rows, describe_machine(), timings, facts=_facts(found))


def _time(case: Case, calibration: Calibration, seed: int) -> tuple[Found, dict[str, Timing]]:
    market = Market(
        calibration=calibration,
        hardware=None,
        epsilon=TOLERANCE,
        tolerance=TOLERANCE,
        dtype=dtype_name(case.dtype),
    )
    earlier = None
    for step in range(STEPS_BEFORE):
        earlier = facts_left(
            _scheduled(case.build(step), market, earlier), step, TOLERANCE, earlier
        )
    system = case.build(STEPS_BEFORE)
    ways = {
        LATER: lambda: _scheduled(system, market, earlier),
        FIRST: lambda: _scheduled(system, market, None),
    }
    contenders = [Contender(way, run) for way, run in ways.items()]
    contenders += _in_the_running(system, market)
    timings = interleave(contenders, say=lambda _: None, settle=False, seed=seed)
    medians = {name: t.median for name, t in timings.items() if name not in ways}
    best = min(medians, key=lambda name: medians[name])
    chosen = {way: "+".join(a.solver for a in run().attempts) for way, run in ways.items()}
    return (
        Found(
            case,
            best,
            medians[best],
            chosen,
            {way: timings[way].median for way in ways},
            medians,
        ),
        timings,
    )


def _scheduled(system: LinearSystem, market: Market, earlier: Earlier | None) -> BlockRecord:
    """Price, decide and solve.

    Raises:
        RuntimeError: If no solver does.
    """
    facts = planned_facts(system, earlier)
    direction, record, _ = solve_block(
        _prepared(system, facts, price_routes(facts, market, may_form=True)),
        market,
        StageClock(system.operator.device),
    )
    if direction is None:
        tries = ", ".join(f"{a.solver}: {a.describe()}" for a in record.attempts)
        raise RuntimeError(f"nothing solves {system.name}: {tries}")
    return record


def _prepared(system: LinearSystem, facts: Facts, offers: tuple[Quote, ...]) -> PreparedBlock:
    record = BlockRecord(
        name=system.name,
        n=system.n,
        curvature=system.curvature or _GIVEN,
        treatment=system.operator.treatment,
        facts=facts,
        decision=decide("classical", offers),
        attempts=(),
    )
    return PreparedBlock(system, record, may_form=True)


def _in_the_running(system: LinearSystem, market: Market) -> list[Contender[Any]]:
    """Return the candidates that solve the system in at most twice the best's time."""
    facts = planned_facts(system)
    offers = price_routes(facts, market, may_form=True)
    prices = {o.solver: math.inf if o.seconds is None else o.seconds for o in offers}
    found = sorted(candidates(market, True, facts), key=lambda c: prices[c.name])
    once: dict[str, tuple[float, _Alone]] = {}
    for candidate in found:
        run = _Alone(candidate, _prepared(system, facts, offers), market)
        start = time.perf_counter()
        solved = run()
        seconds = time.perf_counter() - start
        if seconds < _SHORT_S:
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
        if solved:
            once[candidate.name] = (seconds, run)
    if not once:
        raise RuntimeError(f"no candidate solves {system.name}")
    best = min(seconds for seconds, _ in once.values())
    return [
        Contender(name, run)
        for name, (seconds, run) in once.items()
        if seconds <= _IN_THE_RUNNING * best
    ]


@dataclass(frozen=True)
class _Alone:
    """A candidate solving a system by itself, forming included; whether it did."""

    candidate: Solver
    prepared: PreparedBlock
    market: Market

    def __call__(self) -> bool:
        # A new one at each call, so that its entries are formed again.
        ready = self.prepared.system
        if self.candidate.needs_entries and not isinstance(ready.operator, DenseOperator):
            ready = formed(ready)
        return run_solver(self.candidate, ready, self.prepared.record.facts, self.market).solved


def _rows(found: list[Found], way: str) -> list[Row]:
    long = [f.lost(way) / f.best_s for f in found if f.best_s >= SHORT_S]
    short = [f.lost(way) for f in found if f.best_s < SHORT_S]
    late = statistics.quantiles(long, n=20, method="inclusive")[-1]
    median, most = statistics.median(long), max(short)
    total = sum(f.chosen_s[way] for f in found) / sum(f.best_s for f in found)
    title = f"route choice {way}: time lost against the best in hindsight"
    return [
        reached(
            f"{title}, median of {len(long)} systems of ≥ 1 ms",
            f"≤ {MEDIAN_LOSS:.0%}",
            f"{median:.1%}",
            median <= MEDIAN_LOSS,
        ),
        reached(
            f"{title}, 95th percentile", f"≤ {LATE_LOSS:.0%}", f"{late:.0%}", late <= LATE_LOSS
        ),
        reached(
            f"{title}, most of {len(short)} below 1 ms",
            f"≤ {1e3 * SHORT_LOSS_S:g} ms",
            f"{1e3 * most:.2f} ms",
            most <= SHORT_LOSS_S,
        ),
        reached(
            f"route choice {way}: total over total best",
            f"≤ {TOTAL:g}×",
            f"{total:.2f}×",
            total <= TOTAL,
        ),
    ]


def _facts(found: list[Found]) -> dict[str, Any]:
    return {
        "systems": [
            {
                "kind": f.case.kind,
                "n": f.case.n,
                "dtype": dtype_name(f.case.dtype),
                "seen": f.case.seen,
                "best": f.best,
                "best_s": f.best_s,
                "chosen": f.chosen,
                "chosen_s": f.chosen_s,
                "medians": f.medians,
            }
            for f in found
        ]
    }
