"""Quotes that prices from outside the package make. Torch-free."""

from collections.abc import Callable
from dataclasses import replace

from qnewton.records import MachineKind, Quote, decode, encode
from qnewton.records.messages import one_line, shown


def made_outside(make: Callable[[], Quote], solver: str, machine: MachineKind) -> Quote | str:
    """Return the quote that a price from outside makes, or why it cannot be used."""
    try:
        quote = make()
        if isinstance(quote, Quote) and quote.seconds is not None:
            quote = replace(quote, seconds=float(quote.seconds))  # of numpy or torch, too
    except Exception as error:  # noqa: BLE001  # a stranger's price may raise anything
        return f"its price raised {type(error).__name__}: {one_line(error)}"
    if not isinstance(quote, Quote):
        return f"its price returned {shown(quote)}, which is no Quote"
    if (quote.solver, quote.machine) != (solver, machine):
        return f"its price returned a quote of {quote.solver!r} on a {quote.machine} machine"
    if quote.seconds is None and quote.refused is None:
        return "its price gave neither seconds nor a reason"
    try:
        decode(Quote, encode(quote))  # as a record of the step is written and read
    except (TypeError, ValueError) as misfit:
        return f"its price returned a quote whose fields are not of their types: {one_line(misfit)}"
    return quote
