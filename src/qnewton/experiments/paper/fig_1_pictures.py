"""Both sides of Fig. 1."""

import statistics
from collections.abc import Sequence
from typing import Any

import altair as alt

from qnewton.experiments.paper.pruning_sweep import Sweep
from qnewton.experiments.paper.repricing import BOUNDS, HERE, PAPER_H100, Prices
from qnewton.experiments.paper.shared_run import SharedRun
from qnewton.experiments.paper.table_3_pictures import BOUND_LOOKS
from qnewton.report import Picture
from qnewton.report.save import inline_data
from qnewton.report.style import (
    BLACK,
    BLUE,
    GRAY,
    PLOT_WIDTH,
    VERMILLION,
    Look,
    solver_look,
    step_axis,
    themed,
)

_CROSS = "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z"
_ARROW_UP = "M-.4,1L.4,1L.4,0L1,0L0,-1L-1,0L-.4,0Z"

_TOP_DECADE = 15
"""Prices above 10 to this many seconds are drawn at the edge."""


def sparsity_picture(swept: Sweep, threshold: float) -> Picture:
    """Draw accuracy, and how often A was not positive definite, against the kept share."""
    rows: list[dict[str, Any]] = [
        {
            "kept_share": level.share,
            "seed": level.seed,
            "test_accuracy": level.trial.test_accuracy,
            "diverged": level.trial.diverged,
            "indefinite_share": level.trial.indefinite_steps / level.trial.newton_steps,
            "steps": level.trial.newton_steps,
            "lowest_kept_mass": level.trial.lowest_kept_mass,
        }
        for level in swept.levels
    ]
    shares = sorted({row["kept_share"] for row in rows})
    means = [
        {
            "kept_share": share,
            **{
                key: statistics.fmean(row[key] for row in rows if row["kept_share"] == share)
                for key in ("test_accuracy", "indefinite_share")
            },
        }
        for share in shares
    ]
    unpruned = statistics.fmean(level.trial.test_accuracy for level in swept.unpruned)
    upper = alt.layer(
        *_paper_line(threshold, shares, labels=True),
        *_level_line(unpruned),
        _line(means, "test_accuracy", shares, x_labels=False),
        *_points(rows, "test_accuracy", "test accuracy", shares, x_labels=False),
    ).properties(width=PLOT_WIDTH, height=180)
    lower = alt.layer(
        *_paper_line(threshold, shares, labels=False),
        _line(means, "indefinite_share", shares, x_labels=True),
        *_points(rows, "indefinite_share", "steps, A indefinite", shares, x_labels=True),
    ).properties(width=PLOT_WIDTH, height=80)
    chart = alt.vconcat(upper, lower, spacing=12).resolve_scale(x="shared")
    first = swept.levels[0].trial
    seeds = len({row["seed"] for row in rows})
    caption = (
        f"Measured, {swept.setup.name} run: test accuracy on {swept.setup.workload} (N = "
        f"{swept.levels[0].n:,}) after {swept.setup.steps} Newton steps with λ = "
        f"{first.request.damping:g}, β = {first.request.lr:g}, {seeds} seeds (points; the line is "
        "their mean), when every row of H + λI keeps at most d entries, by the share d/N; below, "
        "the share of steps at which the pruned matrix was not positive definite. Crosses: the "
        "run diverged. The paper's sweep is on MNIST and prints no numbers but the threshold."
    )
    return Picture(themed(chart), rows, caption)


def _x(shares: Sequence[float], labels: bool) -> alt.X:
    wanted = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    low, high = shares[0] / 1.3, 1.2
    return alt.X(
        "kept_share:Q",
        title="kept entries of a row, d/N" if labels else None,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(
            values=[tick for tick in wanted if low <= tick <= high], format="~%", labels=labels
        ),
    )


def _y(field: str, title: str) -> alt.Y:
    return alt.Y(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="~%", tickCount=5 if field == "test_accuracy" else 3),
    )


