"""The pictures of Table III: steps against the learning rate, and κ by three estimates."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from paper.repricing import (
    BOUNDS,
    PAPER_H100,
    Calibrated,
    PaperH100,
    break_even_condition,
    log_condition,
    only_block,
)
from paper.shared_run import SharedRun, reached
from paper.table_3_rows import PAPER_ROWS
from qnewton.report import Picture
from qnewton.report.line_labels import with_labels
from qnewton.report.save import inline_data
from qnewton.report.style import (
    BLACK,
    GRAY,
    GREEN,
    ORANGE,
    PLOT_WIDTH,
    PURPLE,
    VERMILLION,
    Look,
    step_axis,
    themed,
)

_OPTIMIZERS = {
    "sgd": Look("SGD", BLACK, shape="circle"),
    "adam": Look("Adam", PURPLE, (6, 3), "triangle-up"),
}
BOUND_LOOKS = {
    "determinant": Look(BOUNDS["determinant"], VERMILLION, shape="circle"),
    "trace": Look(BOUNDS["trace"], ORANGE, (6, 3), "square"),
    "lanczos": Look(BOUNDS["lanczos"], GREEN, shape="triangle-up"),
}


_BOUNDS_HEIGHT = 250


def tuning_picture(shared: SharedRun) -> Picture:
    """Draw the steps each first-order optimizer takes at each learning rate, and Newton's."""
    newton = shared.newton
    rows = [
        {
            "optimizer": _OPTIMIZERS[name].label,
            "learning_rate": rate,
            "steps": len(run.steps),
            "reached": reached(run, tuning.target),
        }
        for name, tuning in shared.tunings.items()
        for rate, run in tuning.runs.items()
    ]
    lines = [
        (f"Newton here: {len(newton.steps):,}", len(newton.steps), GREEN, [1, 0], -8),
        (f"paper's SGD: {PAPER_ROWS['sgd'].steps:,}", PAPER_ROWS["sgd"].steps, GRAY, [2, 2], -8),
        (
            f"paper's Newton: {PAPER_ROWS['q-newton'].steps:,}",
            PAPER_ROWS["q-newton"].steps,
            GRAY,
            [6, 3],
            9,
        ),
    ]
    counts = [row["steps"] for row in rows] + [line[1] for line in lines]
    low, high = min(counts) / 1.5, max(counts) * 1.6
    looks = list(_OPTIMIZERS.values())
    labels = [look.label for look in looks]
    legend = alt.Legend(title=None, columns=2, symbolStrokeWidth=2)
    y = alt.Y(
        "steps:Q",
        title=f"steps to {100 * shared.setup.target:g}% test accuracy",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=_one_two_five(low, high), format="d"),
    )
    rates = sorted({row["learning_rate"] for row in rows})
    base = alt.Chart(inline_data(rows)).encode(
        x=alt.X(
            "learning_rate:Q",
            title="learning rate",
            scale=alt.Scale(type="log", domain=[rates[0] / 1.6, rates[-1] * 1.6], nice=False),
            axis=alt.Axis(values=_decades(rates[0], rates[-1]), format="~g"),
        ),
        y=y,
        color=alt.Color(
            "optimizer:N",
            scale=alt.Scale(domain=labels, range=[look.color for look in looks]),
            legend=legend,
        ),
    )
    shape = alt.Shape(
        "optimizer:N",
        scale=alt.Scale(domain=labels, range=[look.shape for look in looks]),
        legend=legend,
    )
    layers: list[Any] = [
        _horizontal(label, steps, color, dash, offset, y)
        for label, steps, color, dash, offset in lines
    ]
    layers += [
        base.mark_line(strokeWidth=1.5).transform_filter("datum.reached"),
        base.mark_point(size=60, opacity=1).encode(shape=shape).transform_filter("datum.reached"),
        base.mark_point(size=55, opacity=1, filled=False, fill="white", strokeWidth=1.8)
        .encode(shape=shape)
        .transform_filter("!datum.reached"),
    ]
    chart = alt.layer(*layers).properties(width=PLOT_WIDTH + 20, height=260)
    options = newton.config.options
    missed = sum(not row["reached"] for row in rows)
    caption = (
        f"Measured: steps to {100 * shared.setup.target:g}% test accuracy on "
        f"{shared.setup.workload} (seed {newton.config.seed}, {shared.setup.name} run) by the "
        f"learning rate of SGD and Adam; the line is Newton's, N = {newton.steps[0].parameters:,}, "
        f"λ = {options['damping']:g}, β = {options['lr']:g}, not tuned. Gray: the paper's step "
        "counts, whose learning rates it does not state."
    )
    if missed:
        caption += " Open marks: not reached within the steps shown."
    return Picture(themed(chart), rows, caption)


