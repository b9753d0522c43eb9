"""The gate time at which the paper's quantum price of each recorded solve meets LU inversion's.

For one solve, t* = (seconds of LU inversion) / (expected queries by the paper's count): a quantum
machine whose gate time lies below t* is quoted less than the classical one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from qnewton.cost import PAPER_EPSILON, load_hardware, paper_quote
from qnewton.records import BlockRecord, QuantumHardware
from qnewton.report import style
from qnewton.report.panels import (
    CROSS,
    DARK,
    LINE_HEIGHT,
    LineEnd,
    Series,
    chart,
    rows_of,
    with_labels,
)
from qnewton.report.quantities import seconds_text
from qnewton.report.save import Picture
from qnewton.report.vega import alt
from qnewton.report.what_if import DEFAULT_MACHINE
from qnewton.report.words import words
from qnewton.runs import Run
from qnewton.scheduler.policy import decide

LU_INVERSION = "lu_inverse"
"""The paper's classical solver."""

PAPER_ALGORITHM = "jennings"
"""The algorithm whose queries the paper counts."""

_ARROW_DOWN = "M-.4,-1L.4,-1L.4,0L1,0L0,1L-1,0L-.4,0Z"
NO_PRICE = style.Look("no finite quantum price", DARK, shape=CROSS)
OFF_AXIS = style.Look("break-even below the axis", style.GRAY, shape=_ARROW_DOWN)

_READING = "At points above its line a machine is priced faster than LU inversion"
_WIDTH = style.PLOT_WIDTH - 60
_HEIGHT = 270
_LABEL_ROOM = 2 * LINE_HEIGHT + 3
_FLOOR_EXPONENT = -28


@dataclass(frozen=True)
class BreakEven:
    """The break-even of one solve.

    Attributes:
        step: Step it belongs to.
        block: Block it belongs to.
        chosen: Solver the policy chose.
        gate_time_s: t*, in seconds; ``None`` when the quantum solver has no finite price.
        reason: Why it has none; ``None`` when it has one.
    """

    step: int
    block: str
    chosen: str
    gate_time_s: float | None
    reason: str | None


def break_even_gate_time(block: BlockRecord) -> tuple[float | None, str | None]:
    """Return t* in seconds, or ``None`` and the reason there is none.

    Queries of an audited price are more than a gate each, so that they have no part in it: a solve
    whose quotes are audited is priced by the paper from its facts.

    Example:
        >>> from qnewton.records import (BlockRecord, CurvatureRecord, Decision, Facts,
        ...                              QuantumPart, QueryCount, Quote, Treatment)
        >>> count = QueryCount(queries=4e8, success_probability=0.4, expected=1e9,
        ...                    theorem="", provenance="copy")
        >>> quotes = (Quote(solver="lu_inverse", machine="classical", seconds=0.2, model="",
        ...                 hardware="local"),
        ...           Quote(solver="qsvt", machine="quantum", seconds=1e-9, model="",
        ...                 hardware="attosecond",
        ...                 quantum=QuantumPart(algorithm="jennings", query_count=count)))
        >>> break_even_gate_time(BlockRecord(
        ...     name="full", n=1482, curvature=CurvatureRecord(kind="hessian",
        ...     route="generic", reason=""), treatment=Treatment(), facts=Facts(n=1482),
        ...     decision=Decision(chosen="qsvt", quotes=quotes, policy="paper", reason=""),
        ...     attempts=()))
        (2e-10, None)
    """
    classical = block.decision.quote(LU_INVERSION)
    quantum = [quote for quote in block.decision.quotes if quote.machine == "quantum"]
    if classical is None or classical.seconds is None:
        return None, f"no price for {LU_INVERSION}"
    if not quantum:
        return None, "no quantum quote"
    price = next((quote for quote in quantum if quote.name == PAPER_ALGORITHM), None)
    if price is None:
        asked = (quote.quantum.epsilon for quote in quantum if quote.quantum is not None)
        epsilon = next((e for e in asked if e is not None), PAPER_EPSILON)
        price = paper_quote(block.facts, _any_machine(), epsilon=epsilon)
    count = None if price.refused is not None else price.query_count
    if count is None or not math.isfinite(count.expected) or count.expected <= 0:
        return None, price.refused or "no finite query count"
    return classical.seconds / count.expected, None


@cache
def _any_machine() -> QuantumHardware:
    """Return a machine for prices of which only the count is read, the same on every machine."""
    return load_hardware(DEFAULT_MACHINE)


def has_quantum_quotes(run: Run) -> bool:
    """Return whether a quantum machine was asked for the price of any solve."""
    quotes = (q for step in run.steps for block in step.blocks for q in block.decision.quotes)
    return any(quote.machine == "quantum" for quote in quotes)


def break_even_points(run: Run, policy: str | None = None) -> list[BreakEven]:
    """Return the break-even of every solve that had a quantum quote, in order.

    Args:
        run: The run.
        policy: Decides every solve again from its recorded quotes; ``None`` for the run's own
            decisions.
    """
    points = []
    for step in run.steps:
        for block in step.blocks:
            if all(quote.machine != "quantum" for quote in block.decision.quotes):
                continue
            gate_time, reason = break_even_gate_time(block)
            decision = block.decision
            if policy is not None:
                decision = decide(policy, decision.quotes)
            points.append(BreakEven(step.step, block.name, decision.chosen, gate_time, reason))
    return points


