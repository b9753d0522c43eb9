"""Pictures as figures of a page: compiled for Vega, with a clock to choose where there is one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

from qnewton.report.save import Picture
from qnewton.report.vega import check_installed, vl_convert


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


def start_compiler() -> None:
    """Start the compiler of charts, which takes a quarter second, beside what else there is to do.

    Raises:
        MissingExtraError: If it is not installed.
    """
    check_installed()
    empty = {"data": {"values": []}, "mark": "point"}
    Thread(target=vl_convert.vegalite_to_vega, args=(empty,), daemon=True).start()


def compiled(figures: Sequence[Figure]) -> dict[str, Any]:
    """Return what the page's script draws: Vega specifications, and their rows apart from them.

    Rows that several drawings share are held once, column by column.

    Cost:
        Some milliseconds per drawing.
    """
    held: dict[str, int] = {}
    tables: list[Any] = []

    def hold(rows: Sequence[Mapping[str, Any]]) -> int:
        columnar = _columnar(rows)
        key = json.dumps(columnar)
        if key not in held:
            held[key] = len(tables)
            tables.append(columnar)
        return held[key]

    drawn = {}
    for figure in figures:
        drawings = {}
        for name, picture in figure.drawings.items():
            spec = picture.chart.to_dict(validate=False)
            # The card has a heading and a ground of its own, and says how wide a chart is.
            spec |= {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
            spec.pop("title", None)
            spec["config"]["background"] = None
            vega = vl_convert.vegalite_to_vega(spec)
            for data in vega["data"]:
                if "values" in data:
                    data["values"] = hold(data["values"])
            drawings[name] = {"spec": vega, "rows": hold(picture.rows)}
        drawn[figure.key] = {"title": figure.title, "drawings": drawings}
    return {"figures": drawn, "tables": tables}


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
