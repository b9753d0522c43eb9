"""The picture of Table II: time and error of each estimator against N, the paper's times beside."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import torch

from paper.estimator_timing import METHODS, Measurement
from qnewton.report import Picture
from qnewton.report.save import inline_data
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
    found: Sequence[Measurement],
    repeats: Mapping[int, tuple[int, int]],
    paper_ms: Mapping[int, float],
) -> Picture:
    """Draw times above, decimal digits off below.

    Args:
        found: What was measured.
        repeats: Runs by N: of the estimators at the first κ, and of everything else.
        paper_ms: The paper's milliseconds by N.
    """
    kappas = tuple(dict.fromkeys(m.condition_number for m in found))
    sizes = tuple(dict.fromkeys(m.n for m in found))
    rows = [
        {
            "panel": "time",
            "method": _LOOKS[m.method].label,
            "condition_number": m.condition_number,
            "n": m.n,
            "value": 1e3 * m.seconds,
        }
        for m in found
        if m.method in _LOOKS
        # Factorizations take the same time at every κ.
        and (m.condition_number == kappas[0] or m.method == "lanczos")
    ]
    rows += [
        {
            "panel": "time",
            "method": _PAPER_LABEL,
            "condition_number": None,
            "n": n,
            "value": paper_ms[n],
        }
        for n in sizes
        if n in paper_ms
    ]
    rows += [
        {
            "panel": "error",
            "method": _LOOKS[m.method].label,
            "condition_number": m.condition_number,
            "n": m.n,
            "value": max(abs(m.digits_off), _LEAST_DIGITS),
        }
        for m in found
        if m.method in METHODS and m.digits_off is not None
    ]
    times = [row["value"] for row in rows if row["panel"] == "time"]
    decades = range(math.floor(math.log10(min(times))), math.ceil(math.log10(max(times))) + 1)
    title = f"filled marks: κ = {kappas[0]:g}; open ones: κ = {kappas[-1]:g}"
    chart = alt.vconcat(
        _panel(rows, kappas, "time", "time (ms)", decades, x_labels=False).properties(title=title),
        _panel(rows, kappas, "error", "|log10(estimate / κ)|", range(-6, 5, 2), x_labels=True),
        spacing=12,
    ).resolve_scale(color="shared", shape="shared")
    caption = (
        f"Median wall-clock time here (float32, {torch.get_num_threads()} threads; "
        f"{', '.join(f'{repeats[n][0]}' for n in sizes)} runs at N = "
        f"{', '.join(f'{n:,}' for n in sizes)}, fewer of inversions and at the larger κ) beside "
        "the paper's on an H100, and how many decimal digits each estimate is off (those below "
        f"{_LEAST_DIGITS:g} drawn there), on matrices with a damped Hessian's kind of spectrum "
        f"and κ = {' and '.join(f'{k:g}' for k in kappas)} (open marks). The paper's estimator is "
        "the determinant with norm or trace."
    )
    return Picture(themed(chart), rows, caption)


def _panel(
    rows: Sequence[dict[str, Any]],
    kappas: Sequence[float],
    panel: str,
    y_title: str,
    exponents: range,
    x_labels: bool,
) -> Any:
    looks = list(_LOOKS.values())
    labels = [look.label for look in looks]
    legend = alt.Legend(title=None, columns=2, symbolStrokeWidth=2)
    color = alt.Color(
        "method:N",
        scale=alt.Scale(domain=labels, range=[look.color for look in looks]),
        legend=legend,
    )
    sizes = sorted({row["n"] for row in rows})
    line = (
        alt.Chart(inline_data([row for row in rows if row["panel"] == panel]))
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X(
                "n:Q",
                title="N" if x_labels else None,
                scale=alt.Scale(type="log", domain=[sizes[0] / 1.4, sizes[-1] * 1.4], nice=False),
                axis=alt.Axis(values=sizes, format=",d", labels=x_labels),
            ),
            y=alt.Y(
                "value:Q",
                title=y_title,
                scale=alt.Scale(
                    type="log",
                    domain=[10.0 ** (exponents[0] - 0.4), 10.0 ** (exponents[-1] + 0.4)],
                    nice=False,
                ),
                axis=alt.Axis(values=[10.0**k for k in exponents], format=".0e"),
            ),
            color=color,
            detail="condition_number:Q",
        )
    )
    shape = alt.Shape(
        "method:N",
        scale=alt.Scale(domain=labels, range=[look.shape for look in looks]),
        legend=legend,
    )
    others = f"datum.condition_number > {kappas[0]}"
    full = line.mark_point(size=60, opacity=1).encode(shape=shape)
    hollow = line.mark_point(
        size=55, opacity=1, filled=False, fill="white", strokeWidth=1.8
    ).encode(shape=shape)
    layers = (line, full.transform_filter(f"!({others})"), hollow.transform_filter(others))
    return alt.layer(*layers).properties(width=PLOT_WIDTH, height=200)
