"""A table as text cells, built column by column, for a page and for a terminal."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

Item = TypeVar("Item")
Cell = str | tuple[str, ...]
"""What stands in a cell; a tuple is one line each."""


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column of a table.

    Attributes:
        header: Its heading.
        cell: What it says of one item.
        words: Whether it holds words, aligned left, and not numbers.
    """

    header: str
    cell: Callable[[Item], Cell]
    words: bool = False


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: Its heading.
        headers: One per column.
        rows: Cells as text.
        note: What stands below it.
        text_columns: Columns of words, aligned left; the others hold numbers.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    text_columns: frozenset[int] = frozenset({0})

    def rich(self) -> RichTable:
        """Return the table as ``rich`` prints it."""
        table = RichTable(
            title=Text(self.title),
            title_justify="left",
            caption=Text(self.note) if self.note else None,
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=0,
        )
        for number, header in enumerate(self.headers):
            table.add_column(header, justify="left" if number in self.text_columns else "right")
        for row in self.rows:
            table.add_row(*(Text(c if isinstance(c, str) else "\n".join(c)) for c in row))
        return table


def table_of(
    title: str, columns: Sequence[Column[Item]], items: Iterable[Item], note: str = ""
) -> Table:
    """Return the table with one row per item.

    Example:
        >>> columns = [Column("solver", str, words=True), Column("length", lambda s: f"{len(s)}")]
        >>> table_of("Solvers", columns, ["lu", "minres"]).rows
        [('lu', '2'), ('minres', '6')]
    """
    return Table(
        title=title,
        headers=[column.header for column in columns],
        rows=[tuple(column.cell(item) for column in columns) for item in items],
        note=note,
        text_columns=frozenset(k for k, column in enumerate(columns) if column.words),
    )
