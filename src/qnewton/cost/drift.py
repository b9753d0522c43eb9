"""Drift: how much longer solvers took in a finished run than their prices said."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import replace

from qnewton.cost.parts import FORMING
from qnewton.records import Attempt, BlockRecord, Calibration, Drift, Outcome, StepRecord

FEWEST_SOLVES = 5
"""Solves below which a run says nothing about a solver's price."""

_MOST_REMEMBERED = 200  # solves an old drift counts for, so that a machine may change


def measured_drifts(steps: Iterable[StepRecord], calibration: Calibration) -> tuple[Drift, ...]:
    """Return, for each classical solver, the median of measured over priced seconds.

    Prices are those before any drift was known, without forming. An iterative solver's price is
    taken at the products it spent, so that the ratio is the machine's and not that of a guess.

    Args:
        steps: A finished run.
        calibration: What its prices were made with.

    Returns:
        One drift a solver with at least :data:`FEWEST_SOLVES` solves, by name.

    Cost: some microseconds per step.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> measured_drifts([], nominal_calibration())
        ()
    """
    ratios: dict[str, list[float]] = {}
    for step in steps:
        for block in step.blocks:
            for attempt in block.attempts:
                ratio = _ratio(attempt, block, calibration)
                if ratio is not None:
                    ratios.setdefault(attempt.solver, []).append(ratio)
    return tuple(
        Drift(solver=solver, ratio=statistics.median(found), solves=len(found))
        for solver, found in sorted(ratios.items())
        if len(found) >= FEWEST_SOLVES
    )


def with_drifts(calibration: Calibration, found: Iterable[Drift]) -> Calibration:
    """Return the calibration with what one more run found of its prices.

    Ratios are averaged geometrically, each weighing its solves; what is old weighs 200 at most.

    Args:
        calibration: What the run's prices were made with, or what was stored since.
        found: From :func:`measured_drifts`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> once = with_drifts(nominal_calibration(), [Drift(solver="lu", ratio=4.0, solves=10)])
        >>> twice = with_drifts(once, [Drift(solver="lu", ratio=1.0, solves=10)])
        >>> twice.drift("lu")
        Drift(solver='lu', ratio=2.0, solves=20)
    """
    drifts = {drift.solver: drift for drift in calibration.drifts}
    for new in found:
        old = drifts.get(new.solver)
        if old is not None:
            weight = min(old.solves, _MOST_REMEMBERED)
            solves = weight + new.solves
            mean = (weight * math.log(old.ratio) + new.solves * math.log(new.ratio)) / solves
            new = Drift(solver=new.solver, ratio=math.exp(mean), solves=solves)
        drifts[new.solver] = new
    return replace(calibration, drifts=tuple(drifts[solver] for solver in sorted(drifts)))


def _ratio(attempt: Attempt, block: BlockRecord, calibration: Calibration) -> float | None:
    offer = block.decision.quote(attempt.solver)
    if (
        offer is None
        or offer.machine != "classical"
        or offer.seconds is None
        or attempt.outcome is not Outcome.SOLVED
        or attempt.measured_seconds <= 0
    ):
        return None
    priced = math.fsum(term.seconds for term in offer.terms if term.name != FORMING)
    if offer.products is not None:
        priced *= attempt.products / offer.products
    known = calibration.drift(attempt.solver)
    if known is not None:
        priced /= known.ratio
    return attempt.measured_seconds / priced if priced > 0 else None
