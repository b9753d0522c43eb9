"""The pictures of Table III: steps against the learning rate, and κ by three estimates."""

import math
from typing import Any

import altair as alt

from paper.artifact import Texts
from paper.paper_rows import TABLE_3
from paper.repricing import (
    BOUNDS,
    PAPER_H100,
    break_even_condition,
    log_condition,
    machines,
    only_block,
)
from paper.shared_run import SharedRun
from paper.trials import reached
from qnewton.report import Picture, style
from qnewton.report.panels import (
    HOLLOW,
    LineEnd,
    Series,
    chart,
    level,
    log_axis,
    rows_of,
    with_labels,
)
from qnewton.report.style import PLOT_WIDTH, Look, themed

TEXTS = Texts("table-3")

_OPTIMIZERS = {
    "sgd": Look("SGD", style.BLACK, shape="circle"),
    "adam": Look("Adam", style.PURPLE, (6, 3), "triangle-up"),
}
BOUND_LOOKS = {
    "determinant": Look(BOUNDS["determinant"], style.VERMILLION, shape="circle"),
    "trace": Look(BOUNDS["trace"], style.ORANGE, (6, 3), "square"),
    "lanczos": Look(BOUNDS["lanczos"], style.GREEN, shape="triangle-up"),
}
_BOUNDS_HEIGHT = 250


def tuning_picture(shared: SharedRun) -> Picture:
    """Draw the steps each first-order optimizer takes at each learning rate, and Newton's."""
    newton = shared.newton
    tried = (
        (_OPTIMIZERS[name].label, rate, len(run.steps), reached(run, tuning.target))
        for name, tuning in shared.tunings.items()
        for rate, run in tuning.runs.items()
    )
    rows = rows_of(("optimizer", "learning_rate", "steps", "reached"), tried)
    lines = [
        ("Newton here", len(newton.steps), -8, {"color": style.GREEN, "strokeDash": [1, 0]}),
        ("paper's SGD", TABLE_3["sgd"].steps, -8, {"color": style.GRAY, "strokeDash": [2, 2]}),
        ("paper's Newton", TABLE_3["paper"].steps, 9, {"color": style.GRAY, "strokeDash": [6, 3]}),
    ]
    counts = [row["steps"] for row in rows] + [steps for _, steps, *_ in lines]
    rates = [row["learning_rate"] for row in rows]
    low, high = min(counts) / 1.5, max(counts) * 1.6
    ticks = [n for n in _leading(low, high, (1, 2, 5)) if low <= n <= high]
    y = log_axis(alt.Y, "steps", f"steps to {shared.goal} test accuracy", (low, high), ticks, "d")
    ends, ticks = (min(rates) / 1.6, max(rates) * 1.6), _leading(min(rates), max(rates), (1,))
    x = log_axis(alt.X, "learning_rate", "learning rate", ends, ticks, "~g")
    legend = {"title": None, "columns": 2, "symbolStrokeWidth": 2}
    series = Series("optimizer", list(_OPTIMIZERS.values()), legend)
    base = chart(rows).encode(x=x, y=y, color=series.color)
    marks = base.encode(shape=series.shape)
    rules = [
        level(y, "steps", steps, f"{label}: {steps:,}", dy, **look, strokeWidth=1.6)
        for label, steps, dy, look in lines
    ]
    both = alt.layer(
        *(alt.layer(*rule) for rule in rules),
        base.mark_line(strokeWidth=1.5).transform_filter("datum.reached"),
        marks.mark_point(size=60, opacity=1).transform_filter("datum.reached"),
        marks.mark_point(size=55, strokeWidth=1.8, **HOLLOW).transform_filter("!datum.reached"),
    ).properties(width=PLOT_WIDTH + 20, height=260)
    missed = not all(row["reached"] for row in rows)
    caption = TEXTS.caption("tuning", shared=shared, newton=newton, missed=missed)
    return Picture(themed(both), rows, caption)


def bounds_picture(shared: SharedRun) -> Picture:
    """Draw log10 κ by step, by each estimate, with the κ up to which quantum is priced lower."""
    newton, config = shared.newton, shared.newton.config
    rows: list[dict[str, Any]] = []
    for record in newton.steps:
        for bound, look in BOUND_LOOKS.items():
            log = log_condition(only_block(record), bound)
            decades = None if log is None else log / math.log(10)
            rows.append({"step": record.step, "estimate": look.label, "log10_condition": decades})
    block = only_block(newton.steps[0])
    quote = block.decision.quote("qsvt")
    assert quote is not None
    assert quote.quantum is not None
    epsilon, d = quote.quantum.epsilon, quote.quantum.sparsity
    assert epsilon is not None
    assert d is not None
    limits = {}
    for machine in machines(shared.calibration):
        seconds = machine.invert(block).seconds
        assert seconds is not None
        kappa = break_even_condition(seconds, d, shared.hardware, epsilon)
        limits[machine.name] = math.log10(kappa)
    top = 1.08 * max(row["log10_condition"] or 0.0 for row in rows)
    ticks = [k for k in (0, 1, 5, 10, 20, 50, 100, 150, 200, 300, 400) if k <= top]
    y = alt.Y(
        "log10_condition:Q",
        title="condition number κ, by estimate",
        # A root, since κ itself stays near 10 and its bounds run to hundreds of decades.
        scale=alt.Scale(type="sqrt", domain=[0, top], nice=False),
        axis=alt.Axis(values=ticks, labelExpr="'1e' + datum.value"),
    )
    axis = style.step_axis(newton.steps[-1].step)
    x = alt.X("step:Q", title="step", scale=alt.Scale(nice=False, padding=6), axis=axis)
    legend = {"title": "κ from", "columns": 3, "symbolStrokeWidth": 2}
    series = Series("estimate", list(BOUND_LOOKS.values()), legend)
    line = chart(rows).mark_line(strokeWidth=1.5).encode(x=x, y=y, color=series.color)
    points = line.mark_point(size=45, opacity=1).encode(shape=series.shape)
    rules = chart([{"log10_condition": at, "machine": name} for name, at in limits.items()])
    rules = rules.mark_rule(color="#333333", strokeDash=[5, 4], strokeWidth=1.2).encode(y=y)
    ends = [
        LineEnd(_BOUNDS_HEIGHT * (1 - math.sqrt(at) / math.sqrt(top)), ("break-even,", name))
        for name, at in limits.items()
    ]
    width = PLOT_WIDTH - 30
    both = with_labels((rules, line, points), ends, _BOUNDS_HEIGHT)
    said = {"shared": shared, "config": config, "block": block, "d": d, "h100": PAPER_H100}
    both = both.properties(width=width, height=_BOUNDS_HEIGHT)
    return Picture(themed(both), rows, TEXTS.caption("bounds", **said))


def _leading(low: float, high: float, leads: tuple[int, ...]) -> list[float]:
    """Return the numbers of some leading digits in the decades around a range."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{lead}e{k}") for k in decades for lead in leads]
