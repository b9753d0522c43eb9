"""Fig. 5: what both solvers cost against κ and against d, and where their prices cross."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from paper import price_crossings as prices
from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, Texts
from qnewton.cost import PAPER_EPSILON, load_classical, load_hardware
from qnewton.records import Calibration, QuantumHardware
from qnewton.report import Picture, style
from qnewton.report.panels import HOLLOW, Rows, Series, chart, log_axis, rows_of
from qnewton.report.quantities import seconds_text
from qnewton.report.style import Look

PAPER_LU_SECONDS = 1.06 - 0.14
"""Table III: a classical-only step less one of SGD, the inversion at N = 12,544."""

MACHINES = ("attosecond", "ibm_sherbrooke", "photonic-ghz", "photonic-thz")
"""Those priced by a gate time alone, as the paper prices; others come with error rates."""

POINTS = 61

PAPER_GATE = "attosecond"
"""The machine of the paper's evaluation: 10⁻¹⁸ s per gate."""

_HYPOTHETICAL = (5, 3)
_OTHER_COLORS = (style.BLACK, style.PURPLE, style.ORANGE, style.GREEN)


def machine_label(calibration: str) -> str:
    """Return a classical machine's name for people."""
    return {"local": "this machine", "paper-h100": "the paper's H100"}.get(calibration, calibration)


_TEXTS = Texts("fig-5", prices=prices, label=machine_label, epsilon=PAPER_EPSILON)


@dataclass(frozen=True)
class Line:
    """One solver on one machine.

    Attributes:
        seconds: Modelled seconds at (κ, d), N = 12,544.
        look: Its line and its entry in the legend.
    """

    seconds: Callable[[float, float], float]
    look: Look


@dataclass(frozen=True, kw_only=True)
class Priced:
    """Both solvers' prices: machines, slowest first, and where the prices meet.

    ``abstract`` has the break-evens of the abstract's example, ``one_solve`` those of them that
    charge for one solve.
    """

    machines: Sequence[QuantumHardware]
    calibrations: Sequence[Calibration]
    lines: Sequence[Line]
    crossings: Sequence[prices.Crossing]
    abstract: Sequence[prices.BreakEven]
    one_solve: Sequence[prices.BreakEven]
    picture: Picture


def _run(context: PaperContext, setup: Sequence[str]) -> Priced:
    """Price both solvers along κ and along d. About a second; nothing is solved."""
    context.progress("pricing along κ and d")
    machines = sorted(map(load_hardware, setup), key=lambda m: -m.gate_time_s.value)
    calibrations = (context.calibration, load_classical("paper-h100"))
    lines = price_lines(machines, calibrations)
    found, abstract = prices.crossings(machines, calibrations), prices.break_evens(calibrations)
    return Priced(
        machines=machines,
        calibrations=calibrations,
        lines=lines,
        crossings=found,
        abstract=abstract,
        one_solve=[b for b in abstract if b.reading == abstract[0].reading],
        picture=price_picture(lines, found),
    )


def _tables(found: Priced) -> Iterator[ArtifactTable]:
    gate = load_hardware(PAPER_GATE).gate_time_s.value
    rows = []
    for c in found.crossings:
        machine = (c.hardware.name, not c.hardware.hypothetical, c.hardware.gate_time_s.value)
        equal = (c.condition_number, c.sparsity, c.cheaper)
        rows.append((*machine, c.calibration, c.lu_seconds, *equal))
    yield _TEXTS.table("fig-5-crossings", rows)
    rows = (
        (b.reading, b.queries, b.calibration, b.lu_seconds, b.gate_time_s, gate * b.queries)
        for b in found.abstract
    )
    yield _TEXTS.table("fig-5-abstract", rows, gate=gate)


