"""The cost models of the quantum solver by name, and prices from outside. Torch-free."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from qnewton.cost.audit import Market
from qnewton.cost.audited import audited_quote
from qnewton.cost.deflation import DEFLATED, deflated_quote
from qnewton.cost.quantum import machine_quote, paper_quote
from qnewton.records import Facts, MachineKind, QuantumHardware, QuantumPart, Quote, decode, encode
from qnewton.records.messages import check, one_line, shown
from qnewton.records.registry import Registry


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


PriceOnMachine = Callable[[Facts, Market, QuantumHardware], Quote]
"""What prices a system on a quantum machine."""


@dataclass(frozen=True, kw_only=True)
class QuantumPrice:
    """A cost model of the quantum solver.

    Attributes:
        name: Its name.
        title: Its name in tables.
        price: Makes the quote from the facts, the market and its quantum machine.
        deflated: The same of a solve whose largest eigenpairs are solved classically; ``None``
            for a model that does not price that, so that nobody is offered it.

    Raises:
        ValueError: If ``price`` cannot be called.
    """

    name: str
    title: str
    price: PriceOnMachine
    deflated: PriceOnMachine | None = None

    def __post_init__(self) -> None:
        limits = "must be a function of the facts, the market and the quantum machine that returns"
        name, holds = f"quantum price {self.name!r}: price", callable(self.price)
        check(name, self.price, f"{limits} a Quote", holds)


PAPER = QuantumPrice(
    name="paper",
    title="paper's",
    price=lambda facts, market, hardware: paper_quote(facts, hardware, epsilon=market.epsilon),
)
"""The paper's price: gate time × queries, with everything else free."""

AUDITED = QuantumPrice(
    name="audited",
    title="audited",
    price=lambda facts, market, hardware: audited_quote(
        market.calibration, facts, hardware, market.audit, market.dtype
    ),
    deflated=deflated_quote,
)
"""The price with every term, under the market's audit."""

QUANTUM_PRICES: Registry[QuantumPrice] = Registry(
    "quantum price", "qnewton.quantum_prices", (PAPER, AUDITED), of=QuantumPrice
)
"""Every cost model of the quantum solver."""


def registered_quotes(facts: Facts, market: Market) -> list[Quote]:
    """Return the quotes of the cost models that do not come with the package."""
    models = [model for model in QUANTUM_PRICES if not QUANTUM_PRICES.is_own(model)]
    return [quantum_quote(facts, replace(market, quantum_price=model.name)) for model in models]


def quantum_quote(facts: Facts, market: Market) -> Quote:
    """Price the quantum solver by the market's cost model, on its quantum machine.

    Raises:
        ValueError: If there is no such cost model, the market has no quantum machine, or a fact is
            out of the model's range.
    """
    model = QUANTUM_PRICES.get(market.quantum_price)
    return _priced(model, model.price, "qsvt", facts, market)


def deflated_quantum_quote(facts: Facts, market: Market) -> Quote:
    """Price the quantum solver with the largest eigenpairs solved classically.

    Raises:
        ValueError: As :func:`quantum_quote`, and if the market's cost model prices none.
    """
    model = QUANTUM_PRICES.get(market.quantum_price)
    if model.deflated is None:
        raise ValueError(f"the quantum price {model.name!r} prices no deflated solve")
    return _priced(model, model.deflated, DEFLATED, facts, market)


def prices_deflation(market: Market) -> bool:
    """Return whether the market's cost model prices a deflated solve."""
    model = QUANTUM_PRICES.find(market.quantum_price)
    return model is not None and model.deflated is not None


def _priced(
    model: QuantumPrice, price: PriceOnMachine, solver: str, facts: Facts, market: Market
) -> Quote:
    hardware = market.hardware
    if hardware is None:
        raise ValueError("the market has no quantum machine to price; give it a hardware")
    if facts.spectrum.row_sparsity == 0:
        zeros = "A has no entry but zeros"
        quote = machine_quote(hardware, "no price", QuantumPart(sparsity=0), refused=zeros)
        return replace(quote, solver=solver)
    if QUANTUM_PRICES.is_own(model):
        return price(facts, market, hardware)
    made = made_outside(partial(price, facts, market, hardware), solver, "quantum")
    if isinstance(made, Quote):
        return made
    return replace(machine_quote(hardware, model.title, QuantumPart(), refused=made), solver=solver)