def break_even(
    run: Run, hardware: Sequence[QuantumHardware] = (), policy: str | None = None
) -> Picture:
    """Draw the break-even gate time of every step, with machines as horizontal lines.

    Args:
        run: The run.
        hardware: Quantum machines to draw; hypothetical ones are dashed and say so.
        policy: Whose choices the colors show; ``None`` for the run's own.

    Raises:
        ValueError: If no step of the run has a quantum quote.
    """
    points = break_even_points(run, policy)
    if not points:
        raise ValueError(
            f"{run.folder} has no quantum quotes to compare; train with --policy paper and "
            "--hardware NAME"
        )
    lowest, highest = _decades(points, hardware)
    marks = [_mark(point, lowest) for point in points]
    rows = rows_of(
        ("step", "block", "solver chosen", "break_even_s", "reason", "mark", "drawn_at_s"),
        (
            (p.step, p.block, p.chosen, p.gate_time_s, p.reason, look.label, height)
            for p, (look, height) in zip(points, marks, strict=True)
        ),
    )
    policy = policy or run.config.policy
    solvers = [style.solver_look(point.chosen) for point in points]
    used = {look for look, _ in marks}
    looks = [look for look in dict.fromkeys((*solvers, OFF_AXIS, NO_PRICE)) if look in used]
    series = Series("mark", looks, {"title": f"solver chosen (policy {policy})", "columns": 2})
    y = style.decade_channel(alt.Y, "drawn_at_s", "break-even gate time (s)", lowest, highest)
    axis = style.step_axis(max(point.step for point in points))
    x = alt.X("step:Q", title="step", scale=alt.Scale(padding=8, nice=False), axis=axis)
    tooltip: list[Any] = ["step:Q", "block:N", "solver chosen:N"]
    tooltip += [alt.Tooltip("break_even_s:Q", format=".2e"), "reason:N"]
    marked = chart(rows).mark_point(size=60, filled=True, opacity=1)
    drawn = marked.encode(x=x, y=y, color=series.color, shape=series.shape, tooltip=tooltip)
    height = max(_HEIGHT, _LABEL_ROOM * len(hardware))
    if hardware:
        lines, ends = _machine_lines(hardware, (lowest, highest), height)
        drawn = with_labels((lines, drawn), ends, height)
    dashed = any(machine.hypothetical for machine in hardware)
    title = [_READING, *(["Dashed: machines that do not exist"] if dashed else [])]
    drawn = drawn.properties(width=_WIDTH, height=height, title=title if hardware else [])
    off_axis = any(look is OFF_AXIS for look, _ in marks)
    refused = sum(point.gate_time_s is None for point in points)
    caption = words("break_even", policy=policy, off_axis=off_axis, refused=refused)
    return Picture(style.themed(drawn), rows, caption)


def _decades(points: Sequence[BreakEven], hardware: Sequence[QuantumHardware]) -> tuple[int, int]:
    shown = [point.gate_time_s for point in points if point.gate_time_s is not None]
    values = [*shown, *(machine.gate_time_s.value for machine in hardware)] or [1e-9]
    # One decade of room at both ends, the lower one for the marks at the edge.
    lowest = max(math.floor(math.log10(min(values))) - 1, _FLOOR_EXPONENT)
    return lowest, max(math.ceil(math.log10(max(values))) + 1, lowest + 3)


def _mark(point: BreakEven, lowest: int) -> tuple[style.Look, float]:
    """Return how a point looks and how high it is drawn, at the edge where it has no height."""
    edge = 10.0 ** (lowest + 0.4)
    if point.gate_time_s is None:
        return NO_PRICE, edge
    if point.gate_time_s < 10.0 ** (lowest + 1):
        return OFF_AXIS, edge
    return style.solver_look(point.chosen), point.gate_time_s


def _machine_lines(
    hardware: Sequence[QuantumHardware], exponents: tuple[int, int], height: float
) -> tuple[Any, list[LineEnd]]:
    """Return the machines' lines, and the height and the label of each."""
    lowest, highest = exponents
    machines = sorted(hardware, key=lambda machine: -machine.gate_time_s.value)
    rows = [{"gate_time_s": m.gate_time_s.value, "hypothetical": m.hypothetical} for m in machines]
    scale = alt.Scale(type="log", domain=[10.0**lowest, 10.0**highest], nice=False)
    dash = alt.condition("datum.hypothetical", alt.value([5, 4]), alt.value([1, 0]))
    lines = chart(rows).mark_rule(strokeWidth=1.2, color="#333333")
    lines = lines.encode(y=alt.Y("gate_time_s:Q", scale=scale), strokeDash=dash)
    ends = []
    for machine in machines:
        gate_time = machine.gate_time_s.value
        share = (highest - math.log10(gate_time)) / (highest - lowest)
        speed = seconds_text(gate_time) + ", hypothetical" * machine.hypothetical
        ends.append(LineEnd(height * share, (machine.name, speed)))
    return lines, ends
