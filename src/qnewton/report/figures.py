"""Pictures as figures of a page, with a clock to choose where there is one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qnewton.report.save import Picture


@dataclass(frozen=True)
class Figure:
    """A picture of a page.

    Attributes:
        key: Its name in the page's markup.
        title: Its heading.
        drawings: The picture on each clock that it can be drawn against, by the name that the
            switch shows; one entry where there is nothing to switch.
        wide: Whether it takes the whole width.
    """

    key: str
    title: str
    drawings: Mapping[str, Picture]
    wide: bool = False

    @property
    def first(self) -> Picture:
        """What is shown first."""
        return next(iter(self.drawings.values()))


def figure_of(key: str, title: str, picture: Picture | None, *, wide: bool = False) -> list[Figure]:
    """Return a figure with one drawing as a list of one; an empty list for no picture."""
    return [] if picture is None else [Figure(key, title, {"": picture}, wide)]


def drawn_by_script(figures: Sequence[Figure]) -> dict[str, Any]:
    """Return what the page's script draws: Vega-Lite's specifications, and their rows apart.

    Rows that several drawings share are held once, column by column.

    Cost:
        Some milliseconds per drawing.
    """
    tables = _Tables()
    drawn = {}
    for figure in figures:
        drawings = {}
        for name, picture in figure.drawings.items():
            spec = picture.chart.to_dict(validate=False)
            # The card has a heading and a ground of its own, and says how wide a chart is.
            spec |= {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
            spec.pop("title", None)
            spec["config"]["background"] = None
            drawings[name] = {"spec": tables.taken(spec), "rows": tables.place(picture.rows)}
        drawn[figure.key] = {"title": figure.title, "drawings": drawings}
    return {"figures": drawn, "tables": tables.held}


class _Tables:
    """The rows of all drawings, each table once."""

    def __init__(self) -> None:
        self.held: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}

    def place(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Return where rows stand among the tables."""
        columnar = _columnar(rows)
        key = json.dumps(columnar)
        if key not in self._places:
            self._places[key] = len(self.held)
            self.held.append(columnar)
        return self._places[key]

    def taken(self, spec: Any) -> Any:
        """Return a specification with the places of its rows in their stead."""
        if isinstance(spec, list):
            return [self.taken(part) for part in spec]
        if not isinstance(spec, dict):
            return spec
        return {
            name: {"values": self.place(part["values"])} if name == "data" else self.taken(part)
            for name, part in spec.items()
        }


def _columnar(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {"names": names, "rows": [[_value(row.get(name)) for name in names] for row in rows]}


def _value(value: Any) -> Any:
    """Return a number with the digits that a chart shows, and anything else as it is.

    JSON has no infinity and no NaN: they are left out.
    """
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
