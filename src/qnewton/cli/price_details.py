"""What ``qnewton price --verbose`` adds: terms, constants, flips, layouts and remarks."""

import re
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from qnewton import cost
from qnewton.cli.price_text import WIDTH, filled
from qnewton.cli.priced import NOT_BY_PRODUCTS, Priced
from qnewton.records import Quote
from qnewton.report.quantities import number_text, seconds_text, share_text
from qnewton.report.words import machine_name

_POWER = re.compile(r"\d+(?:\.\d+)?e[+-]?\d+")  # as :.3g writes it


def details(priced: Priced) -> Iterator[RenderableType]:
    """Give all that hangs on the choice, in the order in which one asks for it."""
    found = priced.quantum
    if found is not None and found.breakdown is not None:
        yield from ("", _terms(found.breakdown, found.quote))
        yield from _lines(_design(found.breakdown))
        yield from ("", _others(found))
        yield from ("", _tornado(priced))
        if priced.layouts:
            yield from ("", _frontier(priced))
    if priced.scenario is not None:
        yield ""
        yield f"What would change the choice on {priced.scenario.hardware.name}, one at a time:"
        for flip in priced.flips:
            said = _POWER.sub(lambda found: number_text(float(found[0])), flip.said)
            yield from _lines(f"{'→' if flip.flips else '·'} {said}{_ends(flip)}")
    yield ""
    for said in _remarks(priced):
        yield from _lines(said)


def _terms(made: cost.Breakdown, quote: Quote) -> Table:
    title = f"Audited price on {machine_name(quote)}, term by term (modelled)"
    table = _table(title, "term", "calls", "Toffoli", "T gates", "seconds it adds", "share")
    for row in made.rows():
        gates = (row["calls"], row["toffoli"], row["t_gates"])
        share = share_text(row["seconds"] / made.total_s)
        cells = ("" if value is None else number_text(value) for value in gates)
        table.add_row(row["term"], *cells, seconds_text(row["seconds"]), share)
    table.add_row("sum", "", "", "", seconds_text(made.total_s), "")
    return table


def _design(made: cost.Breakdown) -> str:
    said = (
        f"One state: {number_text(made.count.expected)} queries expected, "
        f"{number_text(made.depth)} logical cycles, {made.logical_qubits:,} logical qubits"
    )
    if made.physical_qubits is not None and made.cycle_s is not None:
        said += (
            f", {made.physical_qubits:,} physical ones, of which {made.factory_qubits:,} in "
            f"{made.factories} T factories; code distance {made.code_distance}, "
            f"{seconds_text(made.cycle_s)} per logical cycle"
        )
    if made.count.instance is not None:
        said += f"; {number_text(made.count.instance)} queries expected of this very A and b"
    return f"{said}. States that are read: {number_text(made.states)}."


def _others(found: cost.Audited) -> Table:
    headers = ("algorithm", "encoding", "α", "queries", "seconds")
    table = _table("Every design, cheap to dear", *headers)
    for design in found.designs:
        made = design.breakdown
        numbers = (number_text(made.alpha), number_text(made.count.expected))
        table.add_row(made.algorithm, made.encoding, *numbers, seconds_text(made.total_s))
    return table


def _tornado(priced: Priced) -> Table:
    title = "What a constant does to quantum over classical seconds, all others likely"
    table = _table(title, "constant", "low, likely, high", "kindest", "harshest")
    for swing in priced.swings:
        known = swing.constant
        table.add_row(known.title, known.range, _times(swing.kindest), _times(swing.harshest))
    return table


def _times(ratio: float | None) -> str:
    return "∞" if ratio is None else f"× {ratio:.2g}"


def _frontier(priced: Priced) -> Table:
    title = "More or fewer physical qubits: layouts that no other beats in both"
    table = _table(title, "copies", "T factories of each", "physical qubits", "seconds")
    shown = priced.layouts
    step = max(1, len(shown) // 8)
    for layout in (*shown[::step], *([shown[-1]] if (len(shown) - 1) % step else [])):
        cells = (number_text(layout.copies), f"{layout.factories}")
        table.add_row(*cells, number_text(layout.physical_qubits), seconds_text(layout.seconds))
    return table


def _table(title: str, *headers: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), width=WIDTH)
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place else "left", overflow="fold")
    return table


def _ends(flip: cost.Flip) -> str:
    if flip.value is None or flip.assumption not in cost.AXES:
        return ""
    ends = ", ".join(
        f"{number_text(value) if value is not None else 'never'} with every constant at its {name}"
        for name, value in (("kindest", flip.kindest), ("harshest", flip.harshest))
    )
    return f" ({ends})"


def _remarks(priced: Priced) -> Iterator[str]:
    if priced.columns:
        each = ", ".join(f"{seconds_text(s)} on {name}" for name, s in priced.columns.items())
        yield (
            f"The inverse column by column (the paper's Eq. 1) is {priced.facts.n:,} solves at the "
            f"paper's price of one: {each}."
        )
    if priced.gate_times:
        rival, seconds = next(iter(priced.gate_times.items()))
        yield (
            f"At the paper's price, the quantum solver costs less than {rival} below a gate time "
            f"of {seconds_text(seconds)}."
        )
    condition, seconds = priced.facts.spectrum.condition, priced.survey_s
    if seconds is not None and condition is not None:
        took = "takes at most" if condition.method in NOT_BY_PRODUCTS else "took"
        yield (
            f"Measuring κ and d {took} {seconds_text(seconds)} of {priced.calibration.name} "
            "(modelled), which a policy that decides by them pays on top."
        )
    if priced.split is not None and priced.quantum is not None:
        yield _deflation(priced.split, priced.quantum.quote)
    if priced.emulated is not None:
        yield _emulated(priced)


def _deflation(split: Quote, whole: Quote) -> str:
    """Return what taking the largest eigenpairs out classically would save."""
    on = f"on {machine_name(whole)}"
    if split.seconds is None or whole.seconds is None:
        return f"Hybrid split: not priced {on}, {split.refused or whole.refused}."
    if split.terms[-1].name != "deflation":
        return f"Hybrid split: no eigenpair taken out classically lowers the audited price {on}."
    return (
        f"Hybrid split: {split.assumptions[-1]}; {seconds_text(split.seconds)} {on} in place of "
        f"{seconds_text(whole.seconds)} (modelled), {seconds_text(split.terms[-1].seconds)} of it "
        "for finding them."
    )


def _emulated(priced: Priced) -> str:
    emulated = priced.emulated
    assert emulated is not None
    if emulated.refused is not None:
        return f"Not emulated: {emulated.refused}."
    words = ", ".join(
        f"{name.replace('_', ' ')} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in emulated.figures.items()
    )
    return (
        "Emulated on a random right-hand side, with a block-encoding at α = ‖A‖₂ (the audited "
        f"price takes the α of its tables): {words}."
    )


def _lines(text: str) -> list[str]:
    return filled(text, "  ")
