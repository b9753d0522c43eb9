"""The picture of Table II: time and error of each estimator against N, the paper's times beside."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import torch

from paper.estimator_timing import METHODS, Measurement, Repeats
from paper.panels import HOLLOW, Rows, Series, chart, log_axis
from qnewton.report import Picture
from qnewton.report.style import BLACK, BLUE, GREEN, ORANGE, PLOT_WIDTH, VERMILLION, Look, themed

_LEAST_DIGITS = 1e-6
_PAPER_LABEL = "paper, on an H100"
_LOOKS = {
    "determinant": Look("determinant and norm", VERMILLION, shape="circle"),
    "trace": Look("determinant and trace", ORANGE, (6, 3), "square"),
    "lanczos": Look("Lanczos to 1%", GREEN, shape="triangle-up"),
    "lu_inverse": Look("one LU inversion", BLUE, (8, 3), "cross"),
    "paper": Look(_PAPER_LABEL, BLACK, (2, 2), "diamond"),
}


def estimator_picture(
    found: Sequence[Measurement], repeats: Repeats, paper_ms: Mapping[int, float]
) -> Picture:
    """Draw times above, decimal digits off below; the paper's milliseconds by N beside them."""
    kappas = tuple(dict.fromkeys(m.condition_number for m in found))
    sizes = tuple(dict.fromkeys(m.n for m in found))

    def row(panel: str, label: str, kappa: float | None, n: int, value: float) -> dict[str, Any]:
        case = {"panel": panel, "method": label, "condition_number": kappa}
        return {**case, "n": n, "value": value}

    rows = [
        row("time", _LOOKS[m.method].label, m.condition_number, m.n, 1e3 * m.seconds)
        for m in found
        if m.method in _LOOKS
        # Factorizations take the same time at every κ.
        and (m.condition_number == kappas[0] or m.method == "lanczos")
    ]
    rows += [row("time", _PAPER_LABEL, None, n, paper_ms[n]) for n in sizes if n in paper_ms]
    times = [row["value"] for row in rows]
    rows += [
        row(
            "error",
            _LOOKS[m.method].label,
            m.condition_number,
            m.n,
            max(abs(m.digits_off), _LEAST_DIGITS),
        )
        for m in found
        if m.method in METHODS and m.digits_off is not None
    ]
    decades = range(math.floor(math.log10(min(times))), math.ceil(math.log10(max(times))) + 1)
    y = _log_y("time (ms)", decades)
    upper = _panel([row for row in rows if row["panel"] == "time"], kappas, sizes, y, labels=False)
    y = _log_y("|log10(estimate / κ)|", range(-6, 5, 2))
    lower = _panel([row for row in rows if row["panel"] == "error"], kappas, sizes, y, labels=True)
    title = f"filled marks: κ = {kappas[0]:g}; open ones: κ = {kappas[-1]:g}"
    both = alt.vconcat(upper.properties(title=title), lower, spacing=12)
    caption = (
        f"Median wall-clock time here (float32, {torch.get_num_threads()} threads; "
        f"{', '.join(f'{repeats[n][0]}' for n in sizes)} runs at N = "
        f"{', '.join(f'{n:,}' for n in sizes)}, fewer of inversions and at the larger κ) beside "
        "the paper's on an H100, and how many decimal digits each estimate is off (those below "
        f"{_LEAST_DIGITS:g} drawn there), on matrices with a damped Hessian's kind of spectrum "
        f"and κ = {' and '.join(f'{k:g}' for k in kappas)} (open marks). The paper's estimator is "
        "the determinant with norm or trace."
    )
    return Picture(themed(both.resolve_scale(color="shared", shape="shared")), rows, caption)


def _log_y(title: str, exponents: range) -> alt.Y:
    ends = (10.0 ** (exponents[0] - 0.4), 10.0 ** (exponents[-1] + 0.4))
    return log_axis(alt.Y, "value", title, ends, [10.0**k for k in exponents], ".0e")


def _panel(
    rows: Rows, kappas: Sequence[float], sizes: Sequence[int], y: alt.Y, *, labels: bool
) -> Any:
    series = Series(
        "method", list(_LOOKS.values()), {"title": None, "columns": 2, "symbolStrokeWidth": 2}
    )
    ends, title = (min(sizes) / 1.4, max(sizes) * 1.4), "N" if labels else None
    x = log_axis(alt.X, "n", title, ends, sorted(sizes), ",d", labels=labels)
    line = chart(rows).mark_line(strokeWidth=1.5)
    line = line.encode(x=x, y=y, color=series.color, detail="condition_number:Q")
    others = f"datum.condition_number > {kappas[0]}"
    full = line.mark_point(size=60, opacity=1).encode(shape=series.shape)
    hollow = line.mark_point(size=55, strokeWidth=1.8, **HOLLOW).encode(shape=series.shape)
    layers = (line, full.transform_filter(f"!({others})"), hollow.transform_filter(others))
    return alt.layer(*layers).properties(width=PLOT_WIDTH, height=200)
