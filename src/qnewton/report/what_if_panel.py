"""The what-if panel of the report page: its controls, its data, its script and its style."""

import base64
import math
from typing import Any

import numpy as np

from qnewton.queries import QUERY_SETS
from qnewton.queries.arrays import Array
from qnewton.report.template_files import template_text
from qnewton.report.what_if import WhatIf, own_error
from qnewton.report.what_if_controls import (
    TABLE_LOADING,
    Choice,
    Option,
    Slider,
    joined_script,
    rendered,
)

_SCRIPTS = ("quantities.js", "what_if_controls.js", "what_if_chart.js", "what_if.js")

_GATE_DECADES, _GATE_STEP = (-24.0, -3.0), 0.05  # of log10 of the gate time in seconds


_PAPER = Option(
    "paper", "the paper's: queries alone", "Gate time × expected queries; everything else is free."
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
    known = {"sliders": _sliders(found), "choices": _choices(found), "notes": _notes(found)}
    return rendered("what_if.html.j2", _data(found), name=name, **known)


def script() -> str:
    """Return the panels' script: it starts every panel of the page."""
    start = 'document.querySelectorAll(".what-if.run").forEach(startWhatIf);'
    return joined_script(_SCRIPTS, start)


def style() -> str:
    """Return the panels' style, which takes its colors from the page's."""
    return template_text("what_if.css")


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
        TABLE_LOADING,
        Choice("rival", "classical rival", tuple(rivals)),
    )


def _notes(found: WhatIf) -> tuple[str, ...]:
    """Return what of the run is not shown, and what stands in for what its machine lacks."""
    machine, audit = found.settings.hardware, found.settings.audit
    assert machine is not None
    shown, every = len(found.steps), found.all_steps
    said = [] if shown == every else [f"{shown} of {every:,} steps are shown, drawn evenly."]
    if found.stands_in is not None:
        said.append(f"{found.stands_in}. {machine.name} stands in for it.")
    if machine.readout_time_s is None:
        times = f"{found.readout_per_gate:g} times its gate time"
        said.append(f"{machine.name} has no measurement time; {times} stands in for it.")
    if audit.error_correction == "qdk":
        said.append("The run had qdk correct errors; here the closed form stands in for it.")
    return tuple(said)


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
        "classical": numbers(found.classical),
        "paper": numbers(found.paper),
        "beside": found.beside,
        "designs": [each.fixed.shape[-1] for each in lines],
        "fixed": numbers(np.hstack([each.fixed for each in lines])),
        "writing": numbers(np.hstack([each.writing for each in lines])),
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


def numbers(values: Array) -> list[Any]:
    """Return numbers as JSON has them, to seven digits; ``None`` where there is no price."""
    if values.ndim > 1:
        return [numbers(row) for row in values]
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]
