"""The tables of the page, as plain text cells."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from qnewton.records import (
    BlockRecord,
    Calibration,
    Estimate,
    Outcome,
    QuantumHardware,
    Quote,
    StepRecord,
)
from qnewton.report.break_even import break_even_gate_time
from qnewton.report.clocks import MEASURED_HEADER, MODELLED_HEADER
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text
from qnewton.report.style import solver_look
from qnewton.runs import Run, RunConfig

FIRST_STEPS = 15
LAST_STEPS = 10


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        title: Its heading.
        headers: One a column.
        rows: Cells as text; a tuple in a cell is one line each.
        note: A sentence below it.
        text_columns: Columns of words, aligned left; the others hold numbers.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str | tuple[str, ...]]]
    note: str = ""
    text_columns: frozenset[int] = field(default_factory=lambda: frozenset({0}))


def step_table(run: Run, title: str) -> PageTable:
    """Return the first and last steps of a run, one row a block, under ``title``."""
    steps, note = list(run.steps), ""
    if len(steps) > FIRST_STEPS + LAST_STEPS:
        note = (
            f"The first {FIRST_STEPS} and last {LAST_STEPS} of {len(steps)} steps; all of them "
            "are in steps.jsonl."
        )
        steps = steps[:FIRST_STEPS] + steps[-LAST_STEPS:]
    if any(quote.hypothetical for step in steps for quote in _quotes(step)):
        note = f"† on a machine that does not exist. {note}".strip()
    headers = (
        "step",
        "loss",
        MEASURED_HEADER,
        MODELLED_HEADER,
        "block (N)",
        "solver used",
        "residual",
        "κ",
        "κ bounds",
        "d",
        "break-even\ngate time",
        "quotes (modelled)",
    )
    rows = [row for step in steps for row in _step_rows(step)]
    return PageTable(title, headers, rows, note, frozenset({4, 5, 7, 8, 11}))


def price_table(runs: Sequence[Run]) -> PageTable:
    """Return each price model met in the runs, with its assumptions and refusals."""
    quotes = [quote for run in runs for step in run.steps for quote in _quotes(step)]
    groups: dict[tuple[str, str, bool, str], list[Quote]] = {}
    for quote in quotes:
        key = (quote.name, quote.hardware, quote.hypothetical, quote.model)
        groups.setdefault(key, []).append(quote)
    rows = []
    for (solver, hardware, hypothetical, model), group in groups.items():
        assumptions = dict.fromkeys(text for quote in group for text in quote.assumptions)
        refusals = Counter(quote.refused for quote in group if quote.refused is not None)
        rows.append(
            (
                solver_look(solver).label,
                f"{hardware} (hypothetical)" if hypothetical else hardware,
                model,
                _some(assumptions),
                f"{len(group)}",
                _some([f"{count} × {text}" for text, count in refusals.items()]),
            )
        )
    headers = ("solver", "machine", "price model", "assumptions", "quotes", "refused")
    return PageTable("Prices", headers, rows, text_columns=frozenset({0, 1, 2, 3, 5}))


def option_table(config: RunConfig) -> PageTable:
    """Return the resolved options and the versions behind a run."""
    rows = [
        ("policy", config.policy),
        ("seed", str(config.seed)),
        *((name, json.dumps(value, ensure_ascii=False)) for name, value in config.options.items()),
        *((f"version of {name}", version) for name, version in config.versions.items()),
    ]
    return PageTable("Options and versions", ("option", "value"), rows, "", frozenset({0, 1}))


def calibration_table(calibration: Calibration) -> PageTable:
    """Return the fitted classical constants that priced the run."""
    rows = [
        (
            fit.kernel,
            fit.dtype,
            f"{number_text(fit.seconds_per_unit)} s · {fit.work}",
            seconds_text(fit.overhead_s),
            UNKNOWN if fit.median_error is None else f"{100 * fit.median_error:.0f}%",
        )
        for fit in calibration.fits
    ]
    headers = ("kernel", "precision", "price", "overhead", "median error of the fit")
    note = f"{calibration.name}: {calibration.machine}, {calibration.date}, {calibration.source}."
    return PageTable("Classical calibration", headers, rows, note, frozenset({0, 1}))


def hardware_table(machines: Sequence[QuantumHardware]) -> PageTable:
    """Return the quantum machines, with the source of each gate time."""
    rows = [
        (
            machine.name,
            machine.title,
            "hypothetical" if machine.hypothetical else "exists",
            seconds_text(machine.gate_time_s.value),
            f"{machine.gate_time_s.source}, {machine.gate_time_s.date}",
        )
        for machine in machines
    ]
    headers = ("name", "machine", "", "gate time", "source of the gate time")
    return PageTable("Quantum machines", headers, rows, "", frozenset({0, 1, 2, 4}))


def _some(lines: Sequence[str] | dict[str, None], limit: int = 5) -> tuple[str, ...]:
    """Return at most ``limit`` lines and how many were left out; a dash for none."""
    lines = tuple(lines)
    if len(lines) > limit:
        return (*lines[:limit], f"and {len(lines) - limit} more")
    return lines or (UNKNOWN,)


def _step_rows(step: StepRecord) -> list[tuple[str | tuple[str, ...], ...]]:
    head = (
        str(step.step),
        number_text(step.loss),
        seconds_text(step.measured.total),
        seconds_text(None if step.modelled is None else step.modelled.total),
    )
    if not step.blocks:
        return [(*head, UNKNOWN, _what_happened(step), *(UNKNOWN,) * 6)]
    rows = []
    for number, block in enumerate(step.blocks):
        rows.append(
            (
                *(head if number == 0 else ("",) * len(head)),
                f"{block.name} ({block.n:,})",
                _what_happened(step) if step.skipped else _solver_used(block),
                number_text(block.attempts[-1].residual if block.attempts else None),
                _estimate(block.facts.condition),
                tuple(bound.describe() for bound in block.facts.bounds) or UNKNOWN,
                str(block.facts.row_sparsity or UNKNOWN),
                seconds_text(break_even_gate_time(block)[0]),
                tuple(_quote(quote) for quote in block.decision.quotes),
            )
        )
    return rows


def _what_happened(step: StepRecord) -> str:
    if step.skipped is not None:
        return f"skipped: {step.skipped}"
    return "first order" if step.reason is None else f"first order: {step.reason}"


def _solver_used(block: BlockRecord) -> tuple[str, ...]:
    failed = tuple(
        f"{solver_look(attempt.solver).label}: {attempt.describe()}"
        for attempt in block.attempts
        if attempt.outcome is not Outcome.SOLVED
    )
    used = () if block.solver is None else (solver_look(block.solver).label,)
    return (*failed, *used) or ("not solved",)


def _estimate(estimate: Estimate | None) -> str | tuple[str, ...]:
    if estimate is None:
        return UNKNOWN
    if estimate.low is None and estimate.high is None:
        return estimate.describe()
    return (
        estimate.describe(),
        f"in [{number_text(estimate.low)}, {number_text(estimate.high)}]",
    )


def _quote(quote: Quote) -> str:
    price = "refused" if quote.seconds is None else seconds_text(quote.seconds)
    return f"{solver_look(quote.name).label} {price}{' †' * quote.hypothetical}"


def _quotes(step: StepRecord) -> list[Quote]:
    return [quote for block in step.blocks for quote in block.decision.quotes]
