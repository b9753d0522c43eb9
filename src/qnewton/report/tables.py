"""The tables of a page and of a terminal, as plain text cells."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from qnewton import records
from qnewton.records import BlockRecord, Quote, StepRecord
from qnewton.report.break_even import break_even_gate_time
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text, share_text
from qnewton.report.run_summary import measured_text, modelled_text
from qnewton.report.style import solver_look
from qnewton.report.table import Cell, Column, Table
from qnewton.report.words import machine_name, words
from qnewton.runs import Comparison, ComparisonRow, Run, RunConfig

MEASURED_HEADER = "measured on\nthis machine"
MODELLED_HEADER = "modelled"
NOT_REACHED = "> before a number of steps: the target was not reached within them"
_METHOD_WIDTH = 15


def method_text(row: ComparisonRow) -> str:
    """Return the method of a row, with the learning rate that was chosen for it."""
    return row.label if row.learning_rate is None else f"{row.label}, lr {row.learning_rate:g}"


# The line breaks keep the table within 80 columns; a page shows them as spaces.
COMPARISON_COLUMNS: tuple[Column[ComparisonRow], ...] = (
    Column("method", method_text, words=True),
    Column("steps", lambda row: f"{row.steps}" if row.reached else f"> {row.steps}"),
    Column("test\naccuracy", lambda row: share_text(row.test_accuracy)),
    Column("measured\nhere,\ntotal", lambda row: seconds_text(row.measured_seconds)),
    Column(f"{MODELLED_HEADER}\ntotal", lambda row: seconds_text(row.modelled_seconds)),
    Column("of which\nto find\nκ and d", lambda row: seconds_text(row.modelled_survey_seconds)),
    Column(f"{MODELLED_HEADER}\nper step", lambda row: seconds_text(row.modelled_seconds_per_step)),
    Column("solved by\nquantum", lambda row: share_text(row.quantum_share)),
)


def comparison_table(
    comparison: Comparison, config: RunConfig | None = None, models: Sequence[str] = ()
) -> RichTable:
    """Return the comparison for ``rich`` to print, every column under its clock, 80 columns wide.

    Args:
        comparison: What was found.
        config: The comparison's configuration, which names the machines of both clocks in
            footnotes; without one there are no footnotes.
        models: The price models in force, one sentence each, added to the footnotes.
    """
    marks = {} if config is None else note_marks(comparison)
    notes = [] if config is None else _footnotes(comparison, config, models)
    table = RichTable(
        title=Text(
            f"{comparison.workload}: steps and time to {100 * comparison.target:g}% test accuracy "
            f"(seed {comparison.seed})"
        ),
        title_justify="left",
        caption=Text("\n".join(notes)) if notes else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    rows = [[str(c.cell(row)) for c in COMPARISON_COLUMNS] for row in comparison.rows]
    for cells, row in zip(rows, comparison.rows, strict=True):
        cells[0] += marks.get(row.note, "")
    for number, column in enumerate(COMPARISON_COLUMNS):
        # As wide as its longest word and no wider: rich would break the names of methods instead.
        words = [word for cells in rows for word in cells[number].split()]
        table.add_column(
            column.header,
            justify="left" if column.words else "right",
            overflow="fold",
            width=max(
                0 if number else _METHOD_WIDTH, *map(len, (*words, *column.header.split("\n")))
            ),
        )
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def note_marks(comparison: Comparison) -> dict[str | None, str]:
    """Return the mark of each note of a comparison's rows, such as `` [1]``."""
    notes = dict.fromkeys(row.note for row in comparison.rows if row.note is not None)
    return {note: f" [{number}]" for number, note in enumerate(notes, start=1)}


def _footnotes(comparison: Comparison, config: RunConfig, models: Sequence[str]) -> list[str]:
    notes = [f"{mark.strip()} {note}" for note, mark in note_marks(comparison).items()]
    if not all(row.reached for row in comparison.rows):
        notes.append(NOT_REACHED)
    return [measured_text(config), modelled_text(config), *models, *notes]


FIRST_STEPS = 15
LAST_STEPS = 10


_STEP_COLUMNS = ("step", "loss", MEASURED_HEADER, MODELLED_HEADER, "block (N)", "solver used")
_STEP_COLUMNS += ("residual", "κ", "κ bounds", "d", "break-even\ngate time", "quotes (modelled)")
_STEP_WORDS = ("block (N)", "solver used", "κ", "κ bounds", "quotes (modelled)")


def step_table(run: Run, title: str) -> Table:
    """Return the first and last steps of a run, one row per block, under ``title``."""
    steps, shown = list(run.steps), None
    if len(steps) > FIRST_STEPS + LAST_STEPS:
        shown = (FIRST_STEPS, LAST_STEPS)
        steps = steps[:FIRST_STEPS] + steps[-LAST_STEPS:]
    hypothetical = any(quote.hypothetical for step in steps for quote in _quotes(step))
    note = words("steps", hypothetical=hypothetical, shown=shown, steps=len(run.steps))
    rows = [row for step in steps for row in _step_rows(step)]
    aligned = frozenset(map(_STEP_COLUMNS.index, _STEP_WORDS))
    return Table(title, _STEP_COLUMNS, rows, note, aligned)


