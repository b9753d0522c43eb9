"""One look for every picture: colors that stay with their method, solver and stage.

Solvers and policies bring theirs. Dash and shape repeat what color says, for print in gray.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from qnewton.cost import SOLVERS
from qnewton.records import colors
from qnewton.records.colors import BLACK, BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from qnewton.report.vega import alt
from qnewton.scheduler.policy import POLICIES

# With its axis and the labels in its margin a picture is then about 450 px, half a page, wide.
PLOT_WIDTH = 335


@dataclass(frozen=True)
class Look:
    """How one method, solver or stage appears wherever it appears.

    Attributes:
        label: Its name for people.
        color: Its color.
        dash: Its line: pixels drawn and left out in turn; empty for a full line.
        shape: Its point, as Vega-Lite names it.
    """

    label: str
    color: str
    dash: tuple[int, ...] = ()
    shape: str = "circle"


# Methods and quantum algorithms that are neither policies nor solvers.
_METHODS = {
    "sgd": Look("SGD", BLACK, (2, 2)),
    "adam": Look("Adam", PURPLE, (6, 2, 2, 2)),
    "q-newton": Look("Q-Newton", GREEN),
}
_ALGORITHMS = {
    "jennings": Look("Quantum (Jennings)", VERMILLION, shape="diamond"),
}

STAGES = {
    "forward_backward": Look("forward and backward", SKY),
    "curvature": Look("curvature", BLUE),
    "treatment": Look("damping and pruning", colors.YELLOW),
    "survey": Look("measuring the matrix", ORANGE),
    "solve": Look("solve", VERMILLION),
    "update": Look("update", PURPLE),
}


def method_look(method: str) -> Look:
    """Return the look of a method or policy; an unknown one is gray under its own name."""
    policy = POLICIES.find(method)
    if policy is not None:
        return Look(policy.title, policy.color, policy.dash)
    return _METHODS.get(method, Look(method, GRAY, (1, 2)))


def solver_look(solver: str) -> Look:
    """Return the look of a solver or algorithm; an unknown one is gray under its own name."""
    known = SOLVERS.find(solver)
    if known is not None:
        return Look(known.title, known.color, shape=known.shape)
    return _ALGORITHMS.get(solver, Look(solver, GRAY))


def step_axis(last_step: int, *, labels: bool = True) -> alt.Axis:
    """Return an axis of whole steps; Vega alone puts halves between few of them."""
    values = list(range(last_step + 1)) if last_step <= 10 else alt.Undefined
    return alt.Axis(values=values, format="d", labels=labels)


def scale_of(labels: Iterable[str], values: Iterable[Any]) -> alt.Scale:
    """Return a scale that gives each label its color, dash or shape."""
    return alt.Scale(domain=list(labels), range=list(values))


def decade_channel(channel: Any, field: str, title: str, low: float, high: float) -> Any:
    """Return an axis of powers of ten from 10^low to 10^high, some ten of them where many."""
    every = 1 if high - low <= 8 else 3 * math.ceil((high - low) / 30)
    decades = range(math.ceil(low), math.floor(high) + 1)
    return channel(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", domain=[10.0**low, 10.0**high], nice=False),
        # Parsed, not raised: 10.0**-18 is not the float 1e-18.
        axis=alt.Axis(format=".0e", values=[float(f"1e{k}") for k in decades if k % every == 0]),
    )


def log_domain(low: float, high: float) -> tuple[float, float]:
    """Return the range of a log axis: some room around the values, and two ticks at least.

    Example:
        >>> log_domain(0.1, 1.0)
        (0.08695652173913045, 1.15)
    """
    low, high = low / 1.15, high * 1.15
    while len(log_ticks(low, high)) < 2:
        low, high = low / 1.15, high * 1.15
    return low, high


def log_ticks(low: float, high: float) -> list[float]:
    """Return readable ticks of a log axis: 1, 2 and 5 of each decade, or whole decades if many.

    Example:
        >>> log_ticks(0.04, 2.3)
        [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
        >>> log_ticks(2e-7, 3.0)
        [1e-06, 1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    leads = (1, 2, 5) if last - first <= 4 else (1,)
    # Parsed, not multiplied: 5 * 10**-2 is not the float 0.05.
    ticks = [float(f"{lead}e{k}") for k in range(first, last + 1) for lead in leads]
    return [tick for tick in ticks if low <= tick <= high]


@cache
def _theme() -> dict[str, Any]:
    """Return the look of axes, legends and titles, and the gallery's colors."""
    return json.loads(files("qnewton.report").joinpath("templates/theme.json").read_text())


@cache
def _config() -> Any:
    return alt.Config.from_dict(_theme())


def dark_colors() -> dict[str, str]:
    """Return what stands for each color of a picture on dark ground; keys are in lower case."""
    return json.loads(files("qnewton.report").joinpath("templates/dark.json").read_text())


def themed(chart: Any) -> Any:
    """Return a finished top-level chart in the project's look.

    Its font is the first that vl-convert carries, so that a picture is the same on a machine
    without fonts; it has no superscript minus, so axes say 1e−18 where the page says 10⁻¹⁸.
    The look travels inside the chart: no global theme is registered, and a user's own charts
    stay as they are.
    """
    themed_chart = chart.copy(deep=False)
    themed_chart.config = _config()
    return themed_chart
