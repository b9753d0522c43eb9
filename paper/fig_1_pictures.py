"""Both sides of Fig. 1."""

import math
import statistics
from typing import Any

import altair as alt

from paper.artifact import Texts
from paper.pruning_sweep import Sweep
from paper.repricing import BOUNDS, HERE, MACHINES, PAPER_H100, Prices, only_block
from paper.shared_run import SharedRun
from paper.table_3_pictures import BOUND_LOOKS
from qnewton.report import Picture, panels
from qnewton.report.panels import DARK, Rows, Series, chart, log_axis, rows_of, share_axis
from qnewton.report.style import BLACK, BLUE, GRAY, PLOT_WIDTH, solver_look, step_axis, themed

PAPER_THRESHOLD = 0.4
"""Kept share below which the paper sees accuracy decline (caption of Fig. 1, V-C)."""

NOTICEABLE = 0.01
"""Accuracy lost from which a decline counts as noticeable."""

TEXTS = Texts("fig-1", threshold=PAPER_THRESHOLD, noticeable=NOTICEABLE, h100=PAPER_H100)

_ARROW_UP = "M-.4,1L.4,1L.4,0L1,0L0,-1L-1,0L-.4,0Z"
_LU_COLORS = {HERE: BLUE, PAPER_H100: BLACK}
_SHORT = {"determinant": "norm", "trace": "trace", "lanczos": "Lanczos"}
_TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

_PRICES_HEIGHT = 230
_TOP_DECADE = 15
"""Prices above 10 to this many seconds are drawn at the edge."""


def sparsity_picture(swept: Sweep) -> Picture:
    """Draw accuracy, and how often A was not positive definite, against the kept share."""
    keys = ("kept_share", "seed", "test_accuracy", "diverged", "indefinite_share")
    runs = []
    for run in swept.levels:
        t = run.trial
        head = (run.share, run.seed, t.test_accuracy, t.diverged)
        share = t.indefinite_steps / t.newton_steps
        runs.append((*head, share, t.newton_steps, t.lowest_kept_mass))
    rows = rows_of((*keys, "steps", "lowest_kept_mass"), runs)
    shares = sorted({row["kept_share"] for row in rows})
    means: list[dict[str, float]] = []
    for share in shares:
        mine = [row for row in rows if row["kept_share"] == share]
        keys = ("test_accuracy", "indefinite_share")
        averages = {key: statistics.fmean(row[key] for row in mine) for key in keys}
        means.append({"kept_share": share, **averages})
    low, high = shares[0] / 1.3, 1.2
    shown = (low, high), [tick for tick in _TICKS if low <= tick <= high], "~%"
    bare = log_axis(alt.X, "kept_share", None, *shown, labels=False)
    labelled = log_axis(alt.X, "kept_share", "kept entries of a row, d/N", *shown, labels=True)

    def curve(x: alt.X, y: alt.Y) -> list[Any]:
        line = chart(means).mark_line(color=BLUE, strokeWidth=1.6).encode(x=x, y=y)
        return [line, *panels.crossed(chart(rows).encode(x=x, y=y), color=BLUE, size=45, opacity=1)]

    text = ["paper: no decline", f"down to about {100 * PAPER_THRESHOLD:g}%"]
    paper = chart([{"kept_share": PAPER_THRESHOLD, "text": text}])
    rule = paper.mark_rule(color=DARK, strokeDash=[6, 3])
    name = paper.mark_text(align="right", baseline="middle", dx=-5, lineHeight=14)
    unpruned = statistics.fmean(run.trial.test_accuracy for run in swept.unpruned)
    y = share_axis(alt.Y, "test_accuracy", "test accuracy", 5)
    upper = [
        rule.encode(x=bare),
        name.encode(x=bare, y=alt.value(110), text="text:N"),
        *panels.level(y, "test_accuracy", unpruned, "unpruned", 10, color=GRAY, strokeDash=[2, 2]),
        *curve(bare, y),
    ]
    y = share_axis(alt.Y, "indefinite_share", "A indefinite", 3)
    lower = [rule.encode(x=labelled), *curve(labelled, y)]
    both = alt.vconcat(
        alt.layer(*upper).properties(width=PLOT_WIDTH, height=180),
        alt.layer(*lower).properties(width=PLOT_WIDTH, height=80),
        spacing=12,
    ).resolve_scale(x="shared")
    first, seeds = swept.levels[0].trial.request, len({row["seed"] for row in rows})
    caption = TEXTS.caption("left", swept=swept, first=first, seeds=seeds)
    return Picture(themed(both), rows, caption)


