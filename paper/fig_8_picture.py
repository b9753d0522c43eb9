"""Accuracy above the condition number, both against λ."""

import statistics
from collections.abc import Sequence
from typing import Any

import altair as alt

from paper.damping_sweep import LARGEST_EXACT, Point, Setup
from qnewton.report import Picture
from qnewton.report.save import inline_data
from qnewton.report.style import BLUE, ORANGE, PLOT_WIDTH, Look, log_ticks, themed

_CROSS = "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z"
_LOOKS = (Look("start", BLUE, shape="circle"), Look("later", ORANGE, (6, 3), "square"))


def damping_picture(
    points: Sequence[Point], setup: Setup, paper_damping: float, paper_cut: float
) -> Picture:
    """Draw test accuracy and κ of every run, with the paper's λ and factor beside them."""
    labels = {
        warmup: "Newton from the first step" if warmup == 0 else f"after {warmup} SGD steps"
        for warmup in setup.warmups
    }
    rows = []
    for point in points:
        run = {
            "series": labels[point.warmup],
            "damping": point.damping,
            "seed": point.seed,
            "diverged": point.trial.diverged,
        }
        rows += [
            {**run, "panel": panel, "value": value}
            for panel, value in (
                ("accuracy", point.trial.test_accuracy),
                ("first", point.first_condition),
                ("later", point.later_condition),
            )
            if value is not None
        ]
    means = _means(rows)
    looks = _LOOKS[: len(labels)]
    color = alt.Color(
        "series:N",
        scale=alt.Scale(domain=list(labels.values()), range=[look.color for look in looks]),
        legend=alt.Legend(title=None, columns=2, symbolType="stroke", symbolSize=500),
    )
    dash = alt.StrokeDash(
        "series:N",
        scale=alt.Scale(
            domain=list(labels.values()), range=[list(look.dash) or [1, 0] for look in looks]
        ),
        legend=None,
    )
    x, bare_x = _damping_axis(setup, labels=True), _damping_axis(setup, labels=False)
    accuracy = _accuracy_panel(rows, means, bare_x, color, dash)
    condition = _condition_panel(rows, means, x, color, dash, setup, paper_cut)
    marker = alt.Chart(inline_data([{"damping": paper_damping, "text": "paper's λ"}]))
    rule = marker.mark_rule(color="#444444", strokeDash=[2, 3])
    name = marker.mark_text(align="left", baseline="middle", dx=4, dy=0).encode(
        x=x, y=alt.value(10), text="text:N"
    )
    chart = alt.vconcat(
        alt.layer(rule.encode(x=bare_x), *accuracy).properties(width=PLOT_WIDTH, height=160),
        alt.layer(rule.encode(x=x), name, *condition).properties(width=PLOT_WIDTH, height=190),
        spacing=12,
    ).resolve_scale(x="shared", color="shared")
    request = points[0].trial.request
    n = points[0].trial.records[-1].parameters
    method = "all eigenvalues" if n <= LARGEST_EXACT else "Lanczos"
    caption = (
        f"Measured, {setup.name} run: {setup.workload} (N = "
        f"{n:,}), {setup.newton_steps} Newton steps with β = "
        f"{request.lr:g}, {len(setup.seeds)} seeds (points; lines are means), at once or after SGD "
        f"at {setup.first_order_lr:g}. Crosses: diverged. κ of H + λI by {method}: full marks at "
        "the first Newton step, where every λ meets the same H; open marks, the median of later "
        "steps. The paper's Fig. 8 is on MNIST and prints no numbers; its text says that λ around "
        "1 cuts κ by 10³."
    )
    return Picture(themed(chart), rows, caption)


def _damping_axis(setup: Setup, *, labels: bool) -> alt.X:
    low, high = setup.dampings[0] / 1.5, setup.dampings[-1] * 1.5
    return alt.X(
        "damping:Q",
        title="damping λ" if labels else None,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(
            values=[tick for tick in log_ticks(low, high) if _is_decade(tick)],
            format="~g",
            labels=labels,
        ),
    )


def _means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds: accuracies arithmetically, κ geometrically."""
    groups: dict[tuple[str, float, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["series"], row["damping"], row["panel"]), []).append(row["value"])
    return [
        {
            "series": series,
            "damping": damping,
            "panel": panel,
            "value": (
                statistics.fmean(values)
                if panel == "accuracy"
                else statistics.geometric_mean(values)
            ),
        }
        for (series, damping, panel), values in groups.items()
    ]


def _accuracy_panel(
    rows: Sequence[dict[str, Any]],
    means: Sequence[dict[str, Any]],
    x: alt.X,
    color: alt.Color,
    dash: alt.StrokeDash,
) -> list[Any]:
    y = alt.Y(
        "value:Q",
        title="test accuracy",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="~%", tickCount=5),
    )
    line = _chart(means, "accuracy").mark_line().encode(x=x, y=y, color=color, strokeDash=dash)
    points = _chart(rows, "accuracy").encode(x=x, y=y, color=color)
    return [
        line,
        points.mark_point(size=45, opacity=1).transform_filter("!datum.diverged"),
        points.mark_point(size=45, opacity=1, shape=_CROSS).transform_filter("datum.diverged"),
    ]


def _condition_panel(
    rows: Sequence[dict[str, Any]],
    means: Sequence[dict[str, Any]],
    x: alt.X,
    color: alt.Color,
    dash: alt.StrokeDash,
    setup: Setup,
    paper_cut: float,
) -> list[Any]:
    kappas = [row["value"] for row in rows if row["panel"] in ("first", "later")]
    top = max(kappas) * 2
    y = alt.Y(
        "value:Q",
        title="condition number κ",
        scale=alt.Scale(type="log", domain=[0.8, top], nice=False),
        axis=alt.Axis(values=[t for t in log_ticks(0.8, 1e9) if _is_decade(t)], format="~e"),
    )
    line = _chart(means, "first").mark_line().encode(x=x, y=y, color=color, strokeDash=dash)
    first = _chart(rows, "first").mark_point(size=40, opacity=1).encode(x=x, y=y, color=color)
    later = (
        _chart(rows, "later")
        .mark_point(size=45, opacity=1, filled=False, fill="white", strokeWidth=1.6)
        .encode(x=x, y=y, color=color)
    )
    least = [
        mean["value"]
        for mean in means
        if mean["panel"] == "first" and mean["damping"] == setup.dampings[0]
    ]
    level = {
        "value": max(least) / paper_cut,
        "text": f"1/{paper_cut:,.0f} of κ at λ = {setup.dampings[0]:g}",
    }
    mark = alt.Chart(inline_data([level]))
    rule = mark.mark_rule(color="#444444", strokeDash=[6, 3]).encode(y=y)
    text = mark.mark_text(align="left", baseline="middle", dx=4, dy=9).encode(
        y=y, x=alt.value(0), text="text:N"
    )
    return [rule, text, line, later, first]


def _chart(rows: Sequence[dict[str, Any]], panel: str) -> alt.Chart:
    return alt.Chart(inline_data([row for row in rows if row["panel"] == panel]))


def _is_decade(tick: float) -> bool:
    return f"{tick:e}".startswith("1.0")
