"""A picture and the numbers behind it, as files: PNG, SVG and CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qnewton.report.vega import alt
from qnewton.runs import write_atomically
from qnewton.runs.errors import storage

PNG_SCALE = 2


@dataclass(frozen=True)
class Picture:
    """A chart, the rows it draws, and what a reader must know to read it.

    Attributes:
        chart: The chart, in the project's look.
        rows: What it shows, one mapping per point, all with the same keys.
        caption: One to three sentences.
    """

    chart: Any
    rows: Sequence[Mapping[str, Any]]
    caption: str


def save_chart(picture: Picture, folder: str | os.PathLike[str], name: str) -> list[Path]:
    """Write ``name``.png (at twice its size), ``name``.svg and ``name``.csv into ``folder``.

    Rendered by vl-convert: no browser, no network.

    Args:
        picture: What to write.
        folder: An existing folder, or one to make.
        name: File name without its ending.

    Returns:
        The three paths.

    Raises:
        RunStorageError: If they cannot be written.
    """
    png, svg = io.BytesIO(), io.StringIO()
    picture.chart.save(png, format="png", scale_factor=PNG_SCALE)
    picture.chart.save(svg, format="svg")
    contents = {
        "png": png.getvalue(),
        "svg": svg.getvalue().encode(),
        "csv": csv_text(picture.rows).encode(),
    }
    folder = Path(folder)
    paths = []
    for ending, data in contents.items():
        path = folder / f"{name}.{ending}"
        with storage("write", path, resumable=False):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        paths.append(path)
    return paths


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV; an unknown value is an empty cell.

    Raises:
        ValueError: If the rows do not all have the same keys.

    Example:
        >>> print(csv_text([{"step": 0, "loss": 2.3}, {"step": 1, "loss": None}]), end="")
        step,loss
        0,2.3
        1,
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    if rows:
        writer.writeheader()
    for row in rows:
        if row.keys() != rows[0].keys():
            raise ValueError(f"rows of one table need one set of columns; found {sorted(row)}")
        writer.writerow(row)
    return text.getvalue()


def inline_data(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """Return rows as a chart's own data: nothing is fetched, no row limit applies."""
    return alt.Data(values=_Rows(rows))


class _Rows:
    """Rows as a part of a schema (``altair.utils.schemapi.SchemaLike``).

    Altair copies such a part and turns it into JSON as a whole. A list it does value by value,
    whenever a chart becomes part of another.
    """

    _schema: ClassVar[Mapping[str, Any]] = {"type": "array"}

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = [dict(row) for row in rows]

    def to_dict(self, *_: object, **__: object) -> list[dict[str, Any]]:
        """Return the rows."""
        return self._rows