def _checks(found: Priced) -> Iterator[Check]:
    at_d, at_kappa = prices.FIXED_SPARSITY, prices.FIXED_CONDITION
    differences = [
        abs(prices.quantum_seconds(c.hardware, kappa, d) / c.lu_seconds - 1)
        for c in found.crossings
        for kappa, d in ((c.condition_number, at_d), (at_kappa, c.sparsity))
        if kappa is not None and d is not None
    ]
    curves: dict[tuple[str, str], list[float]] = {}
    for row in found.picture.rows:
        if row["kind"] == "price":
            curves.setdefault((row["panel"], row["line"]), []).append(row["modelled_seconds"])
    largest = max(differences, default=0.0)
    yield _TEXTS.check("crossings", largest < 1e-6, differences=differences, largest=largest)
    rising = all(a <= b for prices in curves.values() for a, b in itertools.pairwise(prices))
    yield _TEXTS.check("rising", rising, lines=found.lines)
    products = [abs(b.gate_time_s * b.queries / b.lu_seconds - 1) for b in found.abstract]
    yield _TEXTS.check("products", max(products) < 1e-9, products=products)
    h100 = prices.lu_seconds(load_classical("paper-h100"), prices.N)
    yield _TEXTS.check("h100", abs(h100 / PAPER_LU_SECONDS - 1) < 0.01, h100=h100)


def _findings(found: Priced) -> Iterator[Finding]:
    slowest = max(b.gate_time_s for b in found.one_solve)
    faster = [machine for machine in found.machines if machine.gate_time_s.value < slowest]
    slower = [machine for machine in found.machines if machine not in faster]
    gates = {"slowest": slowest, "faster": faster, "slower": slower}
    dearer = found.abstract[len(found.one_solve) :]
    yield _TEXTS.finding("abstract", not faster, found=found, dearer=dearer, **gates)
    gate = load_hardware(PAPER_GATE).gate_time_s.value
    quoted = gate * found.one_solve[0].queries
    ratios = [(b.lu_seconds / (gate * b.queries), b.calibration) for b in found.one_solve]
    dearer = [b for b in found.abstract if gate > b.gate_time_s]
    said = {"gate": gate, "quoted": quoted, "ratios": ratios, "dearer": dearer}
    yield _TEXTS.finding("own-gates", min(ratios)[0] <= 1, **said)
    everywhere = all(c.condition_number is not None for c in found.crossings)
    lacking = [c for c in found.crossings if c.hardware.name == PAPER_GATE and c.sparsity is None]
    cheaper = lacking[0].cheaper if everywhere and lacking else None
    holds = everywhere and not lacking
    yield _TEXTS.finding("thresholds", holds, crossings=found.crossings, cheaper=cheaper)


@dataclass(frozen=True)
class _Panel:
    """What a panel varies, what prices are there, and where a crossing lies."""

    name: str
    title: str
    ends: tuple[float, float]
    exponents: range
    values: Any
    price: Callable[[Line, float], float]
    crossing: Callable[[prices.Crossing], float | None]


_PANELS = (
    _Panel(
        f"against κ, at d = {prices.FIXED_SPARSITY:,}",
        "condition number κ",
        (10.0, 1e13),
        range(-12, 15, 2),
        np.geomspace(10.0, 1e13, POINTS),
        lambda line, x: line.seconds(x, prices.FIXED_SPARSITY),
        lambda crossing: crossing.condition_number,
    ),
    _Panel(
        f"against d, at κ = {prices.FIXED_CONDITION:,.0f}",
        "kept entries in a row d",
        (1.0, float(prices.N)),
        range(-12, 9, 2),
        np.unique(np.geomspace(1.0, float(prices.N), POINTS).round()),
        lambda line, x: line.seconds(prices.FIXED_CONDITION, x),
        lambda crossing: crossing.sparsity,
    ),
)