def alternation_picture(shared: SharedRun, prices: Prices) -> Picture:
    """Draw both solvers' prices at every step, and below who is chosen."""
    rows = [
        _price(step.step, f"LU, {machine}", step.classical_seconds)
        for machine in MACHINES
        for step in prices.of("paper", machine).steps
    ]
    rows += [
        _price(step.step, look.label, step.quantum_seconds)
        for bound, look in BOUND_LOOKS.items()
        for step in prices.of("paper", HERE, bound).steps
    ]
    choices = (
        (step.step, f"{_SHORT[bound]}, {where}", solver_look(step.chosen).label)
        for bound in BOUNDS
        for machine, where in ((HERE, "here"), (PAPER_H100, "H100"))
        for step in prices.of("paper", machine, bound).steps
    )
    chosen = rows_of(("step", "row", "chosen"), choices)
    both = alt.vconcat(
        _prices_panel(rows, shared.newton.steps[-1].step), _chosen_panel(chosen), spacing=14
    ).resolve_scale(color="independent", shape="independent", x="independent")
    off = sum(row["drawn_s"] != row["modelled_seconds"] for row in rows)
    said = {"n": only_block(shared.newton.steps[0]).n, "off": off, "top": _TOP_DECADE}
    caption = TEXTS.caption("right", shared=shared, config=shared.newton.config, **said)
    return Picture(themed(both), rows, caption)


def _price(step: int, label: str, seconds: float | None) -> dict[str, Any]:
    edge = 10.0**_TOP_DECADE
    drawn = edge if seconds is None or seconds > edge else seconds
    return {"step": step, "price": label, "modelled_seconds": seconds, "drawn_s": drawn}


def _prices_panel(rows: Rows, last: int) -> Any:
    lowest = min(-12, math.floor(math.log10(min(row["drawn_s"] for row in rows))))
    top = _TOP_DECADE + 1
    ends, ticks = (10.0**lowest, 10.0**top), [10.0**k for k in range(lowest, top) if k % 3 == 0]
    y = log_axis(alt.Y, "drawn_s", "price of one solve (modelled s)", ends, ticks, ".0e")
    scale, axis = alt.Scale(domain=[-0.5, last + 0.5], nice=False), step_axis(last, labels=False)
    x = alt.X("step:Q", title=None, scale=scale, axis=axis)
    # The price of LU inversion is the same at every step.
    inversions = {
        machine: next(row for row in rows if row["price"] == f"LU, {machine}")
        for machine in MACHINES
    }
    legend = {"title": "quantum solver, κ from", "columns": 3, "symbolStrokeWidth": 2}
    series = Series("price", list(BOUND_LOOKS.values()), legend)
    names = [look.label for look in series.looks]
    marks = chart([row for row in rows if row["price"] in names])
    marks = marks.encode(x=x, y=y, color=series.color)
    within = "datum.drawn_s === datum.modelled_seconds"
    rules = (
        chart([row]).mark_rule(color=_LU_COLORS[machine], strokeWidth=2).encode(y=y)
        for machine, row in inversions.items()
    )
    parts = (
        *rules,
        marks.mark_point(size=45, opacity=1).encode(shape=series.shape).transform_filter(within),
        marks.mark_point(size=45, opacity=1, shape=_ARROW_UP).transform_filter(f"!({within})"),
    )
    decade = _PRICES_HEIGHT / (top - lowest)
    ends = [
        panels.LineEnd(decade * (top - math.log10(row["drawn_s"])), ("LU inversion,", machine))
        for machine, row in inversions.items()
    ]
    labelled = panels.with_labels(parts, ends, _PRICES_HEIGHT)
    return labelled.properties(width=PLOT_WIDTH, height=_PRICES_HEIGHT)


def _chosen_panel(chosen: Rows) -> Any:
    steps = sorted({row["step"] for row in chosen})
    order = list(dict.fromkeys(row["row"] for row in chosen))
    every = max(1, len(steps) // 10)
    shown = alt.Axis(labelAngle=0, values=[s for s in steps if s % every == 0], ticks=False)
    legend = {"title": "Q-Newton chooses", "columns": 2, "symbolStrokeWidth": 0}
    looks = [solver_look("lu_inverse"), solver_look("qsvt")]
    cells = (
        chart(chosen)
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("step:O", title="step", axis=shown),
            y=alt.Y("row:N", title=None, sort=order, axis=alt.Axis(ticks=False)),
            color=Series("chosen", looks, legend).color,
        )
    )
    return cells.properties(width=PLOT_WIDTH, height=18 * len(order))
