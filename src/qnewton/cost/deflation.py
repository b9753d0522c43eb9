"""The price of the quantum solver with the largest eigenpairs solved classically."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qnewton.cost.audit import Market
from qnewton.cost.audited import audited
from qnewton.cost.cheapest_designs import quantum_prices
from qnewton.cost.designs import LIKELY
from qnewton.cost.given import deflated_facts
from qnewton.cost.parts import Draft
from qnewton.cost.quantum import machine_quote
from qnewton.cost.scenario import Scenario
from qnewton.records import Facts, PriceTerm, QuantumHardware, QuantumPart, Quote
from qnewton.records.quotes import cheapest

DEFLATED = "deflated_qsvt"
"""The solver that takes the largest eigenpairs out."""


def deflated_quote(facts: Facts, market: Market, hardware: QuantumHardware) -> Quote:
    """Return the audited quote of the cheapest split, one eigenpair taken out or more.

    Finding the pairs is priced at the products that the survey took to see them, N where it took
    all eigenvalues.

    Args:
        facts: Facts of A; its largest |λ| from a survey.
        market: The machines, and what the audited price assumes.
        hardware: The quantum machine.

    Returns:
        The quote, refused where κ or the largest |λ| are not known; ``quantum.deflated`` is k.

    Cost: one audited price a split, of which there are eight at most.

    Reference: Li et al., arXiv:2405.00252, VI-B (low-rank structure).

    Example:
        >>> from qnewton.cost import kappa_facts, load_hardware, nominal_calibration
        >>> facts, machine = kappa_facts(4096, 1e6, 4096), load_hardware("qubit_gate_ns_e3")
        >>> known = replace(facts.spectrum, largest=(1e4, 1e4, 10.0))
        >>> market = Market(nominal_calibration(), machine)
        >>> deflated_quote(replace(facts, spectrum=known), market, machine).quantum.deflated
        2
        >>> deflated_quote(facts, market, machine).refused
        'κ and the largest eigenvalues are not both known; a survey tells them'
    """
    condition, largest = facts.spectrum.condition, facts.spectrum.largest
    if condition is None or condition.value is None or len(largest) < 2:
        refused = "κ and the largest eigenvalues are not both known; a survey tells them"
        quote = machine_quote(hardware, "audited, deflated", QuantumPart(), refused=refused)
        return replace(quote, solver=DEFLATED)
    known = {"facts": facts, "calibration": market.calibration, "hardware": hardware}
    scenario = Scenario(**known, audit=market.audit, dtype=market.dtype)
    # The rest is solved by QSVT, whose count the paper set has another one for.
    algorithm = None if market.audit.query_set == "paper" else "qsvt"
    quote = split_quote(scenario, largest, condition.products or facts.n, algorithm)
    return replace(quote, solver=DEFLATED)


def deflation_quote(scenario: Scenario, largest: Sequence[float], products: int) -> Quote:
    """Price the best split: k = 0…len(largest)-1 eigenpairs taken out, the cheapest k.

    Args:
        scenario: The system, the machines, and what is assumed.
        largest: The largest |λ| in falling order.
        products: Products with A that finding them takes (Lanczos).

    Returns:
        The audited quote of the cheapest split, with the term ``deflation`` where k > 0.

    Raises:
        ValueError: As :func:`qnewton.cost.deflated_facts`.

    Cost: Some milliseconds.

    Example:
        >>> from qnewton.cost import kappa_facts, load_hardware, nominal_calibration
        >>> here = Scenario(facts=kappa_facts(4096, 1e6, 4096), calibration=nominal_calibration(),
        ...                 hardware=load_hardware("qubit_gate_ns_e3"))
        >>> deflation_quote(here, [1e4, 10.0], products=40).terms[-1].name
        'deflation'
    """
    whole = audited(scenario).quote
    if len(largest) < 2:
        return whole
    return cheapest([whole, split_quote(scenario, largest, products)]) or whole


def split_quote(
    scenario: Scenario, largest: Sequence[float], products: int, algorithm: str | None = None
) -> Quote:
    """Return the audited quote of the cheapest split, one eigenpair taken out or more.

    Its quantum part says k, and it has the term ``deflation``; it is refused where no rest has a
    price, or finding the pairs has none.

    Args:
        scenario: The system, the machines, and what is assumed.
        largest: The largest |λ| in falling order, two at least.
        products: Products with A that finding them takes.
        algorithm: What solves the rest; ``None`` for the cheapest.

    Raises:
        ValueError: As :func:`qnewton.cost.deflated_facts`.
    """
    facts, counts = scenario.facts, range(1, len(largest))
    known = (scenario.calibration, facts, scenario.dtype, "")
    finding = [
        # Ritz vectors, projection out of g and of the product, and back: some k·N each.
        Draft("qsvt", *known)
        .add_products(products)
        .add("vectors", "elementwise", float(facts.n) * count * (products + 4))
        for count in counts
    ]
    rests = [replace(scenario, facts=deflated_facts(facts, largest, count)) for count in counts]
    seconds = quantum_prices(rests, algorithm)[LIKELY] + [draft.seconds for draft in finding]
    # Where none has a price the first one says why.
    best = int(np.nanargmin(seconds)) if np.isfinite(seconds).any() else 0
    quote, found = audited(rests[best], algorithm).quote, finding[best]
    if quote.quantum is not None:
        quote = replace(quote, quantum=replace(quote.quantum, deflated=counts[best]))
    if quote.seconds is None:
        return quote
    if found.refused is not None:
        return replace(quote, seconds=None, terms=(), refused=found.refused)
    said = (
        f"the {counts[best]} largest eigenpairs are found and solved classically; the rest is dense"
    )
    terms = (*quote.terms, PriceTerm(name="deflation", seconds=found.seconds))
    return quote.with_terms(terms, assumptions=(*quote.assumptions, said))
