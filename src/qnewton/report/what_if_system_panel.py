"""The price panel of one system, with every assumption on a control, for a page without Python."""

import base64
import gzip
from typing import Any

import numpy as np

from qnewton import cost
from qnewton.cost.constants import THRESHOLD, Constants
from qnewton.queries import QUERY_SETS
from qnewton.report import what_if_system as grid
from qnewton.report.what_if_controls import (
    TABLE_LOADING,
    Choice,
    Option,
    Slider,
    joined_script,
    rendered,
)
from qnewton.report.what_if_panel import numbers
from qnewton.report.what_if_system import SystemPrices, system_prices

_SCRIPTS = (
    "quantities.js",
    "what_if_controls.js",
    "what_if_system_price.js",
    "what_if_system.js",
    "what_if_system_chart.js",
)

_SYSTEM = (
    ("n", "unknowns N", "Parameters that one Newton step solves for."),
    ("d", "entries in a row d", "How many entries of a row of A are not zero."),
    ("kappa", "condition number κ", "The largest eigenvalue over the smallest, by size."),
    ("epsilon", "error ε", "How far off the direction that is read may be, of length 1."),
)


def system_panel(name: str = "price", prices: SystemPrices | None = None) -> str:
    """Return the panel as HTML, to stand in a page that holds :func:`system_script`.

    The style is :func:`qnewton.report.what_if_panel.style`.

    Args:
        name: Its id, and the beginning of every id in it.
        prices: The grid; made where it is not there.

    Cost: some seconds for the grid; about half a megabyte.
    """
    prices = prices or system_prices()
    return rendered("what_if_system.html.j2", _data(prices), name=name, groups=_groups(prices))


def system_script() -> str:
    """Return the script: it starts every price panel of the page."""
    return joined_script(
        _SCRIPTS, 'document.querySelectorAll(".what-if.system").forEach(startSystem);'
    )


def _tenths(low: int, high: int) -> dict[str, Any]:
    """Return the ends of a slider of ten steps a decade."""
    return {"low": 10 * low, "high": 10 * high, "step": 1}


def _groups(prices: SystemPrices) -> list[tuple[str, list[Slider], list[Choice]]]:
    ends: tuple[dict[str, Any], ...] = (
        {"low": 0, "high": len(prices.sizes) - 1, "step": 1},
        {"low": 0, "high": len(grid.ROWS), "step": 1},
        _tenths(0, 6),
        {"low": -20, "high": -3, "step": 1},
    )
    system = [
        Slider(name=name, title=title, hint=hint, **span)
        for (name, title, hint), span in zip(_SYSTEM, ends, strict=True)
    ]
    machine = [
        Slider(
            name="gate", title="gate time", hint="Seconds of a two-qubit gate.", **_tenths(-24, -3)
        ),
        Slider(
            name="measurement",
            title="measurement time",
            hint="Seconds of a measurement, two of which each round of error correction waits for.",
            **_tenths(-24, -3),
        ),
        Slider(
            name="error",
            title="error rate",
            hint="Chance that a gate or a measurement fails.",
            low=-60,
            high=-21,
            step=1,
        ),
    ]
    speed = Slider(
        name="speed",
        title="rival's speed",
        hint="Times as fast as its profile; the quantum solver's classical parts, too.",
        **_tenths(-6, 6),
    )
    sets = tuple(
        Option(str(at), name, f"{said[0].upper()}{said[1:]}.")
        for at, (name, said) in enumerate(QUERY_SETS.items())
    )
    rivals = (
        Option(
            "0 0",
            "the best on a plain computer",
            "The cheapest solver, at round rates (profile nominal).",
        ),
        Option("0 1", "LU inversion on a plain computer", "The paper's rival, at the same rates."),
        Option("1 0", "the best on an H100", "By its data sheet and public benchmarks (h100)."),
        Option("2 0", "the best on 4,608 H100s", "By public benchmarks (h100-cluster)."),
    )
    return [
        ("The system", system, []),
        ("The quantum machine", machine, []),
        ("What is assumed", [], [Choice("sets", "query set", sets), TABLE_LOADING]),
        ("The classical rival", [speed], [Choice("rival", "rival", rivals)]),
    ]


def _data(prices: SystemPrices) -> dict[str, Any]:
    logs = np.log(prices.counts)
    low, high = float(logs.min()), float(logs.max())
    codes = np.round((logs - low) / (high - low) * 65535.0).astype("<u2")
    # Differences between constants are small and alike, so that they take less room.
    codes = np.diff(codes, axis=4, prepend=codes.dtype.type(0))
    ends = Constants.ends()
    return {
        "pairs": prices.pairs,
        "sizes": prices.sizes,
        "rows": grid.ROWS,
        "kappas": grid.KAPPAS,
        "epsilons": grid.EPSILONS,
        "tables": len(grid.TABLES),
        "querySets": len(grid.QUERY_SETS),
        "machines": list(grid.MACHINES.values()),
        "counts": base64.b64encode(gzip.compress(codes.tobytes(), mtime=0)).decode("ascii"),
        "logs": (low, high),
        "constants": {"cycle": ends.cycle.tolist(), "prefactor": ends.prefactor.tolist()},
        "failure": cost.DEFAULT_AUDIT.error_budget,
        "threshold": THRESHOLD,
        "writing": numbers(prices.writing),
        "norm": numbers(prices.norm),
        "direct": numbers(prices.direct),
        "inversion": numbers(prices.inversion),
        "krylov": numbers(prices.krylov),
        "own": {
            "n": prices.sizes.index(12_544),
            "d": grid.ROWS.index(1_946),
            "kappa": 15,
            "epsilon": -10,
            "gate": -73,
            "measurement": -70,
            "error": -30,
            "sets": "1",
            "tables": "0 1",
            "rival": "1 0",
            "speed": 0,
        },
    }
