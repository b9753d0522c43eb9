"""The comparison as a terminal shows it."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from qnewton.report.clocks import (
    MEASURED_HEADER,
    MODELLED_HEADER,
    measured_text,
    modelled_text,
)
from qnewton.report.quantities import seconds_text, share_text
from qnewton.report.table import Column
from qnewton.runs import Comparison, ComparisonRow, RunConfig

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
    Column(f"{MEASURED_HEADER}\ntotal", lambda row: seconds_text(row.measured_seconds)),
    Column(f"{MODELLED_HEADER}\ntotal", lambda row: seconds_text(row.modelled_seconds)),
    Column(f"{MODELLED_HEADER}\nper step", lambda row: seconds_text(row.modelled_seconds_per_step)),
    Column("solved by\nquantum", lambda row: share_text(row.quantum_share)),
)


def comparison_table(
    comparison: Comparison, config: RunConfig, models: Sequence[str] = ()
) -> Table:
    """Return the comparison for ``rich`` to print, every column under its clock.

    Args:
        comparison: What was found.
        config: The comparison's configuration: names the machines of both clocks.
        models: The price models in force, one sentence each, added to the footnotes.
    """
    table = Table(
        title=Text(
            f"{comparison.workload}: steps and time to {100 * comparison.target:g}% test accuracy "
            f"(seed {comparison.seed})"
        ),
        title_justify="left",
        caption=Text("\n".join(_footnotes(comparison, config, models))),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    marks = _marks(comparison)
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


def _marks(comparison: Comparison) -> dict[str | None, str]:
    notes = dict.fromkeys(row.note for row in comparison.rows if row.note is not None)
    return {note: f" [{number}]" for number, note in enumerate(notes, start=1)}


def _footnotes(comparison: Comparison, config: RunConfig, models: Sequence[str]) -> list[str]:
    notes = [f"{mark.strip()} {note}" for note, mark in _marks(comparison).items()]
    if not all(row.reached for row in comparison.rows):
        notes.append(NOT_REACHED)
    return [measured_text(config), modelled_text(config), *models, *notes]
