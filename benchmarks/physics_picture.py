"""The picture of a problem's runs: error against seconds, from the committed results."""

import json
from pathlib import Path
from typing import Any

import altair as alt

from benchmarks.harness.results import FOLDER
from qnewton.records.colors import BLACK, BLUE, GREEN, PURPLE, VERMILLION
from qnewton.report.save import inline_data
from qnewton.report.style import Look, log_domain, log_ticks, scale_of

RESULTS = FOLDER / "physics.json"

# By the first word of a method's name; the rest of it is its learning rate.
_LOOKS = {
    "QNewton": Look("", VERMILLION),
    "by hand": Look("", BLACK, (8, 3)),
    "L-BFGS": Look("", BLUE, (2, 2)),
    "Adam": Look("", GREEN, (6, 2, 2, 2)),
    "SOAP": Look("", PURPLE, (4, 4)),
}
_WIDTH, _HEIGHT = 420, 240
_MISSING = (
    "The benchmark has not been run on this checkout.",
    "Run:  python -m benchmarks physics",
)


def error_over_time(problem: str, results: Path = RESULTS) -> alt.Chart:
    """Draw the best run of every method on one problem, both axes logarithmic.

    Args:
        problem: A problem's name.
        results: The JSON of the benchmark. Where it is missing, the chart is a note that says so.

    Raises:
        KeyError: If the results know no such problem.
    """
    if not results.exists():
        return _note()
    facts = json.loads(results.read_text(encoding="utf-8"))["facts"]
    runs = facts[problem]["runs"]
    rows = [
        {"method": method, "seconds": seconds, "error": error}
        for method, run in runs.items()
        for seconds, error in _points(run["curve"])
    ]
    looks = {method: _LOOKS[method.split(",")[0]] for method in runs}
    color = scale_of(looks, [look.color for look in looks.values()])
    dash = scale_of(looks, [list(look.dash or (1, 0)) for look in looks.values()])
    return (
        alt.Chart(inline_data(rows))
        .mark_line(strokeWidth=1.8)
        .encode(
            x=_axis(alt.X("seconds:Q", title="seconds (measured)"), rows, "~g"),
            y=_axis(alt.Y("error:Q", title="relative L2 error"), rows, ".0e"),
            color=alt.Color("method:N", scale=color, legend=alt.Legend(title=None, columns=3)),
            strokeDash=alt.StrokeDash("method:N", scale=dash, legend=None),
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )


def _points(curve: dict[str, list[float]]) -> list[tuple[float, float]]:
    """Return what a logarithmic picture can show: the start, at 0 s, is not in it."""
    pairs = zip(curve["seconds"], curve["error"], strict=True)
    return [(seconds, error) for seconds, error in pairs if seconds > 0 and error == error]


def _axis(channel: Any, rows: list[dict[str, Any]], number_format: str) -> Any:
    values = [row[channel.shorthand.split(":")[0]] for row in rows]
    low, high = log_domain(min(values), max(values))
    return channel.scale(type="log", domain=[low, high], nice=False).axis(
        values=log_ticks(low, high), format=number_format
    )


def _note() -> alt.Chart:
    rows = [{"line": index, "text": text} for index, text in enumerate(_MISSING)]
    return (
        alt.Chart(inline_data(rows))
        .mark_text(fontSize=13)
        .encode(
            x=alt.value(_WIDTH / 2),
            y=alt.Y("line:O", axis=None),
            text="text:N",
        )
        .properties(width=_WIDTH, height=60)
    )
