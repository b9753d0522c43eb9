"""What ``qnewton price`` says: the verdict, one table, its assumptions, and what was refused."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table

from qnewton import cost
from qnewton.cli.priced import Priced, ordered
from qnewton.cost.break_even import TOGETHER
from qnewton.cost.error_correction import machine_refusal
from qnewton.cost.parts import singular_to_rounding
from qnewton.cost.rivals import is_whole
from qnewton.cost.solvers import SOLVERS
from qnewton.records import Facts, Quote
from qnewton.report.quantities import number_text, seconds_text
from qnewton.report.style import solver_look
from qnewton.report.words import machine_name

WIDTH = 80
_MOST_OF_A_NAME = 24
_HYPOTHETICAL = " is hypothetical: no such machine exists"
_NO_RIVAL = "no rival, since its price leaves a part of the solve out"


def shown(priced: Priced, *, verbose: bool = False) -> RenderableType:
    """Return what a terminal shows, 80 columns wide.

    Args:
        priced: What was found.
        verbose: Whether every price is shown, and all that hangs on the choice.
    """
    notes = _Notes()
    system = notes.of(priced.facts.notes)
    parts: list[RenderableType] = [*_verdict(priced), "", _table(priced, notes, verbose)]
    if system:
        parts.append(f"The system itself rests on {system}.")
    parts += ["Assumptions, by number:", *notes.lines(), *_refusals(priced)]
    if verbose:
        # Not at the top: most calls do without.
        from qnewton.cli.price_details import details

        parts += details(priced)
    elif priced.scenario is not None:
        more = "shows every price, the audited one term by term, what would change the choice, and"
        parts += ["", *filled(f"--verbose {more} which constants matter.")]
    parts += [f"wrote {path}" for path in priced.written]
    return Group(*parts)


def filled(text: str, indent: str = "") -> list[str]:
    """Return a text in lines of a terminal, all but the first indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent)


def _verdict(priced: Priced) -> Iterator[str]:
    """Give the cheapest that exists, the cheapest quantum price, and what would have to change."""
    rival, found = priced.rival, priced.quantum
    if rival is None or rival.seconds is None:
        yield "Classical: no solver has a price; the reasons are below."
    else:
        took = seconds_text(rival.seconds)
        yield from filled(f"Classical: {solver_text(rival)} on {rival.hardware} takes {took}.")
    if found is None or found.quote.seconds is None:
        yield "Quantum: no machine has an audited price; the reasons are below."
        return
    quote, seconds = found.quote, found.quote.seconds
    said = f"Quantum, audited: {solver_text(quote)} on {machine_name(quote)} takes "
    said += f"{seconds_text(seconds)}{_between(quote)}"
    if rival is None or not rival.seconds or priced.certainty is None:
        yield from filled(f"{said}.")
        return
    ratio = seconds / rival.seconds
    loses = ratio > 1
    times = f"{number_text(ratio)} times as long" if loses else f"1/{number_text(1 / ratio)} of it"
    yield from filled(f"{said}, {times}.")
    assert priced.scenario is not None
    hardware, method = priced.scenario.hardware, priced.scenario.audit.error_correction
    if method == "perfect" and machine_refusal(hardware, "closed-form") is not None:
        yield from filled(f"{hardware.name} has a price only since its gates are taken as perfect.")
    winner = "classical" if loses else "quantum"
    yield from filled(f"The {winner} solver wins, {priced.certainty.value}. {_change(priced)}")


def _between(quote: Quote) -> str:
    if quote.low is None:
        return ""
    high = "without limit" if quote.high is None else f"to {seconds_text(quote.high)}"
    return f" ({seconds_text(quote.low)} {high})"


def _change(priced: Priced) -> str:
    """Return what would have to change for the other solver to win."""
    assert priced.scenario is not None
    enough = [flip for flip in priced.flips if flip.flips]
    said = []
    for flip in enough:
        axis = cost.AXES.get(flip.assumption)
        if axis is not None:
            now = quantity_text(axis, axis.now(priced.scenario))
            said.append(f"{axis.quantity}: {quantity_text(axis, flip.value)} (now {now})")
    named = [flip for flip in enough if flip.value is None]
    said += [_named(flip) for flip in named if flip.assumption != TOGETHER]
    if said:
        return f"One change is enough: {'; or '.join(said)}."
    alone = "No single assumption changes that, within its whole range"
    return "; ".join([alone, *(f"{_named(flip)}, would" for flip in named)]) + "."


def _named(flip: cost.Flip) -> str:
    return flip.said.partition(":")[0]


def quantity_text(axis: cost.Axis, value: float | None) -> str:
    """Return a value of an assumption with its unit, in the notation of all numbers here."""
    if axis.unit == "s":
        return seconds_text(value)
    return f"{number_text(value)} {axis.unit}".rstrip()