def _step_rows(step: StepRecord) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each block of a step, or one for a step that solved no system."""
    modelled = seconds_text(None if step.modelled is None else step.modelled.total)
    measured = seconds_text(step.measured.total)
    head: tuple[Cell, ...] = (str(step.step), number_text(step.loss), measured, modelled)
    if not step.blocks:
        yield (*head, UNKNOWN, _solver_used(step, None), *[UNKNOWN] * 6)
    for block in step.blocks:
        spectrum = block.facts.spectrum
        yield (
            *head,
            f"{block.name} ({block.n:,})",
            _solver_used(step, block),
            number_text(block.attempts[-1].residual if block.attempts else None),
            _estimate(spectrum.condition),
            tuple(bound.describe() for bound in spectrum.bounds) or UNKNOWN,
            str(spectrum.row_sparsity or UNKNOWN),
            seconds_text(break_even_gate_time(block)[0]),
            tuple(_quote(quote) for quote in block.decision.quotes),
        )
        head = ("",) * 4


def price_table(runs: Sequence[Run]) -> Table:
    """Return each price model met in the runs, with its assumptions and refusals."""
    groups: dict[tuple[str, str, bool, str], list[Quote]] = {}
    for quote in (quote for run in runs for step in run.steps for quote in _quotes(step)):
        key = (quote.name, quote.hardware, quote.hypothetical, quote.model)
        groups.setdefault(key, []).append(quote)
    rows = []
    for (name, _, _, model), quotes in groups.items():
        assumptions = list(dict.fromkeys(text for quote in quotes for text in quote.assumptions))
        refusals = Counter(quote.refused for quote in quotes if quote.refused is not None)
        refused = _some([f"{count} × {text}" for text, count in refusals.items()])
        head = (solver_look(name).label, machine_name(quotes[0]), model)
        rows.append((*head, _some(assumptions), f"{len(quotes)}", refused))
    headers = ("solver", "machine", "price model", "assumptions", "quotes", "refused")
    return Table("Prices", headers, rows, text_columns=frozenset({0, 1, 2, 3, 5}))


def option_table(config: RunConfig) -> Table:
    """Return the resolved options and the versions behind a run."""
    rows = [
        ("policy", config.policy),
        ("seed", str(config.seed)),
        *((name, json.dumps(value, ensure_ascii=False)) for name, value in config.options.items()),
        *((f"version of {name}", version) for name, version in config.versions.items()),
    ]
    return Table("Options and versions", ("option", "value"), rows, text_columns=frozenset({0, 1}))


def calibration_table(calibration: records.Calibration) -> Table:
    """Return the fitted classical constants that priced the run."""
    rows = []
    for fit in calibration.fits:
        error = UNKNOWN if fit.median_error is None else f"{100 * fit.median_error:.0f}%"
        price = f"{number_text(fit.seconds_per_unit)} s · {fit.work}"
        rows.append((fit.kernel, fit.dtype, price, seconds_text(fit.overhead_s), error))
    note = f"{calibration.name}: {calibration.machine}, {calibration.date}, {calibration.source}."
    headers = ("kernel", "precision", "price", "overhead", "median error of the fit")
    return Table("Classical calibration", headers, rows, note, frozenset({0, 1}))


def hardware_table(machines: Sequence[records.QuantumHardware]) -> Table:
    """Return the quantum machines, with the source of each gate time."""
    rows = []
    for machine in machines:
        gate, exists = machine.gate_time_s, "hypothetical" if machine.hypothetical else "yes"
        source = f"{gate.source}, {gate.date}"
        rows.append((machine.name, machine.title, exists, seconds_text(gate.value), source))
    headers = ("name", "machine", "exists?", "gate time", "source of the gate time")
    return Table("Quantum machines", headers, rows, text_columns=frozenset({0, 1, 2, 4}))


def _some(lines: Sequence[str], limit: int = 5) -> tuple[str, ...]:
    """Return at most ``limit`` lines and how many were left out; a dash for none."""
    more = (f"and {len(lines) - limit} more",) if len(lines) > limit else ()
    return (*lines[:limit], *more) or (UNKNOWN,)


def _solver_used(step: StepRecord, block: BlockRecord | None) -> Cell:
    if step.skipped is not None:
        return f"skipped: {step.skipped}"
    if block is None:
        return "first order" if step.reason is None else f"first order: {step.reason}"
    failed = tuple(
        f"{solver_look(attempt.solver).label}: {attempt.describe()}"
        for attempt in block.attempts
        if attempt.outcome is not records.Outcome.SOLVED
    )
    used = () if block.solver is None else (solver_look(block.solver).label,)
    return (*failed, *used) or ("not solved",)


def _estimate(estimate: records.Estimate | None) -> str | tuple[str, ...]:
    if estimate is None:
        return UNKNOWN
    if estimate.low is None and estimate.high is None:
        return estimate.describe()
    return (estimate.describe(), f"in [{number_text(estimate.low)}, {number_text(estimate.high)}]")


def _quote(quote: Quote) -> str:
    price = "refused" if quote.seconds is None else seconds_text(quote.seconds)
    return f"{solver_look(quote.name).label} {price}{' †' * quote.hypothetical}"


def _quotes(step: StepRecord) -> list[Quote]:
    return [quote for block in step.blocks for quote in block.decision.quotes]
