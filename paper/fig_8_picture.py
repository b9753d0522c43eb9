"""Accuracy above the condition number, both against λ."""

import statistics
from dataclasses import replace
from typing import Any

import altair as alt

from paper.damping_sweep import Sweep
from paper.panels import DARK, HOLLOW, Series, chart, crossed, level, log_axis, share_axis
from paper.trials import LARGEST_EXACT
from qnewton.report import Picture
from qnewton.report.style import BLUE, ORANGE, PLOT_WIDTH, Look, log_ticks, themed


def damping_picture(found: Sweep, paper_damping: float, paper_cut: float) -> Picture:
    """Draw test accuracy and κ of every run, with the paper's λ and factor beside them."""
    setup = found.setup
    labels = {
        warmup: f"after {warmup} SGD steps" if warmup else "Newton from the first step"
        for warmup in setup.warmups
    }
    rows = [
        {
            "series": labels[point.warmup],
            "damping": point.damping,
            "seed": point.seed,
            "diverged": point.trial.diverged,
            "panel": panel,
            "value": value,
        }
        for point in found.points
        for panel, value in (
            ("accuracy", point.trial.test_accuracy),
            ("first", point.first_condition),
            ("later", point.later_condition),
        )
        if value is not None
    ]
    means = _means(rows)
    shown, averaged = (
        {
            panel: chart([row for row in all_rows if row["panel"] == panel])
            for panel in ("accuracy", "first", "later")
        }
        for all_rows in (rows, means)
    )
    looks = (Look("", BLUE, shape="circle"), Look("", ORANGE, (6, 3), "square"))
    series = Series(
        "series",
        [replace(look, label=label) for label, look in zip(labels.values(), looks, strict=False)],
        {"title": None, "columns": 2, "symbolType": "stroke", "symbolSize": 500},
    )
    dash = replace(series, legend=None).dash
    low, high = setup.dampings[0] / 1.5, setup.dampings[-1] * 1.5
    ticks = (low, high), _decades(low, high), "~g"
    bare_x = log_axis(alt.X, "damping", None, *ticks, labels=False)
    x = log_axis(alt.X, "damping", "damping λ", *ticks, labels=True)

    y = share_axis(alt.Y, "value", "test accuracy", 5)
    accuracy = {"x": bare_x, "y": y, "color": series.color}
    upper = [
        averaged["accuracy"].mark_line().encode(**accuracy, strokeDash=dash),
        *crossed(shown["accuracy"].encode(**accuracy), size=45, opacity=1),
    ]

    top = 2 * max(row["value"] for row in rows if row["panel"] != "accuracy")
    y = log_axis(alt.Y, "value", "condition number κ", (0.8, top), _decades(0.8, 1e9), "~e")
    condition = {"x": x, "y": y, "color": series.color}
    least = setup.dampings[0]
    at_least = [m["value"] for m in means if (m["panel"], m["damping"]) == ("first", least)]
    text = f"1/{paper_cut:,.0f} of κ at λ = {least:g}"
    lower = [
        *level(y, "value", max(at_least) / paper_cut, text, 9, color=DARK, strokeDash=[6, 3]),
        averaged["first"].mark_line().encode(**condition, strokeDash=dash),
        shown["later"].mark_point(size=45, strokeWidth=1.6, **HOLLOW).encode(**condition),
        shown["first"].mark_point(size=40, opacity=1).encode(**condition),
    ]

    marker = chart([{"damping": paper_damping, "text": "paper's λ"}])
    rule = marker.mark_rule(color=DARK, strokeDash=[2, 3])
    name = marker.mark_text(align="left", baseline="middle", dx=4, dy=0).encode(
        x=x, y=alt.value(10), text="text:N"
    )
    both = alt.vconcat(
        alt.layer(rule.encode(x=bare_x), *upper).properties(width=PLOT_WIDTH, height=160),
        alt.layer(rule.encode(x=x), name, *lower).properties(width=PLOT_WIDTH, height=190),
        spacing=12,
    ).resolve_scale(x="shared", color="shared")
    method = "all eigenvalues" if found.n <= LARGEST_EXACT else "Lanczos"
    caption = (
        f"Measured, {setup.name} run: {setup.workload} (N = {found.n:,}), {setup.newton_steps} "
        f"Newton steps with β = {found.request.lr:g}, {len(setup.seeds)} seeds (points; lines are "
        f"means), at once or after SGD at {setup.first_order_lr:g}. Crosses: diverged. κ of "
        f"H + λI by {method}: full marks at the first Newton step, where every λ meets the same H; "
        "open marks, the median of later steps. The paper's Fig. 8 is on MNIST and prints no "
        "numbers; its text says that λ around 1 cuts κ by 10³."
    )
    return Picture(themed(both), rows, caption)


def _means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds: accuracies arithmetically, κ geometrically."""
    groups: dict[tuple[str, float, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["series"], row["damping"], row["panel"]), []).append(row["value"])
    means = {"accuracy": statistics.fmean}
    return [
        {
            "series": series,
            "damping": damping,
            "panel": panel,
            "value": means.get(panel, statistics.geometric_mean)(values),
        }
        for (series, damping, panel), values in groups.items()
    ]


def _decades(low: float, high: float) -> list[float]:
    return [tick for tick in log_ticks(low, high) if f"{tick:e}".startswith("1.0")]
