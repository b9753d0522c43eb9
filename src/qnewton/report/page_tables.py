"""The tables of the page, as plain text cells."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qnewton.records import (
    BlockRecord,
    Calibration,
    Estimate,
    KernelFit,
    Outcome,
    QuantumHardware,
    Quote,
    StepRecord,
)
from qnewton.report.break_even import break_even_gate_time
from qnewton.report.clocks import MEASURED_HEADER, MODELLED_HEADER
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text
from qnewton.report.style import solver_look
from qnewton.report.table import Cell, Column, Table, table_of
from qnewton.runs import Run, RunConfig

FIRST_STEPS = 15
LAST_STEPS = 10


@dataclass(frozen=True)
class _Row:
    """A row of the table of steps: one block of a step, or a step that solved no system."""

    step: StepRecord
    block: BlockRecord | None
    first: bool


def _of_step(cell: Callable[[StepRecord], str]) -> Callable[[_Row], Cell]:
    """Return a cell that stands in a step's first row alone."""
    return lambda row: cell(row.step) if row.first else ""


def _of_block(cell: Callable[[BlockRecord], Cell]) -> Callable[[_Row], Cell]:
    return lambda row: UNKNOWN if row.block is None else cell(row.block)


def step_table(run: Run, title: str) -> Table:
    """Return the first and last steps of a run, one row per block, under ``title``."""
    steps, note = list(run.steps), ""
    if len(steps) > FIRST_STEPS + LAST_STEPS:
        note = (
            f"The first {FIRST_STEPS} and last {LAST_STEPS} of {len(steps)} steps; all of them "
            "are in steps.jsonl."
        )
        steps = steps[:FIRST_STEPS] + steps[-LAST_STEPS:]
    if any(quote.hypothetical for step in steps for quote in _quotes(step)):
        note = f"† on a machine that does not exist. {note}".strip()
    rows = [
        _Row(step, block, first=number == 0)
        for step in steps
        for number, block in enumerate(step.blocks or (None,))
    ]
    columns: tuple[Column[_Row], ...] = (
        Column("step", _of_step(lambda step: str(step.step))),
        Column("loss", _of_step(lambda step: number_text(step.loss))),
        Column(MEASURED_HEADER, _of_step(lambda step: seconds_text(step.measured.total))),
        Column(MODELLED_HEADER, _of_step(_modelled)),
        Column("block (N)", _of_block(lambda block: f"{block.name} ({block.n:,})"), words=True),
        Column("solver used", _solver_used, words=True),
        Column("residual", _of_block(_residual)),
        Column("κ", _of_block(lambda block: _estimate(block.facts.spectrum.condition)), words=True),
        Column("κ bounds", _of_block(_bounds), words=True),
        Column("d", _of_block(lambda block: str(block.facts.spectrum.row_sparsity or UNKNOWN))),
        Column(
            "break-even\ngate time",
            _of_block(lambda block: seconds_text(break_even_gate_time(block)[0])),
        ),
        Column(
            "quotes (modelled)",
            _of_block(lambda block: tuple(_quote(quote) for quote in block.decision.quotes)),
            words=True,
        ),
    )
    return table_of(title, columns, rows, note)


def price_table(runs: Sequence[Run]) -> Table:
    """Return each price model met in the runs, with its assumptions and refusals."""
    groups: dict[tuple[str, str, bool, str], list[Quote]] = {}
    for quote in (quote for run in runs for step in run.steps for quote in _quotes(step)):
        key = (quote.name, quote.hardware, quote.hypothetical, quote.model)
        groups.setdefault(key, []).append(quote)
    columns: tuple[Column[list[Quote]], ...] = (
        Column("solver", lambda group: solver_look(group[0].name).label, words=True),
        Column("machine", lambda group: machine_text(group[0]), words=True),
        Column("price model", lambda group: group[0].model, words=True),
        Column("assumptions", _assumptions, words=True),
        Column("quotes", lambda group: f"{len(group)}"),
        Column("refused", _refusals, words=True),
    )
    return table_of("Prices", columns, groups.values())


def option_table(config: RunConfig) -> Table:
    """Return the resolved options and the versions behind a run."""
    rows = [
        ("policy", config.policy),
        ("seed", str(config.seed)),
        *((name, json.dumps(value, ensure_ascii=False)) for name, value in config.options.items()),
        *((f"version of {name}", version) for name, version in config.versions.items()),
    ]
    return Table("Options and versions", ("option", "value"), rows, text_columns=frozenset({0, 1}))


def calibration_table(calibration: Calibration) -> Table:
    """Return the fitted classical constants that priced the run."""
    columns: tuple[Column[KernelFit], ...] = (
        Column("kernel", lambda fit: fit.kernel, words=True),
        Column("precision", lambda fit: fit.dtype, words=True),
        Column("price", lambda fit: f"{number_text(fit.seconds_per_unit)} s · {fit.work}"),
        Column("overhead", lambda fit: seconds_text(fit.overhead_s)),
        Column(
            "median error of the fit",
            lambda fit: UNKNOWN if fit.median_error is None else f"{100 * fit.median_error:.0f}%",
        ),
    )
    note = f"{calibration.name}: {calibration.machine}, {calibration.date}, {calibration.source}."
    return table_of("Classical calibration", columns, calibration.fits, note)


def hardware_table(machines: Sequence[QuantumHardware]) -> Table:
    """Return the quantum machines, with the source of each gate time."""
    columns: tuple[Column[QuantumHardware], ...] = (
        Column("name", lambda machine: machine.name, words=True),
        Column("machine", lambda machine: machine.title, words=True),
        Column("", lambda m: "hypothetical" if m.hypothetical else "exists", words=True),
        Column("gate time", lambda machine: seconds_text(machine.gate_time_s.value)),
        Column(
            "source of the gate time",
            lambda machine: f"{machine.gate_time_s.source}, {machine.gate_time_s.date}",
            words=True,
        ),
    )
    return table_of("Quantum machines", columns, machines)


def machine_text(quote: Quote) -> str:
    """Return the machine of a quote, marked where it does not exist."""
    return f"{quote.hardware} (hypothetical)" if quote.hypothetical else quote.hardware


def _assumptions(quotes: Sequence[Quote]) -> Cell:
    return _some(list(dict.fromkeys(text for quote in quotes for text in quote.assumptions)))


def _refusals(quotes: Sequence[Quote]) -> Cell:
    refusals = Counter(quote.refused for quote in quotes if quote.refused is not None)
    return _some([f"{count} × {text}" for text, count in refusals.items()])


def _some(lines: Sequence[str], limit: int = 5) -> tuple[str, ...]:
    """Return at most ``limit`` lines and how many were left out; a dash for none."""
    more = (f"and {len(lines) - limit} more",) if len(lines) > limit else ()
    return (*lines[:limit], *more) or (UNKNOWN,)


def _modelled(step: StepRecord) -> str:
    return seconds_text(None if step.modelled is None else step.modelled.total)


def _residual(block: BlockRecord) -> str:
    return number_text(block.attempts[-1].residual if block.attempts else None)


def _bounds(block: BlockRecord) -> Cell:
    return tuple(bound.describe() for bound in block.facts.spectrum.bounds) or UNKNOWN


def _solver_used(row: _Row) -> Cell:
    step, block = row.step, row.block
    if step.skipped is not None:
        return f"skipped: {step.skipped}"
    if block is None:
        return "first order" if step.reason is None else f"first order: {step.reason}"
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
