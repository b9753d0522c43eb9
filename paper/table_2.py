"""Table II: what estimating the condition number takes, and how far off the estimate is."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import torch

from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, Texts
from paper.estimator_timing import LARGEST_EXACT, METHODS, Measurement, Repeats, measure
from qnewton.cost import PAPER_EPSILON, cubic_work, load_classical, load_hardware, price
from qnewton.cost.queries import jennings_2023
from qnewton.optimizer import describe_machine
from qnewton.report import Picture
from qnewton.report.panels import HOLLOW, Rows, Series, chart, log_axis
from qnewton.report.style import BLACK, BLUE, GREEN, ORANGE, PLOT_WIDTH, VERMILLION, Look, themed

PAPER_MS = {10: 0.1, 100: 0.7, 1000: 6.2, 10_000: 13.0}
"""Table II: milliseconds on an H100."""

CONDITION_NUMBERS = (10.0, 1000.0)
QUICK: Repeats = {10: (31, 31), 100: (31, 31), 1000: (9, 9), 10_000: (3, 1)}
FULL: Repeats = {10: (101, 101), 100: (101, 101), 1000: (31, 31), 10_000: (7, 3)}

INCONSEQUENTIAL = 0.05
"""Share of one LU inversion below which an estimate counts as inconsequential."""

ROBUST_FACTOR = 10.0
"""Factor by which an estimate may exceed κ and still count as robust."""

_LEAST_DIGITS = 1e-6
_PAPER_LABEL = "paper, on an H100"
_LOOKS = {
    "determinant": Look("determinant and norm", VERMILLION, shape="circle"),
    "trace": Look("determinant and trace", ORANGE, (6, 3), "square"),
    "lanczos": Look("Lanczos to 1%", GREEN, shape="triangle-up"),
    "lu_inverse": Look("one LU inversion", BLUE, (8, 3), "cross"),
    "paper": Look(_PAPER_LABEL, BLACK, (2, 2), "diamond"),
}
_TEXTS = Texts("table-2")
_METHOD_TITLES = ("determinant and norm", "determinant and trace", "Lanczos to 1%")


@dataclass(frozen=True)
class Timings:
    """What was measured, and with how many runs."""

    repeats: Repeats
    measurements: tuple[Measurement, ...]

    @property
    def cases(self) -> dict[tuple[int, float], Measurement]:
        """A measurement of each N and κ."""
        return {(m.n, m.condition_number): m for m in self.measurements}

    @property
    def kappas(self) -> dict[float, None]:
        """Every κ once."""
        return dict.fromkeys(m.condition_number for m in self.measurements)

    def of(self, *methods: str) -> list[Measurement]:
        """Return all measurements of some methods."""
        return [m for m in self.measurements if m.method in methods]

    def find(self, n: int, kappa: float, method: str) -> Measurement:
        """Return the measurement of a method on one matrix."""
        return next(m for m in self.of(method) if (m.n, m.condition_number) == (n, kappa))

    def inverse(self, n: int) -> float:
        """Return the seconds of an LU inversion."""
        return next(m.seconds for m in self.of("lu_inverse") if m.n == n)


def _run(context: PaperContext, repeats: Repeats) -> Timings:
    """Time the estimators and hold them against known condition numbers."""
    found = measure(CONDITION_NUMBERS, repeats, context.seed, context.progress)
    return Timings(repeats, tuple(found))


def _summary(found: Timings) -> ArtifactTable:
    rows = []
    for n, kappa in found.cases:
        by_method = [found.find(n, kappa, method) for method in METHODS]
        *bounds, off = (m.digits_off for m in by_method)
        times = (1e3 * m.seconds for m in by_method)
        error = None if off is None else 100 * (10**off - 1)
        rows.append((n, kappa, PAPER_MS.get(n), *times, 1e3 * found.inverse(n), *bounds, error))
    return _TEXTS.table("table-2", rows, machine=describe_machine(), titles=_METHOD_TITLES)


def _runs_table(found: Timings) -> ArtifactTable:
    rows = []
    for m in found.measurements:
        if m.runs:
            said = (None, None) if m.estimate is None else (m.estimate.value, m.estimate.products)
            times = (m.seconds, min(m.runs), max(m.runs), 100 * m.seconds / found.inverse(m.n))
            head = (m.n, m.condition_number, m.method, said[0], m.digits_off, said[1])
            rows.append((*head, len(m.runs), *times))
    return _TEXTS.table("table-2-runs", rows)


def _checks(found: Timings) -> Iterator[Check]:
    bounds, exact, lanczos = (
        found.of("determinant", "trace"),
        found.of("exact"),
        found.of("lanczos"),
    )
    lowest = min((m.digits_off or 0.0) - math.log10(1 - m.rounding) for m in bounds)
    outside = [m for m in lanczos if m.estimate is not None and not m.inside]
    worst = max((_error(m) / (2 * m.rounding) for m in exact), default=0)
    summary = _summary(found)
    same = [
        value == 1e3 * found.find(*case, method).seconds
        for method, title in zip(METHODS, _METHOD_TITLES, strict=True)
        for case, value in zip(found.cases, summary.column(f"{title} (measured ms)"), strict=True)
    ]
    yield _TEXTS.check("bounds", lowest >= 0.0, bounds=bounds, lowest=lowest)
    yield _TEXTS.check("brackets", not outside, outside=outside, lanczos=lanczos)
    yield _TEXTS.check("exact", worst <= 1.0, exact=exact, worst=worst, largest=LARGEST_EXACT)
    yield _TEXTS.check("medians", all(same), rows=len(summary.rows), methods=len(METHODS))


def _error(measurement: Measurement) -> float:
    return abs(10 ** (measurement.digits_off or 0.0) - 1)


def _overhead(found: Timings) -> Finding:
    n, kappa = max(m.n for m in found.measurements), found.measurements[0].condition_number
    inverse = found.inverse(n)
    seconds = {method: found.find(n, kappa, method).seconds for method in METHODS}
    others = {k: found.find(n, k, "lanczos").seconds for k in found.kappas if k != kappa}
    paper = None
    if n in PAPER_MS:
        count = jennings_2023(alpha=float(n), kappa=kappa, epsilon=PAPER_EPSILON)
        paper = {
            "estimate": PAPER_MS[n] / 1e3,
            "lu": price(load_classical("paper-h100"), "lu_inverse", cubic_work(n)),
            "quantum": load_hardware("attosecond").gate_time_s.value * count.expected,
        }
    holds = min(seconds["determinant"], seconds["trace"]) <= INCONSEQUENTIAL * inverse
    said = {"n": n, "kappa": kappa, "seconds": seconds, "inverse": inverse, "others": others}
    return _TEXTS.finding("overhead", holds, paper=paper, inconsequential=INCONSEQUENTIAL, **said)


def _robustness(found: Timings) -> Finding:
    n = max(m.n for m in found.measurements)
    digits = {
        kappa: [_known(found.find(n, kappa, method).digits_off) for method in METHODS[:2]]
        for kappa in found.kappas
    }
    worst = max(m.digits_off or 0.0 for m in found.of(*METHODS[:2]))
    error = max(map(_error, found.of("lanczos")))
    holds = worst <= math.log10(ROBUST_FACTOR)
    said = {"n": n, "digits": digits, "error": error, "robust": ROBUST_FACTOR}
    return _TEXTS.finding("robustness", holds, **said)


def _known(digits: float | None) -> float:
    return math.nan if digits is None else digits


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
    said = {"threads": torch.get_num_threads(), "runs": [repeats[n][0] for n in sizes]}
    said |= {"sizes": sizes, "kappas": kappas, "least": _LEAST_DIGITS}
    caption = _TEXTS.caption("table-2", **said)
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


EXPERIMENT: Experiment[Repeats, Timings] = Experiment(
    name="table-2",
    title="Table II: time and error of condition-number estimation",
    quick=QUICK,
    full=FULL,
    run=_run,
    tables=lambda found: [_summary(found), _runs_table(found)],
    pictures=lambda found: {
        "table-2": estimator_picture(found.measurements, found.repeats, PAPER_MS)
    },
    checks=_checks,
    findings=lambda found: [_overhead(found), _robustness(found)],
    settings=lambda context, found: {
        "machine": describe_machine(),
        "seed": context.seed,
        "runs": {str(n): numbers for n, numbers in found.repeats.items()},
        "condition_numbers": CONDITION_NUMBERS,
        "dtype": "float32",
    },
)
