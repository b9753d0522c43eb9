"""Fig. 8: accuracy and condition number against the damping λ."""

import itertools
import math
import statistics
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import altair as alt

from paper.artifact import ArtifactTable, Check, Experiment, Finding, Texts
from paper.damping_sweep import FULL, QUICK, Sweep, damping_sweep
from paper.trials import LARGEST_EXACT
from qnewton.records import Spectrum
from qnewton.report import Picture
from qnewton.report.panels import (
    DARK,
    HOLLOW,
    Series,
    chart,
    crossed,
    level,
    log_axis,
    rows_of,
    share_axis,
)
from qnewton.report.quantities import number_text
from qnewton.report.style import BLUE, ORANGE, PLOT_WIDTH, Look, log_ticks, themed

PAPER_DAMPING = 1.0
PAPER_CUT = 1e3
"""By how much the paper's Fig. 8 has κ fall at λ around 1."""

MARGINAL = 0.02
"""Accuracy that counts as a marginal decrease."""

_TEXTS = Texts("fig-8", counted=(PAPER_CUT, MARGINAL))


def _table(found: Sweep) -> ArtifactTable:
    rows = []
    for p in found.points:
        trial, first = p.trial, p.facts[0].spectrum if 0 in p.facts else Spectrum()
        steps = (trial.newton_steps, trial.indefinite_steps, trial.skipped_steps)
        head = (p.damping, p.warmup, p.seed, trial.test_accuracy, trial.diverged)
        kappas = (p.first_condition, p.later_condition)
        rows.append((*head, *steps, *kappas, first.definiteness, first.norm))
    return _TEXTS.table("fig-8-runs", rows)


def _checks(found: Sweep) -> Iterator[Check]:
    points, setup = found.points, found.setup
    shifts, falls = [], []
    for series in found.series():
        known = [
            p for p in series if 0 in p.facts and p.facts[0].spectrum.definiteness == "positive"
        ]
        norms = [(norm, p.damping) for p in known if (norm := p.facts[0].spectrum.norm) is not None]
        largest = [norm - damping for norm, damping in norms]
        # κ and norm are exact to rounding from eigenvalues, and to 1% from Lanczos.
        if len(largest) > 1:
            shifts.append((max(largest) - min(largest)) / max(norm for norm, _ in norms))
        kappas = [p.first_condition for p in known if p.first_condition is not None]
        falls += [later / earlier for earlier, later in itertools.pairwise(kappas)]
    allowed = 1e-5 if found.n <= LARGEST_EXACT else 0.02
    shift, ratio = max(shifts, default=0.0), max(falls, default=0.0)
    ended = [
        len(p.trial.records) == p.warmup + setup.newton_steps or p.trial.diverged for p in points
    ]
    count = len(setup.dampings) * len(setup.warmups) * len(setup.seeds)
    diverged = sum(p.trial.diverged for p in points)
    yield _TEXTS.check("norm", shift <= allowed, shift=shift, allowed=allowed)
    yield _TEXTS.check("falls", ratio <= 1.0 + allowed, falls=falls, ratio=ratio)
    whole = all(ended) and len(points) == count
    yield _TEXTS.check("ended", whole, ended=ended, count=count, diverged=diverged)


