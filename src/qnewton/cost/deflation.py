"""The price of the quantum solver with the largest eigenpairs solved classically."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qnewton.cost.audit import Market
from qnewton.cost.audited import audited, audited_lot
from qnewton.cost.cheapest_designs import SAMPLED, quantum_prices
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
    return deflated_quotes([facts], market, hardware)[0]


def deflated_quotes(
    systems: Sequence[Facts], market: Market, hardware: QuantumHardware
) -> list[Quote]:
    """Return the quotes of many systems, as :func:`deflated_quote` makes each, priced together."""
    # The rest is solved by QSVT, whose count the paper set has another one for.
    algorithm = None if market.audit.query_set == "paper" else "qsvt"
    found: dict[int, Quote] = {}
    splits: list[Splittable] = []
    for place, facts in enumerate(systems):
        condition, largest = facts.spectrum.condition, facts.spectrum.largest
        if condition is None or condition.value is None or len(largest) < 2:
            refused = "κ and the largest eigenvalues are not both known; a survey tells them"
            found[place] = machine_quote(
                hardware, "audited, deflated", QuantumPart(), refused=refused
            )
            continue
        known = {"facts": facts, "calibration": market.calibration, "hardware": hardware}
        scenario = Scenario(**known, audit=market.audit, dtype=market.dtype)
        splits.append(Splittable(scenario, largest, condition.products or facts.n))
    left = (place for place in range(len(systems)) if place not in found)
    found |= dict(zip(left, split_quotes(splits, algorithm), strict=True))
    return [replace(found[place], solver=DEFLATED) for place in range(len(systems))]


@dataclass(frozen=True)
class Splittable:
    """A system whose largest eigenvalues are known.

    Attributes:
        scenario: The system, the machines, and what is assumed.
        largest: The largest |λ| in falling order, two at least.
        products: Products with A that finding their vectors takes.
    """

    scenario: Scenario
    largest: Sequence[float]
    products: int

    def rests(self) -> list[Scenario]:
        """Return what is left with 1, 2, … eigenpairs taken out."""
        facts, counts = self.scenario.facts, range(1, len(self.largest))
        rests = (deflated_facts(facts, self.largest, count) for count in counts)
        return [replace(self.scenario, facts=rest) for rest in rests]

    def finding(self, count: int) -> Draft:
        """Return what finding eigenpairs and projecting by them costs."""
        scenario = self.scenario
        draft = Draft("qsvt", scenario.calibration, scenario.facts, scenario.dtype, "")
        # Ritz vectors, projection out of g and of the product, and back: some k·N each.
        work = float(scenario.facts.n) * count * (self.products + 4)
        return draft.add_products(self.products).add("vectors", "elementwise", work)


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
    split = split_quotes([Splittable(scenario, largest, products)])
    return cheapest([whole, *split]) or whole


def split_quotes(systems: Sequence[Splittable], algorithm: str | None = None) -> list[Quote]:
    """Return for each system the audited quote of its cheapest split, one eigenpair or more.

    A quote's quantum part says k, and it has the term ``deflation``; it is refused where no rest
    has a price, or finding the pairs has none.

    Args:
        systems: Which.
        algorithm: What solves the rest; ``None`` for the cheapest.

    Raises:
        ValueError: As :func:`qnewton.cost.deflated_facts`.
    """
    rests = [system.rests() for system in systems]
    ends = np.cumsum([0, *map(len, rests)])
    every = [rest for each in rests for rest in each]
    # In lots that are small enough for every design to be tried.
    lots = (every[start : start + SAMPLED] for start in range(0, len(every), SAMPLED))
    seconds = np.concatenate([np.empty(0), *(quantum_prices(s, algorithm)[LIKELY] for s in lots)])
    best, finding = [], []
    for system, start, end in zip(systems, ends[:-1], ends[1:], strict=True):
        drafts = [system.finding(count) for count in range(1, end - start + 1)]
        whole = seconds[start:end] + [draft.seconds for draft in drafts]
        # Where none has a price the first one says why.
        best.append(int(np.nanargmin(whole)) if np.isfinite(whole).any() else 0)
        finding.append(drafts[best[-1]])
    chosen = [each[place] for each, place in zip(rests, best, strict=True)]
    priced = audited_lot(chosen, algorithm)
    found = zip(priced, best, finding, strict=True)
    return [_with_finding(each.quote, place + 1, draft) for each, place, draft in found]


def _with_finding(quote: Quote, count: int, finding: Draft) -> Quote:
    """Return the price of a rest with what finding the eigenpairs costs."""
    if quote.quantum is not None:
        quote = replace(quote, quantum=replace(quote.quantum, deflated=count))
    if quote.seconds is None:
        return quote
    if finding.refused is not None:
        return replace(quote, seconds=None, terms=(), refused=finding.refused)
    said = f"the {count} largest eigenpairs are found and solved classically; the rest is dense"
    terms = (*quote.terms, PriceTerm(name="deflation", seconds=finding.seconds))
    return quote.with_terms(terms, assumptions=(*quote.assumptions, said))
