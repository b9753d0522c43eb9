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
from qnewton.runs import Comparison, ComparisonRow, RunConfig

# The line breaks keep the table within 80 columns; a page shows them as spaces.
COMPARISON_HEADERS = (
    "method",
    "steps",
    "test\naccuracy",
    f"{MEASURED_HEADER}\ntotal",
    f"{MODELLED_HEADER}\ntotal",
    f"{MODELLED_HEADER}\nper step",
    "solved by\nquantum",
)
_METHOD_WIDTH = 15
NOT_REACHED = "> before a number of steps: the target was not reached within them"


def comparison_cells(row: ComparisonRow, mark: str = "") -> tuple[str, ...]:
    """Return one row of the comparison as text, under ``COMPARISON_HEADERS``.

    Args:
        row: The row.
        mark: Footnote mark behind the method's name.
    """
    rate = "" if row.learning_rate is None else f", lr {row.learning_rate:g}"
    return (
        f"{row.label}{rate}{mark}",
        f"{row.steps}" if row.reached else f"> {row.steps}",
        share_text(row.test_accuracy),
        seconds_text(row.measured_seconds),
        seconds_text(row.modelled_seconds),
        seconds_text(row.modelled_seconds_per_step),
        share_text(row.quantum_share),
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
    rows = [comparison_cells(row, marks.get(row.note, "")) for row in comparison.rows]
    for number, header in enumerate(COMPARISON_HEADERS):
        # As wide as its longest word and no wider: rich would break the names of methods instead.
        words = [word for cells in rows for word in cells[number].split()]
        table.add_column(
            header,
            justify="right" if number else "left",
            overflow="fold",
            width=max(0 if number else _METHOD_WIDTH, *map(len, (*words, *header.split("\n")))),
        )
    for cells in rows:
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _marks(comparison: Comparison) -> dict[str | None, str]:
    notes = dict.fromkeys(row.note for row in comparison.rows if row.note is not None)
    return {note: f" [{number}]" for number, note in enumerate(notes, start=1)}


def _footnotes(comparison: Comparison, config: RunConfig, models: Sequence[str]) -> list[str]:
    notes = [f"{mark.strip()} {note}" for note, mark in _marks(comparison).items()]
    if not all(row.reached for row in comparison.rows):
        notes.append(NOT_REACHED)
    return [measured_text(config), modelled_text(config), *models, *notes]