def _line(
    means: Sequence[dict[str, Any]], field: str, shares: Sequence[float], *, x_labels: bool
) -> Any:
    title = "test accuracy" if field == "test_accuracy" else "steps, A indefinite"
    return (
        alt.Chart(inline_data(means))
        .mark_line(color=BLUE, strokeWidth=1.6)
        .encode(x=_x(shares, x_labels), y=_y(field, title))
    )


def _points(
    rows: Sequence[dict[str, Any]],
    field: str,
    title: str,
    shares: Sequence[float],
    *,
    x_labels: bool,
) -> list[Any]:
    base = alt.Chart(inline_data(rows)).encode(x=_x(shares, x_labels), y=_y(field, title))
    return [
        base.mark_point(color=BLUE, size=45, opacity=1).transform_filter("!datum.diverged"),
        base.mark_point(color=BLUE, size=45, opacity=1, shape=_CROSS).transform_filter(
            "datum.diverged"
        ),
    ]


def _paper_line(threshold: float, shares: Sequence[float], *, labels: bool) -> list[Any]:
    mark = alt.Chart(
        inline_data(
            [
                {
                    "kept_share": threshold,
                    "text": ["paper: no decline", f"down to about {100 * threshold:g}%"],
                }
            ]
        )
    )
    rule = mark.mark_rule(color="#444444", strokeDash=[6, 3]).encode(x=_x(shares, not labels))
    if not labels:
        return [rule]
    text = mark.mark_text(align="right", baseline="middle", dx=-5, lineHeight=14).encode(
        x=_x(shares, False), y=alt.value(110), text="text:N"
    )
    return [rule, text]


def _level_line(unpruned: float) -> list[Any]:
    mark = alt.Chart(inline_data([{"test_accuracy": unpruned, "text": "unpruned"}]))
    rule = mark.mark_rule(color=GRAY, strokeDash=[2, 2]).encode(
        y=_y("test_accuracy", "test accuracy")
    )
    text = mark.mark_text(align="left", baseline="middle", dx=4, dy=-8).encode(
        y=_y("test_accuracy", "test accuracy"), x=alt.value(0), text="text:N"
    )
    return [rule, text]


def alternation_picture(shared: SharedRun, prices: Prices) -> Picture:
    """Draw both solvers' prices at every step, and below who is chosen."""
    labels = {bound: f"quantum, κ: {BOUND_LOOKS[bound].label}" for bound in BOUNDS}
    lu = {
        HERE: Look(f"LU inversion, {HERE}", BLUE),
        PAPER_H100: Look(f"LU inversion, {PAPER_H100}", BLACK, (6, 3)),
    }
    rows: list[dict[str, Any]] = []
    for machine, look in lu.items():
        rows += [
            _price(step.step, look.label, step.classical_seconds)
            for step in prices.of("paper", machine).steps
        ]
    for bound, label in labels.items():
        rows += [
            _price(step.step, label, step.quantum_seconds)
            for step in prices.of("paper", HERE, bound).steps
        ]
    chosen = [
        {
            "step": step.step,
            "row": f"{BOUND_LOOKS[bound].label}, {'here' if machine == HERE else 'H100'}",
            "chosen": solver_look(step.chosen).label,
        }
        for bound in BOUNDS
        for machine in (HERE, PAPER_H100)
        for step in prices.of("paper", machine, bound).steps
    ]
    looks = [*lu.values()] + [
        Look(labels[bound], look.color, shape=look.shape) for bound, look in BOUND_LOOKS.items()
    ]
    last = shared.newton.steps[-1].step
    upper = _prices_panel(rows, looks, len(lu), last)
    lower = _chosen_panel(chosen)
    chart = alt.vconcat(upper, lower, spacing=10).resolve_scale(
        color="independent", x="independent"
    )
    hardware = shared.newton.config.hardware
    assert hardware is not None
    (block,) = shared.newton.steps[0].blocks
    off = sum(row["drawn_s"] != row["modelled_seconds"] for row in rows)
    caption = (
        f"Modelled price of both solvers at every step of the Newton run of Table III "
        f"({shared.setup.workload}, N = {block.n:,}, λ = "
        f"{shared.newton.config.options['damping']:g}, nothing pruned, seed "
        f"{shared.newton.config.seed}, {shared.setup.name} run; quantum on {hardware.name}"
        f"{' (hypothetical)' if hardware.hypothetical else ''} by the paper's count, with κ from "
        "the paper's bounds or from Lanczos), and the solver Q-Newton chooses with each. The paper "
        "has the two alternate, neither consistently cheaper."
    )
    if off:
        caption += f" Arrows: {off} prices above 1e{_TOP_DECADE} s."
    return Picture(themed(chart), rows, caption)


