"""Maps of where a quantum solver would win: κ × d, and gate time × N."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import altair as alt

from qnewton.cost import Scenario, with_condition, with_sparsity
from qnewton.records import Formed
from qnewton.report.panels import chart, rows_of
from qnewton.report.save import Picture
from qnewton.report.style import BLUE, PLOT_WIDTH, VERMILLION, decade_channel, themed
from qnewton.report.words import words

_CELLS = 24
_LIMIT = 12  # decades at which colors saturate


def condition_sparsity_map(scenario: Scenario) -> Picture:
    """Draw quantum over classical seconds (modelled) over κ and d, all else as it is.

    Args:
        scenario: The system; its κ and d are varied, κ from 1 to 10⁶ and d from 1 to N.

    Cost: about 600 pairs of prices, a second.
    """
    n = scenario.facts.n

    def at(kappa: float, sparsity: float) -> Scenario:
        facts = with_condition(scenario.facts, kappa)
        d = min(n, max(1, round(sparsity)))
        return replace(scenario, facts=with_sparsity(facts, d))

    axes = (
        ("kappa", "condition number κ", 0.0, 6.0),
        ("d", "entries in a row d", 0.0, math.log10(max(n, 2))),
    )
    return _map(at, axes, scenario, f"N = {n:,}")


def gate_time_size_map(scenario: Scenario) -> Picture:
    """Draw quantum over classical seconds (modelled) over gate time and N, all else as it is.

    Measurements stay as fast as they are against gates; d is at most N. Norms that were measured
    at one N are left out at others.

    Args:
        scenario: The system; N goes from 10 to 10⁸ and the gate time from 10⁻¹⁸ to 10⁻³ s.

    Cost: about 600 pairs of prices, a second.
    """
    machine = scenario.hardware
    gate = machine.gate_time_s

    def at(gate_time: float, size: float) -> Scenario:
        n = round(size)
        spectrum = scenario.facts.spectrum
        d = spectrum.row_sparsity
        unmeasured = dict.fromkeys(("row_sparsity", "norm", "max_abs", "frobenius"))
        unitless = replace(spectrum, **unmeasured, undamped_trace=None)
        facts = replace(scenario.facts, n=n, held=Formed(), spectrum=unitless, earlier=None)
        if d is not None:
            facts = with_sparsity(facts, min(d, n))
        readout = machine.readout_time_s
        if readout is not None:
            readout = replace(readout, value=readout.value * gate_time / gate.value)
        faster = replace(
            machine, gate_time_s=replace(gate, value=gate_time), readout_time_s=readout
        )
        return replace(scenario, facts=facts, hardware=faster)

    axes = (("gate_time_s", "gate time (s)", -18.0, -3.0), ("n", "unknowns N", 1.0, 8.0))
    condition = scenario.facts.spectrum.condition
    kappa = "?" if condition is None or condition.value is None else f"{condition.value:.3g}"
    return _map(at, axes, scenario, f"κ = {kappa}, d = {scenario.facts.spectrum.row_sparsity}")


Axis = tuple[str, str, float, float]


def _map(
    at: Callable[[float, float], Scenario], axes: tuple[Axis, Axis], scenario: Scenario, fixed: str
) -> Picture:
    (x, x_title, *x_range), (y, y_title, *y_range) = axes
    xs, ys = _edges(*x_range), _edges(*y_range)
    rows = []
    for (x0, x1), (y0, y1) in itertools.product(itertools.pairwise(xs), itertools.pairwise(ys)):
        quantum, classical = at(10 ** ((x0 + x1) / 2), 10 ** ((y0 + y1) / 2)).prices()
        ratio = None
        if quantum is not None and classical is not None:
            ratio = math.log10(quantum) - math.log10(classical)
        rows.append((10**x0, 10**x1, 10**y0, 10**y1, quantum, classical, ratio))
    prices = ("quantum_s", "classical_s", "decades_dearer")
    rows = rows_of((x, f"{x}_end", y, f"{y}_end", *prices), rows)
    wins = sum(row["decades_dearer"] is not None and row["decades_dearer"] < 0 for row in rows)
    colors = alt.Scale(
        domain=[-_LIMIT, 0, _LIMIT],
        range=[VERMILLION, "#ffffff", BLUE],
        clamp=True,
        # Other ways go round the color wheel: equal prices would be cyan, not white.
        interpolate="rgb",
    )
    title = "quantum / classical seconds (modelled), powers of ten"
    legend = alt.Legend(title=title, gradientLength=200)
    drawn = (
        chart(rows)
        .mark_rect()
        .encode(
            x=decade_channel(alt.X, x, x_title, *x_range),
            x2=f"{x}_end:Q",
            y=decade_channel(alt.Y, y, y_title, *y_range),
            y2=f"{y}_end:Q",
            color=alt.Color("decades_dearer:Q", scale=colors, legend=legend),
        )
    )
    title = "Red: the quantum solver is priced cheaper"
    drawn = drawn.properties(width=PLOT_WIDTH, height=PLOT_WIDTH, title=title)
    caption = words("price_map", scenario=scenario, fixed=fixed, wins=wins, cells=len(rows))
    return Picture(themed(drawn), rows, caption)


def _edges(low: float, high: float) -> Sequence[float]:
    return [low + (high - low) * k / _CELLS for k in range(_CELLS + 1)]