def _finding(found: Sweep, warmup: int) -> Finding:
    setup = found.setup
    mine = [point for point in found.points if point.warmup == warmup]
    runs = {d: [p for p in mine if p.damping == d] for d in setup.dampings}
    accuracy = {d: statistics.fmean(p.trial.test_accuracy for p in runs[d]) for d in runs}
    at = min(runs, key=lambda damping: abs(math.log(damping / PAPER_DAMPING)))
    least = setup.dampings[0]
    best = max(accuracy, key=accuracy.__getitem__)
    kappas = {d: {p.seed: k for p in runs[d] if (k := p.first_condition)} for d in (least, at)}
    cuts = [kappas[least][seed] / k for seed, k in kappas[at].items() if seed in kappas[least]]
    cut = math.exp(statistics.fmean(map(math.log, cuts))) if cuts else None
    # Some λ may be too small to train at all.
    diverged = {d: [p for p in points if p.trial.diverged] for d, points in runs.items()}
    trains = min((d for d, points in diverged.items() if not points), default=least)
    said = {"warmup": warmup, "accuracy": accuracy, "cut": cut}
    said["damping"] = {"at": at, "least": least, "best": best}
    said["kappa"] = {"at": _range(kappas[at].values()), "least": _range(kappas[least].values())}
    said["trains"] = trains if trains > least else None
    said["indefinite"] = all(p.trial.indefinite_steps for ps in diverged.values() for p in ps)
    whole = accuracy[best] - accuracy[at] <= MARGINAL
    holds = cut is not None and cut >= PAPER_CUT and whole
    return _TEXTS.finding("trade-off", holds, found=found, **said)


def _range(values: Collection[float]) -> str:
    ends = dict.fromkeys(number_text(end(values)) for end in (min, max)) if values else ["unknown"]
    return " to ".join(ends)


def _picture(found: Sweep) -> Picture:
    """Draw test accuracy and κ of every run, with the paper's λ and factor beside them."""
    setup = found.setup
    labels = {
        warmup: f"after {warmup} SGD steps" if warmup else "Newton from the first step"
        for warmup in setup.warmups
    }
    points = []
    for p in found.points:
        head = (labels[p.warmup], p.damping, p.seed, p.trial.diverged)
        values = (p.trial.test_accuracy, p.first_condition, p.later_condition)
        shown = zip(("accuracy", "first", "later"), values, strict=True)
        points += [(*head, panel, value) for panel, value in shown if value is not None]
    rows = rows_of(("series", "damping", "seed", "diverged", "panel", "value"), points)
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
    text = f"1/{PAPER_CUT:,.0f} of κ at λ = {least:g}"
    lower = [
        *level(y, "value", max(at_least) / PAPER_CUT, text, 9, color=DARK, strokeDash=[6, 3]),
        averaged["first"].mark_line().encode(**condition, strokeDash=dash),
        shown["later"].mark_point(size=45, strokeWidth=1.6, **HOLLOW).encode(**condition),
        shown["first"].mark_point(size=40, opacity=1).encode(**condition),
    ]

    marker = chart([{"damping": PAPER_DAMPING, "text": "paper's λ"}])
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
    caption = _TEXTS.caption("fig-8", found=found, method=method)
    return Picture(themed(both), rows, caption)


def _means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds: accuracies arithmetically, κ geometrically."""
    groups: dict[tuple[str, float, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["series"], row["damping"], row["panel"]), []).append(row["value"])
    means = {"accuracy": statistics.fmean}
    averages = (
        (*group, means.get(group[2], statistics.geometric_mean)(values))
        for group, values in groups.items()
    )
    return rows_of(("series", "damping", "panel", "value"), averages)


def _decades(low: float, high: float) -> list[float]:
    return [tick for tick in log_ticks(low, high) if f"{tick:e}".startswith("1.0")]


EXPERIMENT = Experiment(
    name="fig-8",
    title="Fig. 8: accuracy and condition number against the damping",
    quick=QUICK,
    full=FULL,
    run=damping_sweep,
    tables=lambda found: [_table(found)],
    pictures=lambda found: {"fig-8": _picture(found)},
    checks=_checks,
    findings=lambda found: [_finding(found, warmup) for warmup in found.setup.warmups],
    settings=lambda context, found: {
        "setup": found.setup.name,
        "workload": found.setup.workload,
        "seeds": [context.seed + offset for offset in found.setup.seeds],
        "newton_steps": found.setup.newton_steps,
        "newton_lr": found.request.lr,
        "first_order_lr": found.setup.first_order_lr,
        "full": context.full,
    },
)
