"""Both sides of Fig. 1."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import altair as alt

from paper.pruning_sweep import Sweep
from paper.repricing import BOUNDS, HERE, PAPER_H100, Prices, only_block
from paper.shared_run import SharedRun
from paper.table_3_pictures import BOUND_LOOKS
from qnewton.report import Picture
from qnewton.report.line_labels import with_labels
from qnewton.report.save import inline_data
from qnewton.report.style import (
    BLACK,
    BLUE,
    GRAY,
    PLOT_WIDTH,
    Look,
    solver_look,
    step_axis,
    themed,
)

_CROSS = "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z"
_ARROW_UP = "M-.4,1L.4,1L.4,0L1,0L0,-1L-1,0L-.4,0Z"

_LU_LOOKS = {HERE: Look("LU inversion", BLUE), PAPER_H100: Look("LU inversion", BLACK)}
_SHORT = {"determinant": "norm", "trace": "trace", "lanczos": "Lanczos"}

_PRICES_HEIGHT = 230
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
        *_points(rows, "indefinite_share", "A indefinite", shares, x_labels=True),
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
    title = "test accuracy" if field == "test_accuracy" else "A indefinite"
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
    text = mark.mark_text(align="left", baseline="middle", dx=4, dy=10).encode(
        y=_y("test_accuracy", "test accuracy"), x=alt.value(0), text="text:N"
    )
    return [rule, text]


def alternation_picture(shared: SharedRun, prices: Prices) -> Picture:
    """Draw both solvers' prices at every step, and below who is chosen."""
    rows: list[dict[str, Any]] = []
    for machine in _LU_LOOKS:
        rows += [
            _price(step.step, f"LU, {machine}", step.classical_seconds)
            for step in prices.of("paper", machine).steps
        ]
    for bound, look in BOUND_LOOKS.items():
        rows += [
            _price(step.step, look.label, step.quantum_seconds)
            for step in prices.of("paper", HERE, bound).steps
        ]
    chosen = [
        {
            "step": step.step,
            "row": f"{_SHORT[bound]}, {'here' if machine == HERE else 'H100'}",
            "chosen": solver_look(step.chosen).label,
        }
        for bound in BOUNDS
        for machine in (HERE, PAPER_H100)
        for step in prices.of("paper", machine, bound).steps
    ]
    chart = alt.vconcat(
        _prices_panel(rows, shared.newton.steps[-1].step), _chosen_panel(chosen), spacing=14
    ).resolve_scale(color="independent", shape="independent", x="independent")
    hardware = shared.newton.config.hardware
    assert hardware is not None
    block = only_block(shared.newton.steps[0])
    off = sum(row["drawn_s"] != row["modelled_seconds"] for row in rows)
    caption = (
        f"Modelled price of both solvers at every step of the Newton run of Table III "
        f"({shared.setup.workload}, N = {block.n:,}, λ = "
        f"{shared.newton.config.options['damping']:g}, β = {shared.newton.config.options['lr']:g}, "
        f"nothing pruned, seed {shared.newton.config.seed}, {shared.setup.name} run; quantum on "
        f"{hardware.name}{' (hypothetical)' if hardware.hypothetical else ''} by the paper's "
        "count, with κ from the paper's bounds or from Lanczos), and below the solver Q-Newton "
        f"chooses with each, by this machine's calibration (here) and by {PAPER_H100} (H100). The "
        "paper has the two alternate, neither consistently cheaper."
    )
    if off:
        caption += f" Arrows: {off} prices above 1e{_TOP_DECADE} s."
    return Picture(themed(chart), rows, caption)


def _price(step: int, label: str, seconds: float | None) -> dict[str, Any]:
    edge = 10.0**_TOP_DECADE
    drawn = edge if seconds is None or seconds > edge else seconds
    return {"step": step, "price": label, "modelled_seconds": seconds, "drawn_s": drawn}


def _prices_panel(rows: Sequence[dict[str, Any]], last: int) -> Any:
    least = math.floor(math.log10(min(row["drawn_s"] for row in rows)))
    lowest = min(-12, least)
    y = alt.Y(
        "drawn_s:Q",
        title="price of one solve (modelled s)",
        scale=alt.Scale(type="log", domain=[10.0**lowest, 10.0 ** (_TOP_DECADE + 1)], nice=False),
        axis=alt.Axis(
            values=[10.0**k for k in range(lowest, _TOP_DECADE + 1) if k % 3 == 0], format=".0e"
        ),
    )
    x = alt.X(
        "step:Q",
        title=None,
        scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False),
        axis=step_axis(last, labels=False),
    )
    layers = [_lu_layer(machine, rows, y) for machine in _LU_LOOKS]
    looks = list(BOUND_LOOKS.values())
    names = [look.label for look in looks]
    legend = alt.Legend(title="quantum solver, κ from", columns=3, symbolStrokeWidth=2)
    marks = alt.Chart(inline_data([row for row in rows if row["price"] in names])).encode(
        x=x,
        y=y,
        color=alt.Color(
            "price:N",
            scale=alt.Scale(domain=names, range=[look.color for look in looks]),
            legend=legend,
        ),
    )
    shape = alt.Shape(
        "price:N",
        scale=alt.Scale(domain=names, range=[look.shape for look in looks]),
        legend=legend,
    )
    within = "datum.drawn_s === datum.modelled_seconds"
    chart = alt.layer(
        *layers,
        marks.mark_point(size=45, opacity=1).encode(shape=shape).transform_filter(within),
        marks.mark_point(size=45, opacity=1, shape=_ARROW_UP).transform_filter(f"!({within})"),
    )
    decade = _PRICES_HEIGHT / (_TOP_DECADE + 1 - lowest)
    below_top = {
        machine: _TOP_DECADE + 1 - math.log10(_lu_row(machine, rows)["drawn_s"])
        for machine in _LU_LOOKS
    }
    ends = [(decade * k, ("LU inversion,", machine)) for machine, k in below_top.items()]
    return with_labels(chart, ends, PLOT_WIDTH, _PRICES_HEIGHT).properties(
        width=PLOT_WIDTH, height=_PRICES_HEIGHT
    )


def _lu_row(machine: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the price of LU inversion, which is the same at every step."""
    return next(row for row in rows if row["price"] == f"LU, {machine}")


def _lu_layer(machine: str, rows: Sequence[dict[str, Any]], y: alt.Y) -> Any:
    look = _LU_LOOKS[machine]
    mark = alt.Chart(inline_data([_lu_row(machine, rows)]))
    return mark.mark_rule(color=look.color, strokeWidth=2).encode(y=y)


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
            y=alt.Y("row:N", title=None, sort=order, axis=alt.Axis(ticks=False)),
            color=alt.Color(
                "chosen:N",
                scale=alt.Scale(
                    domain=[look.label for look in looks], range=[look.color for look in looks]
                ),
                legend=alt.Legend(title="Q-Newton chooses", columns=2, symbolStrokeWidth=0),
            ),
        )
        .properties(width=PLOT_WIDTH, height=18 * len(order))
    )
