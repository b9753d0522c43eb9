"""Tables of prices: every quote, one quote's terms, and what flips the choice."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from qnewton.cost import Flip, cheapest
from qnewton.records import Calibration, QuantumHardware, Quote


def quote_table(title: str, quotes: Sequence[Quote], calibration: Calibration) -> Table:
    """Return every quote, with the assumptions of all of them below."""
    notes = dict.fromkeys(note for quote in quotes for note in quote.assumptions)
    table = Table(
        title=title,
        caption=(
            f"classical machine: {calibration.machine} ({calibration.source})\nassumptions:\n"
            + "\n".join(f"• {note}" for note in notes)
        ),
        caption_justify="left",
    )
    table.add_column("solver")
    table.add_column("machine")
    table.add_column("modelled seconds", justify="right")
    table.add_column("model")
    for quote in quotes:
        seconds = "refused" if quote.seconds is None else f"{quote.seconds:.3g}"
        table.add_row(quote.name, machine_text(quote), seconds, quote.refused or quote.model)
    return table


def machine_text(quote: Quote) -> str:
    """Return the machine of a quote, marked where it does not exist."""
    return f"{quote.hardware} (hypothetical)" if quote.hypothetical else quote.hardware


def verdict_line(quotes: Sequence[Quote], audited: Sequence[Quote]) -> str | None:
    """Return who wins: the cheapest classical price of this system, as held, or the audited one.

    ``None`` where either side has no price.
    """
    rival = cheapest(quote for quote in quotes if quote.machine == "classical")
    quantum = cheapest(audited)
    if rival is None or quantum is None or rival.seconds is None or quantum.seconds is None:
        return None
    held = " by its entries" if rival.representation == "sparse" else ""
    winner = "the quantum" if quantum.seconds < rival.seconds else "the classical"
    return (
        f"{winner} solver wins: {quantum.name} on {machine_text(quantum)} takes "
        f"{quantum.seconds:.3g} s audited, the best classical solver of the same system{held}, "
        f"{rival.solver}, {rival.seconds:.3g} s (modelled)"
    )


def term_table(quote: Quote, hardware: QuantumHardware) -> Table:
    """Return the terms of an audited price: what each adds to those before it."""
    # Not at the top: the report room loads its pictures' library.
    from qnewton.report.quantities import number_text, seconds_text, share_text

    assert quote.seconds is not None
    assert quote.quantum is not None
    run, count = quote.quantum, quote.quantum.query_count
    qubits = "not priced" if run.physical_qubits is None else f"{run.physical_qubits:,}"
    table = Table(
        title=f"Audited price on {machine_text(quote)}: modelled, term by term",
        caption=(
            f"{'' if count is None else f'{number_text(count.expected)} queries a state'}, "
            f"{number_text(run.t_count)} T gates, {run.logical_qubits:,} logical qubits, "
            f"physical qubits: {qubits}; two-qubit gate {seconds_text(hardware.gate_time_s.value)} "
            f"({hardware.gate_time_s.source}, {hardware.gate_time_s.date})"
        ),
        caption_justify="left",
    )
    table.add_column("term")
    table.add_column("modelled seconds it adds", justify="right")
    table.add_column("", justify="right")
    table.add_column("share", justify="right")
    for term in (*quote.terms,):
        share = share_text(term.seconds / quote.seconds)
        table.add_row(term.name, f"{term.seconds:.3g}", seconds_text(term.seconds), share)
    table.add_row("sum", f"{quote.seconds:.3g}", seconds_text(quote.seconds), "")
    return table


def deflation_line(split: Quote, whole: Quote) -> str:
    """Return what taking the largest eigenpairs out classically would save."""
    on = f"on {machine_text(whole)}"
    if split.seconds is None or whole.seconds is None:
        return f"hybrid split: not priced {on}, {split.refused or whole.refused}"
    if split.terms[-1].name != "deflation":
        return f"hybrid split: no eigenpair taken out classically lowers the audited price {on}"
    return (
        f"hybrid split: {split.assumptions[-1]}; {split.seconds:.3g} s {on} in place of "
        f"{whole.seconds:.3g} s (modelled), {split.terms[-1].seconds:.3g} s of it for finding them"
    )


def flip_lines(flips: Iterable[Flip]) -> list[str]:
    """Return one line an assumption; its last says so where nothing flips the choice."""
    flips = list(flips)
    lines = [f"  {'→' if flip.flips else '·'} {flip.said}" for flip in flips]
    if not any(flip.flips for flip in flips if flip.assumption != "classical competitor"):
        lines.append("  nothing flips it: no single assumption does, within its whole range")
    return lines
