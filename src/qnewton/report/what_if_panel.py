"""The what-if panel of the report page: its controls, its data, its script and its style."""

import base64
import json
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from qnewton.queries import QUERY_SETS
from qnewton.queries.arrays import Array
from qnewton.report.what_if import WhatIf, own_error

SCRIPTS = ("quantities.js", "what_if_chart.js", "what_if.js")

_GATE_DECADES, _GATE_STEP = (-24.0, -3.0), 0.05  # of log10 of the gate time in seconds


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A control that moves between two ends."""

    name: str
    title: str
    low: float
    high: float
    step: float
    hint: str


@dataclass(frozen=True)
class Option:
    """A named value of a control, and what it means."""

    value: str
    title: str
    said: str


@dataclass(frozen=True)
class Choice:
    """A control that offers named values."""

    name: str
    title: str
    options: tuple[Option, ...]


_PAPER = Option(
    "paper", "the paper's: queries alone", "Gate time × expected queries; everything else is free."
)

_TABLES = Choice(
    "tables",
    "table loading",
    (
        Option("0 1", "QROM, written anew", "Entries are read by QROM and written at every step."),
        Option("0 0", "QROM, writing is free", "Entries are read by QROM; nobody writes them."),
        Option("1 1", "QRAM, written anew", "QRAM reads them, which nobody has built."),
        Option("1 0", "QRAM, writing is free", "Nobody has built QRAM; nobody writes it here."),
    ),
)


def panel(found: WhatIf, name: str = "what-if") -> str:
    """Return the panel as HTML, to stand in a page that holds :func:`script` and :func:`style`.

    Args:
        found: A run's prices.
        name: Its id, and the beginning of every id in it.

    Example:
        >>> from qnewton.report.what_if import what_if
        >>> from qnewton.runs import recorded
        >>> html = panel(what_if(recorded("digits")[0]))
        >>> html.count('type="range"'), html.count("<select")
        (3, 3)
    """
    from jinja2 import Environment, PackageLoader

    known: dict[str, Any] = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=PackageLoader("qnewton.report", "templates"), **known)
    return environment.get_template("what_if.html.j2").render(
        name=name,
        sliders=_sliders(found),
        choices=_choices(found),
        notes=_notes(found),
        data=_safe(json.dumps(_data(found), allow_nan=False)),
    )


def script() -> str:
    """Return the panels' script: it starts every panel of the page."""
    start = 'document.querySelectorAll(".what-if").forEach(startWhatIf);'
    return "\n".join(("(() => {", *map(_template, SCRIPTS), start, "})();"))


def style() -> str:
    """Return the panels' style, which takes its colours from the page's."""
    return _template("what_if.css")


def _template(name: str) -> str:
    return files("qnewton.report").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def _safe(text: str) -> Any:
    """Return JSON that no HTML parser takes for the end of a script."""
    from markupsafe import Markup

    return Markup(text.replace("<", "\\u003c"))  # JSON of numbers and own names


def _sliders(found: WhatIf) -> tuple[Slider, ...]:
    times = f"{found.readout_per_gate:g}"
    low, high = _GATE_DECADES
    known: dict[str, Any] = {"low": 0, "step": 1}
    return (
        Slider(
            name="gate",
            title="gate time",
            low=low,
            high=high,
            step=_GATE_STEP,
            hint=f"Seconds of a two-qubit gate; a measurement takes {times} times as long.",
        ),
        Slider(
            name="error",
            title="error rate",
            high=len(found.stops.errors) - 1,
            hint="Chance that a gate or a measurement fails; error correction pays for it.",
            **known,
        ),
        Slider(
            name="epsilon",
            title="read-out tolerance ε",
            high=len(found.stops.epsilons) - 1,
            hint="How far off the direction that is read may be, of length 1.",
            **known,
        ),
    )


def _choices(found: WhatIf) -> tuple[Choice, ...]:
    audited = (
        Option(str(place), f"audited, {name} queries", f"Every term is charged; {said}.")
        for place, (name, said) in enumerate(QUERY_SETS.items())
    )
    rivals = (
        Option(str(place), rival.name, rival.said) for place, rival in enumerate(found.rivals)
    )
    return (
        Choice("price", "quantum price", (_PAPER, *audited)),
        _TABLES,
        Choice("rival", "classical rival", tuple(rivals)),
    )


def _notes(found: WhatIf) -> tuple[str, ...]:
    shown, every = len(found.steps), found.all_steps
    return () if shown == every else (f"{shown} of {every:,} steps are shown, drawn evenly.",)


def _data(found: WhatIf) -> dict[str, Any]:
    stops, lines, machine = found.stops, found.lines, found.settings.hardware
    assert machine is not None
    rises = [np.moveaxis(each.rise, -1, 0).ravel() for each in lines]
    with np.errstate(divide="ignore"):
        logs = np.log(np.concatenate([np.empty(0), *rises])).astype("<f4")
    known = any(each.fixed.size for each in lines)
    return {
        "steps": found.steps,
        "owners": found.owners,
        "classical": _numbers(found.classical),
        "paper": _numbers(found.paper),
        "beside": found.beside,
        "designs": [each.fixed.shape[-1] for each in lines],
        "fixed": _numbers(np.hstack([each.fixed for each in lines])),
        "writing": _numbers(np.hstack([each.writing for each in lines])),
        "logRises": base64.b64encode(logs.tobytes()).decode("ascii"),
        "tables": len(stops.tables),
        "querySets": len(stops.query_sets),
        "epsilons": stops.epsilons,
        "errors": stops.errors,
        "gate": machine.gate_time_s.value,
        "own": _own(found),
        "kind": {
            "price": str(stops.query_sets.index("optimistic")),
            "epsilon": 0,
            "error": len(stops.errors) - 1,
            "tables": "1 0",
            "rival": "1",
        },
        "unpriced": ""
        if known
        else "No step's condition number κ is known, which every price needs.",
    }


def _own(found: WhatIf) -> dict[str, Any]:
    """Return the values of the controls that stand for what the run assumed."""
    stops, audit, machine = found.stops, found.settings.audit, found.settings.hardware
    assert machine is not None
    own = own_error(audit, machine)
    error = 0 if own is None else stops.errors.index(own)
    if audit.error_correction == "perfect":
        error = stops.errors.index(None)
    low, high = _GATE_DECADES
    gate = min(high, max(low, math.log10(machine.gate_time_s.value)))
    steps = round((gate - low) / _GATE_STEP)
    return {
        "gate": round(low + steps * _GATE_STEP, 2),
        "price": str(stops.query_sets.index(audit.query_set)),
        "epsilon": stops.epsilons.index(audit.epsilon),
        "error": error,
        "tables": f"{stops.tables.index(audit.tables)} {int(audit.table_building)}",
        "rival": "0",
    }


def _numbers(values: Array) -> list[Any]:
    """Return numbers as JSON has them, to seven digits; ``None`` where there is no price."""
    if values.ndim > 1:
        return [_numbers(row) for row in values]
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]
