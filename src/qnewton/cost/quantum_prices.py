"""The cost models of the quantum solvers by name, and prices from outside. Torch-free."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from qnewton.cost.audit import Audit, Market
from qnewton.cost.audited import audited_lot, audited_quote
from qnewton.cost.deflation import DEFLATED, deflated_quote, deflated_quotes
from qnewton.cost.quantum import machine_quote, paper_quote
from qnewton.cost.scenario import Scenario
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


QSVT = "qsvt"
"""The quantum solver that every cost model prices, the paper's by another algorithm's count."""


@dataclass(frozen=True, kw_only=True)
class QuantumPrice:
    """A cost model of the quantum solvers.

    Attributes:
        name: Its name.
        title: Its name in tables.
        price: Makes the quote of solver ``qsvt`` from the facts, the market and its quantum
            machine.
        others: The same for the other quantum solvers that it prices, by their names; nobody is
            offered one that is missing.

    Raises:
        ValueError: If a price cannot be called.
    """

    name: str
    title: str
    price: PriceOnMachine
    others: Mapping[str, PriceOnMachine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limits = "must be a function of the facts, the market and the quantum machine that returns"
        for solver, price in self.prices.items():
            named = "price" if solver == QSVT else f"price of {solver!r}"
            name, holds = f"quantum price {self.name!r}: {named}", callable(price)
            check(name, price, f"{limits} a Quote", holds)

    @property
    def prices(self) -> Mapping[str, PriceOnMachine]:
        """What prices each solver."""
        return {QSVT: self.price, **self.others}


PAPER = QuantumPrice(
    name="paper",
    title="paper's",
    price=lambda facts, market, hardware: paper_quote(facts, hardware, epsilon=market.epsilon),
)
"""The paper's price: gate time × queries, with everything else free."""


def counted(audit: Audit, solver: str) -> str | None:
    """Return the algorithm whose queries price a solver; ``None`` for all that are counted."""
    # The set 'paper' counts Jennings et al. alone, who are run as QSVT.
    return None if audit.query_set == "paper" and solver == QSVT else solver


def _audited(algorithm: str) -> PriceOnMachine:
    """Return what prices a solver by the queries of the algorithm that it runs."""

    def price(facts: Facts, market: Market, hardware: QuantumHardware) -> Quote:
        known = (market.calibration, facts, hardware, market.audit, market.dtype)
        quote = audited_quote(*known, algorithm=counted(market.audit, algorithm))
        return replace(quote, solver=algorithm)

    return price


AUDITED = QuantumPrice(
    name="audited",
    title="audited",
    price=_audited(QSVT),
    others={
        **{name: _audited(name) for name in ("dalzell", "hhl", "costa")},
        DEFLATED: deflated_quote,
    },
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


def quantum_quote(facts: Facts, market: Market, solver: str = QSVT) -> Quote:
    """Price a quantum solver by the market's cost model, on its quantum machine.

    Raises:
        ValueError: If there is no such cost model, the market has no quantum machine, or a fact is
            out of the model's range.
    """
    model, hardware = QUANTUM_PRICES.get(market.quantum_price), market.hardware
    if hardware is None:
        raise ValueError("the market has no quantum machine to price; give it a hardware")

    def refused(said: str, why: str, part: QuantumPart = _NOTHING) -> Quote:
        return replace(machine_quote(hardware, said, part, refused=why), solver=solver)

    price = model.prices.get(solver)
    if price is None:
        return refused("no price", f"the {model.title} price has none of it")
    if facts.spectrum.row_sparsity == 0:
        return refused("no price", "A has no entry but zeros", QuantumPart(sparsity=0))
    if QUANTUM_PRICES.is_own(model):
        return price(facts, market, hardware)
    made = made_outside(partial(price, facts, market, hardware), solver, "quantum")
    return made if isinstance(made, Quote) else refused(model.title, made)


_NOTHING = QuantumPart()


def prices_solver(solver: str, market: Market) -> bool:
    """Return whether the market's cost model prices a quantum solver."""
    model = QUANTUM_PRICES.find(market.quantum_price)
    return solver == QSVT if model is None else solver in model.prices


def quotes_together(
    systems: Sequence[Facts], market: Market, solvers: Collection[str]
) -> dict[tuple[str, Facts], Quote]:
    """Return quotes of many systems by solver and system, where a cost model prices them together.

    The audited price does, in a fraction of the time that one by one takes.

    Args:
        systems: Facts of each.
        market: The machines, and the cost model.
        solvers: Quantum solvers, by their names.

    Raises:
        ValueError: If a fact is out of the model's range.
    """
    hardware, model = market.hardware, QUANTUM_PRICES.find(market.quantum_price)
    if hardware is None or model is not AUDITED:
        return {}
    left = [facts for facts in dict.fromkeys(systems) if facts.spectrum.row_sparsity != 0]
    known = {"calibration": market.calibration, "hardware": hardware, "dtype": market.dtype}
    scenarios = [Scenario(facts=facts, audit=market.audit, **known) for facts in left]
    found: dict[tuple[str, Facts], Quote] = {}
    for name in solvers:
        if name == DEFLATED:
            quotes = deflated_quotes(left, market, hardware)
        else:
            priced = audited_lot(scenarios, counted(market.audit, name))
            quotes = [replace(each.quote, solver=name) for each in priced]
        found |= {(name, facts): quote for facts, quote in zip(left, quotes, strict=True)}
    return found