def solver_text(quote: Quote) -> str:
    """Return the name of a solver or an algorithm for people."""
    known = SOLVERS.find(quote.name)
    title = solver_look(quote.name).label if known is None else known.title
    return title.removeprefix("Quantum (").removesuffix(")")


@dataclass
class _Notes:
    """Assumptions, numbered as they come."""

    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, said: Sequence[str]) -> str:
        """Return the numbers of some assumptions, in short."""
        kept = (note for note in said if not note.endswith(_HYPOTHETICAL))
        found = sorted({self.numbers.setdefault(note, len(self.numbers) + 1) for note in kept})
        spans: list[list[int]] = []
        for number in found:
            if spans and number == spans[-1][-1] + 1:
                spans[-1].append(number)
            else:
                spans.append([number])
        return " ".join(f"{s[0]}-{s[-1]}" if len(s) > 1 else f"{s[0]}" for s in spans)

    def lines(self) -> Iterator[str]:
        """Give every assumption behind its number."""
        for note, number in self.numbers.items():
            yield from filled(f"{number:3d} {note}", "    ")


def _table(priced: Priced, notes: _Notes, verbose: bool) -> Table:
    table = Table(title=_system(priced.facts), title_justify="left", box=None, width=WIDTH)
    rows = _every(priced) if verbose else _best(priced)
    machines = [f"{quote.hardware}{'*' * quote.hypothetical}" for quote in rows]
    # Two machines may differ in their last letter: a name folds, and only where it is very long.
    widest = min(_MOST_OF_A_NAME, max(map(len, machines), default=0))
    table.add_column("solver", overflow="fold")
    table.add_column("machine", overflow="fold", min_width=widest)
    for header in ("seconds", "from", "to"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("notes", overflow="fold")
    for quote, machine in zip(rows, machines, strict=True):
        ends = ("", "") if quote.low is None else (_short(quote.low), _short(quote.high))
        kind = {"classical": "", "quantum": f", {_price_of(quote)}"}[quote.machine]
        cells = (f"{solver_text(quote)}{kind}", machine, _short(quote.seconds), *ends)
        own = () if is_whole(quote) else (_NO_RIVAL,)
        table.add_row(*cells, notes.of((*quote.assumptions, *own)))
    if any(quote.hypothetical for quote in rows):
        table.caption, table.caption_justify = "* hypothetical: no such machine exists", "left"
    return table


def _short(seconds: float | None) -> str:
    return "∞" if seconds is None else f"{seconds:.3g}"


def _price_of(quote: Quote) -> str:
    """Return which of a quantum solver's prices it is."""
    terms = {term.name for term in quote.terms}
    return "audited" if "block-encoding" in terms else "paper's"


def _every(priced: Priced) -> list[Quote]:
    """Return every quote with a price, cheap to dear; those of a part of the solve come last."""
    audited = (found.quote for found in priced.audited)
    found = ordered([*priced.rivals, *priced.paper, *priced.others, *audited])
    kept = [quote for quote in found if quote.seconds is not None]
    return sorted(kept, key=lambda quote: not is_whole(quote))


def _best(priced: Priced) -> list[Quote]:
    """Return the cheapest of each kind on each machine, and the paper's own rival, LU inversion."""
    kept: dict[tuple[str, str], Quote] = {}
    for quote in _every(priced):
        kind = _price_of(quote) if quote.machine == "quantum" else quote.machine
        if quote.solver == "lu_inverse":
            kind = quote.solver
        kept.setdefault((kind, quote.hardware), quote)
    return list(kept.values())


def _system(facts: Facts) -> str:
    condition = facts.spectrum.condition
    kappa = "unknown" if condition is None else condition.describe()
    if singular_to_rounding(facts):
        kappa += ", singular to rounding"
    d = facts.spectrum.row_sparsity or facts.n
    return f"Modelled seconds of one solve: N = {facts.n:,}, κ = {kappa}, d = {d:,}"


def _refusals(priced: Priced) -> Iterator[str]:
    """Give why there is no price, one line per reason."""
    audited = [found.quote for found in priced.audited]
    by_reason: dict[str, dict[str, None]] = {}
    for quote in [*priced.rivals, *priced.paper, *priced.others, *audited]:
        if quote.refused is None:
            continue
        reason = quote.refused.replace(f"profile {quote.hardware} ", "it ")
        reason = reason.replace(f"{quote.hardware} is ", "it is ").rstrip(".")
        by_machine = quote.machine == "quantum"
        who = f"{_model(quote)} on {quote.hardware}" if by_machine else solver_text(quote)
        by_reason.setdefault(reason, {})[who] = None
    if by_reason:
        yield "No price:"
    for reason, who in by_reason.items():
        yield from filled(f"  - {', '.join(who)}: {reason}.", "    ")


def _model(quote: Quote) -> str:
    return "audited" if quote.model.startswith("audited") else "paper's"
