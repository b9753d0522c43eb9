"""The price of the quantum solver with the largest eigenpairs solved classically."""

from dataclasses import replace

from qnewton.cost.audit import Market
from qnewton.cost.given import split_quotes
from qnewton.cost.quantum import machine_quote
from qnewton.records import Facts, QuantumHardware, QuantumPart, Quote
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
    products = condition.products or facts.n
    system = (market.calibration, facts, hardware, largest, products)
    quotes = split_quotes(*system, market.audit, market.dtype)
    return replace(cheapest(quotes) or quotes[0], solver=DEFLATED)