def _price(step: int, label: str, seconds: float | None) -> dict[str, Any]:
    edge = 10.0**_TOP_DECADE
    drawn = edge if seconds is None or seconds > edge else seconds
    return {"step": step, "price": label, "modelled_seconds": seconds, "drawn_s": drawn}


def _prices_panel(
    rows: Sequence[dict[str, Any]], looks: Sequence[Look], n_lines: int, last: int
) -> Any:
    names = [look.label for look in looks]
    least = min(row["drawn_s"] for row in rows)
    low = 10.0 ** min(-12, round(_log10(least)) - 1)
    legend = alt.Legend(title=None, columns=1, symbolStrokeWidth=2, rowPadding=1)
    base = alt.Chart(inline_data(rows)).encode(
        x=alt.X(
            "step:Q",
            title=None,
            scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False),
            axis=step_axis(last, labels=False),
        ),
        y=alt.Y(
            "drawn_s:Q",
            title="price of one solve (modelled s)",
            scale=alt.Scale(type="log", domain=[low, 10.0 ** (_TOP_DECADE + 1)], nice=False),
            axis=alt.Axis(values=[10.0**k for k in range(-12, _TOP_DECADE + 1, 3)], format=".0e"),
        ),
        color=alt.Color(
            "price:N",
            scale=alt.Scale(domain=names, range=[look.color for look in looks]),
            legend=legend,
        ),
    )
    lines = base.transform_filter(_one_of(names[:n_lines]))
    marks = base.transform_filter(_one_of(names[n_lines:]))
    shape = alt.Shape(
        "price:N",
        scale=alt.Scale(
            domain=names, range=["stroke"] * n_lines + [x.shape for x in looks[n_lines:]]
        ),
        legend=legend,
    )
    within = "datum.drawn_s === datum.modelled_seconds"
    return alt.layer(
        lines.mark_line().encode(
            strokeDash=alt.StrokeDash(
                "price:N",
                scale=alt.Scale(
                    domain=names[:n_lines], range=[list(x.dash) or [1, 0] for x in looks[:n_lines]]
                ),
                legend=None,
            )
        ),
        marks.mark_point(size=45, opacity=1).encode(shape=shape).transform_filter(within),
        marks.mark_point(size=45, opacity=1, shape=_ARROW_UP).transform_filter(f"!({within})"),
    ).properties(width=PLOT_WIDTH - 20, height=230)


def _chosen_panel(chosen: Sequence[dict[str, Any]]) -> Any:
    steps = sorted({row["step"] for row in chosen})
    order = list(dict.fromkeys(row["row"] for row in chosen))
    looks = [solver_look("lu_inverse"), solver_look("qsvt")]
    every = max(1, len(steps) // 10)
    return (
        alt.Chart(inline_data(chosen))
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X(
                "step:O",
                title="step",
                axis=alt.Axis(
                    labelAngle=0, values=[s for s in steps if s % every == 0], ticks=False
                ),
            ),
            y=alt.Y("row:N", title=None, sort=order, axis=alt.Axis(labelLimit=190, ticks=False)),
            color=alt.Color(
                "chosen:N",
                scale=alt.Scale(domain=[look.label for look in looks], range=[BLUE, VERMILLION]),
                legend=alt.Legend(title="Q-Newton chooses", columns=2, symbolStrokeWidth=0),
            ),
        )
        .properties(width=PLOT_WIDTH - 20, height=18 * len(order))
    )


def _one_of(names: Sequence[str]) -> alt.FieldOneOfPredicate:
    return alt.FieldOneOfPredicate(field="price", oneOf=list(names))


def _log10(value: float) -> float:
    import math

    return math.log10(value)