def price_lines(
    machines: Sequence[QuantumHardware], calibrations: Sequence[Calibration]
) -> list[Line]:
    """Return a line for every machine, the quantum ones first; hypothetical ones are dashed."""
    lines = []
    colors = iter(_OTHER_COLORS)
    for machine in machines:
        paper = machine.name == PAPER_GATE
        notes = [
            machine.name,
            *(["the paper's"] if paper else []),
            *(["hypothetical"] if machine.hypothetical else []),
        ]
        look = Look(
            f"quantum, {seconds_text(machine.gate_time_s.value)} a gate ({', '.join(notes)})",
            style.VERMILLION if paper else next(colors),
            _HYPOTHETICAL if machine.hypothetical else (),
        )
        lines.append(Line(lambda kappa, d, m=machine: prices.quantum_seconds(m, kappa, d), look))
    for calibration in calibrations:
        seconds = prices.lu_seconds(calibration, prices.N)
        label = f"LU inversion, {machine_label(calibration.name)}: {seconds_text(seconds)}"
        look = Look(label, style.BLUE if calibration.name == "paper-h100" else style.SKY)
        lines.append(Line(lambda kappa, d, s=seconds: s, look))
    return lines


def price_picture(lines: Sequence[Line], found: Sequence[prices.Crossing]) -> Picture:
    """Draw the lines along κ and along d, and mark the crossings that lie within."""
    points = [
        (panel.name, "price", line.look.label, float(x), panel.price(line, float(x)))
        for panel in _PANELS
        for line in lines
        for x in panel.values
    ]
    points += [
        (panel.name, "crossing", f"{c.hardware.name} and {c.calibration}", x, c.lu_seconds)
        for panel in _PANELS
        for c in found
        if (x := panel.crossing(c)) is not None and panel.ends[0] <= x <= panel.ends[1]
    ]
    rows = rows_of(("panel", "kind", "line", "x", "modelled_seconds"), points)
    both = alt.vconcat(*(_panel(rows, lines, panel) for panel in _PANELS), spacing=16)
    both = both.resolve_scale(color="shared", strokeDash="shared")
    return Picture(style.themed(both), rows, _TEXTS.caption("fig-5"))


def _panel(rows: Rows, lines: Sequence[Line], panel: _Panel) -> Any:
    shown = {
        kind: chart([r for r in rows if (r["panel"], r["kind"]) == (panel.name, kind)])
        for kind in ("price", "crossing")
    }
    decades = range(0, math.ceil(math.log10(panel.ends[1])) + 1)
    many = len(decades) > 8
    ticks = [10.0**k for k in decades if not many or k % 2 == 1]
    x = log_axis(alt.X, "x", panel.title, panel.ends, ticks, ".0e" if many else ",d")
    ends = (10.0 ** panel.exponents[0], 10.0 ** panel.exponents[-1])
    ticks = [10.0**k for k in panel.exponents if k % 4 == 0]
    y = log_axis(alt.Y, "modelled_seconds", "modelled time (s)", ends, ticks, ".0e")
    legend = {
        "title": "dashed: machines that do not exist",
        "columns": 1,
        "symbolType": "stroke",
        "symbolSize": 500,
    }
    series = Series("line", [line.look for line in lines], legend)
    curves = shown["price"].mark_line(clip=True)
    marks = shown["crossing"].mark_point(stroke="#222222", size=45, **HOLLOW)
    return alt.layer(
        curves.encode(x=x, y=y, color=series.color, strokeDash=series.dash), marks.encode(x=x, y=y)
    ).properties(width=style.PLOT_WIDTH, height=210, title=panel.name)


EXPERIMENT = Experiment(
    name="fig-5",
    title="Fig. 5: cost of both solvers against κ and d",
    quick=MACHINES,
    full=MACHINES,
    run=_run,
    tables=_tables,
    pictures=lambda found: {"fig-5": found.picture},
    checks=_checks,
    findings=_findings,
    settings=lambda _, found: {
        "n": prices.N,
        "epsilon": PAPER_EPSILON,
        "fixed_sparsity": prices.FIXED_SPARSITY,
        "fixed_condition_number": prices.FIXED_CONDITION,
        "calibrations": [calibration.name for calibration in found.calibrations],
        "hardware": [machine.name for machine in found.machines],
    },
)