def bounds_picture(shared: SharedRun) -> Picture:
    """Draw log10 κ by step, by each estimate, with the κ up to which quantum is priced lower."""
    newton = shared.newton
    assert newton.config.calibration is not None
    assert newton.config.hardware is not None
    rows = []
    for record in newton.steps:
        block = only_block(record)
        for bound, look in BOUND_LOOKS.items():
            log = log_condition(block, bound)
            decades = None if log is None else log / math.log(10)
            rows.append({"step": record.step, "estimate": look.label, "log10_condition": decades})
    block = only_block(newton.steps[0])
    quote = block.decision.quote("qsvt")
    assert quote is not None
    assert quote.epsilon is not None
    assert quote.sparsity is not None
    limits = []
    for machine in (Calibrated(newton.config.calibration), PaperH100()):
        seconds = machine.invert(block).seconds
        assert seconds is not None
        kappa = break_even_condition(seconds, quote.sparsity, newton.config.hardware, quote.epsilon)
        limits.append((machine.name, math.log10(kappa)))
    looks = list(BOUND_LOOKS.values())
    labels = [look.label for look in looks]
    top = max(row["log10_condition"] or 0.0 for row in rows)
    y = alt.Y(
        "log10_condition:Q",
        title="condition number κ, by estimate",
        # A root, since κ itself stays near 10 and its bounds run to hundreds of decades.
        scale=alt.Scale(type="sqrt", domain=[0, top * 1.08], nice=False),
        axis=alt.Axis(
            values=[k for k in (0, 1, 5, 10, 20, 50, 100, 150, 200, 300, 400) if k <= top * 1.08],
            labelExpr="'1e' + datum.value",
        ),
    )
    legend = alt.Legend(title="κ from", columns=3, symbolStrokeWidth=2)
    line = (
        alt.Chart(inline_data(rows))
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X(
                "step:Q",
                title="step",
                scale=alt.Scale(nice=False, padding=6),
                axis=step_axis(newton.steps[-1].step),
            ),
            y=y,
            color=alt.Color(
                "estimate:N",
                scale=alt.Scale(domain=labels, range=[look.color for look in looks]),
                legend=legend,
            ),
        )
    )
    points = line.mark_point(size=45, opacity=1).encode(
        shape=alt.Shape(
            "estimate:N",
            scale=alt.Scale(domain=labels, range=[look.shape for look in looks]),
            legend=legend,
        )
    )
    highest = math.sqrt(top * 1.08)
    ends = [
        (_BOUNDS_HEIGHT * (1 - math.sqrt(at) / highest), ("break-even,", name))
        for name, at in limits
    ]
    chart = with_labels(
        alt.layer(_limit(limits, y), line, points), ends, PLOT_WIDTH - 30, _BOUNDS_HEIGHT
    ).properties(width=PLOT_WIDTH - 30, height=_BOUNDS_HEIGHT)
    caption = (
        f"κ of A = H + λI at every step of the Newton run of Table III ({shared.setup.workload}, "
        f"N = {block.n:,}, λ = {newton.config.options['damping']:g}, batch "
        f"{block.curvature.batch:,}, seed {newton.config.seed}, {shared.setup.name} run): to "
        "1% by Lanczos, and bounded as the paper does. Dashed, break-even: the κ up to which "
        f"the quantum solver is priced below LU inversion (modelled; {newton.config.hardware.name}"
        f"{' (hypothetical)' if newton.config.hardware.hypothetical else ''}, d = "
        f"{quote.sparsity:,}) with this machine's calibration and with {PAPER_H100}."
    )
    return Picture(themed(chart), rows, caption)


def _horizontal(
    label: str, steps: int, color: str, dash: Sequence[int], offset: int, y: alt.Y
) -> Any:
    mark = alt.Chart(inline_data([{"steps": steps, "text": label}]))
    rule = mark.mark_rule(color=color, strokeDash=list(dash), strokeWidth=1.6).encode(y=y)
    text = mark.mark_text(align="left", baseline="middle", dx=4, dy=offset).encode(
        y=y, x=alt.value(0), text="text:N"
    )
    return alt.layer(rule, text)


def _limit(limits: Sequence[tuple[str, float]], y: alt.Y) -> Any:
    data = alt.Chart(inline_data([{"log10_condition": at, "machine": name} for name, at in limits]))
    return data.mark_rule(color="#333333", strokeDash=[5, 4], strokeWidth=1.2).encode(y=y)


def _one_two_five(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [
        lead * 10.0**k for k in exponents for lead in (1, 2, 5) if low <= lead * 10.0**k <= high
    ]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [float(f"1e{k}") for k in range(first, last + 1)]
