"""Who solved the systems of a run, and why: its steps grouped by what happened in them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from qnewton.records import Attempt, BlockRecord, Outcome, Quote, StepRecord
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text
from qnewton.report.style import solver_look
from qnewton.report.table import Cell, Table
from qnewton.runs import Run

_HEADERS = ("who", "steps", "systems", "measured\nin the solves", "modelled\nof the solves")
_HEADERS += ("largest\nresidual", "why")


@dataclass
class _Group:
    steps: list[int] = field(default_factory=list)
    systems: int = 0
    attempts: list[tuple[Attempt, Quote | None]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def who_solved(run: Run) -> Table:
    """Return the solvers of a run with their steps, seconds and reasons, one row each.

    Steps without a system, skipped ones and failed attempts have rows of their own. The two clocks
    stand in two columns: what the solves took here, and what the chosen solvers' quotes said.
    """
    groups: dict[str, _Group] = {}
    for step in run.steps:
        for who, block, attempt, reason in _happened(step):
            group = groups.setdefault(who, _Group())
            group.steps.append(step.step)
            group.systems += block is not None
            group.reasons += [reason] if reason else []
            if block is not None and attempt is not None:
                group.attempts.append((attempt, block.decision.quote(attempt.solver)))
    rows = [_row(who, group) for who, group in groups.items()]
    return Table("Who solved the steps", _HEADERS, rows, text_columns=frozenset({0, 1, 6}))


def _happened(
    step: StepRecord,
) -> Iterator[tuple[str, BlockRecord | None, Attempt | None, str | None]]:
    """Yield who or what each system of a step fell to: its name, the system, the attempt, why."""
    if step.skipped is not None:
        yield "skipped", None, None, step.skipped
    elif not step.blocks:
        yield "first-order step", None, None, step.reason
    for block in step.blocks:
        for attempt in block.attempts:
            label = solver_look(attempt.solver).label
            if attempt.outcome is Outcome.SOLVED:
                yield label, block, attempt, block.decision.reason
            else:
                yield f"{label}, failed", block, attempt, attempt.describe()
        if block.solver is None and block.first_order is not None:
            yield "first-order direction", block, None, block.first_order


def _row(who: str, group: _Group) -> tuple[Cell, ...]:
    tried = [attempt for attempt, _ in group.attempts]
    measured = [a.measured_seconds for a in tried if a.measured_seconds is not None]
    quotes = [quote for _, quote in group.attempts if quote is not None]
    modelled = [quote.seconds for quote in quotes if quote.seconds is not None]
    residuals = [a.residual for a in tried if a.residual is not None]
    whole = len(modelled) == len(tried) > 0
    return (
        who,
        ranges_text(group.steps),
        f"{group.systems:,}" if group.systems else UNKNOWN,
        seconds_text(math.fsum(measured) if measured else None),
        seconds_text(math.fsum(modelled) if whole else None),
        number_text(max(residuals, default=None)),
        _reasons(group.reasons),
    )


def _reasons(reasons: Sequence[str]) -> Cell:
    """Return the first reason, and how many others there are."""
    different = list(dict.fromkeys(reasons))
    if not different:
        return UNKNOWN
    more = len(different) - 1
    return (different[0], f"and {more:,} more like it" if more else "") if more else different[0]


def ranges_text(steps: Sequence[int], most: int = 6) -> str:
    """Return step numbers as ranges.

    Example:
        >>> ranges_text([0, 1, 2, 5, 7, 8])
        '0–2, 5, 7–8'
    """
    numbers = sorted(set(steps))
    runs = [
        [number for _, number in group]
        for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    texts = [f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(texts) > most:
        return f"{', '.join(texts[:most])} and others, {len(numbers):,} in all"
    return ", ".join(texts)
