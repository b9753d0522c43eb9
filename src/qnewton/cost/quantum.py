"""What the quantum linear solver costs by the paper's model; ``audited`` has the other one."""

import math
from dataclasses import replace
from typing import Any

from qnewton.queries import JENNINGS_MIN_KAPPA, jennings_2023, logical_qubits
from qnewton.records import Facts, PriceTerm, QuantumHardware, QuantumPart, QueryCount, Quote
from qnewton.records.messages import check

PAPER_EPSILON = 1e-12
"""Error tolerance of the paper's prices (arXiv:2405.00252, IV-C)."""

MINIMAL_ANCILLAS = 1
"""Fewest ancilla qubits that can block-encode a matrix that is not itself unitary."""

_MODEL = "gate time × expected queries of Jennings et al. 2023 (paper, Algorithm 2)"
_ASSUMPTIONS = (
    "priced by Jennings et al. 2023 (the paper's count); run as QSVT",
    "one gate a query",
    "state preparation, block-encoding, read-out and error correction are free",
    "alpha = d taken literally, where the theorem has alpha relative to the norm of A",
    f"{MINIMAL_ANCILLAS} block-encoding ancilla, the fewest possible; sparse access needs more",
)

_SOURCES = {"determinant": "from the determinant, as the paper estimates it", "given": "as given"}
"""Where κ of a price is from, by the method of its bound."""


def paper_quote(
    facts: Facts,
    hardware: QuantumHardware,
    *,
    epsilon: float = PAPER_EPSILON,
    sparsity: int | None = None,
    bound: str = "determinant",
) -> Quote:
    """Price the quantum solver as the paper does: seconds = t_gate × Q*(α=d, κ, ε)/p.

    κ is a bound among ``facts.spectrum.bounds``, d the most kept entries in a row. A bound below
    √12 is priced at √12 and the quote says so.

    Args:
        facts: Facts of the system actually solved; N, the bound on κ and ``row_sparsity`` are
            read.
        hardware: The quantum machine; its ``gate_time_s`` is read.
        epsilon: Error of the solution state.
        sparsity: d to price in place of ``facts.spectrum.row_sparsity``.
        bound: Method of the bound to price; the paper's is ``determinant``.

    Returns:
        The quote of solver ``qsvt``, which is what runs here for it, named ``jennings`` by its
        ``algorithm``. It is refused when the bound or d is not known, or when the bound, the
        count or the price overflows.

    Raises:
        ValueError: If ε is outside the theorem, d is not between 1 and N, or κ is below 1.

    Cost:
        A few dozen scalar operations.

    Reference:
        Li et al., arXiv:2405.00252, II-E, IV-C and Algorithm 2; the count is
        :func:`qnewton.queries.jennings_2023`.

    Example:
        >>> from qnewton.cost import load_hardware
        >>> from qnewton.records import Estimate, Spectrum
        >>> kappa = Estimate(value=100.0, low=None, high=100.0, method="determinant", products=0)
        >>> facts = Facts(n=1482, spectrum=Spectrum(bounds=(kappa,), row_sparsity=64))
        >>> quote = paper_quote(facts, load_hardware("photonic-ghz"), epsilon=1e-10)
        >>> f"{quote.seconds:.6f} s, {quote.quantum.logical_qubits} logical qubits"
        '0.003455 s, 18 logical qubits'
    """
    kappa, reason = _bound(facts, bound)
    d = facts.spectrum.row_sparsity if sparsity is None else sparsity
    part = QuantumPart(algorithm="jennings", sparsity=d, epsilon=epsilon)

    def refused(why: str) -> Quote:
        return machine_quote(hardware, _MODEL, part, assumptions=_ASSUMPTIONS, refused=why)

    if kappa is None:
        return refused(reason)
    if d is None:
        return refused("the row sparsity of A was not measured")
    check("sparsity", d, f"must lie between 1 and n = {facts.n}", 1 <= d <= facts.n)
    priced_at = max(kappa, JENNINGS_MIN_KAPPA)
    try:
        count = jennings_2023(alpha=float(d), kappa=priced_at, epsilon=epsilon)
    except OverflowError as overflow:
        return refused(str(overflow))
    seconds = hardware.gate_time_s.value * count.expected
    if not math.isfinite(seconds):
        asked = f"gate time × {count.expected:.4g} expected queries"
        return refused(f"{asked} exceeds the largest float64")
    qubits = logical_qubits(facts.n, MINIMAL_ANCILLAS)
    part = replace(part, query_count=count, logical_qubits=qubits)
    terms = (PriceTerm(name="queries", seconds=seconds),)
    own = (f"κ = {kappa:.4g} {_SOURCES.get(bound, f'by {bound}')}", f"ε = {epsilon:g}")
    said = (*own, *_ASSUMPTIONS, *hypothetical(hardware), *raised_condition(kappa))
    price = {"seconds": seconds, "terms": terms, "condition_number": priced_at}
    return machine_quote(hardware, _MODEL, part, assumptions=said, **price)


def machine_quote(hardware: QuantumHardware, model: str, part: QuantumPart, **price: Any) -> Quote:
    """Return a quote of the quantum solver; without ``seconds`` among the fields it is refused."""
    fields: dict[str, Any] = {"seconds": None, "hypothetical": hardware.hypothetical} | price
    machine = {"hardware": hardware.name, "model": model, "quantum": part}
    return Quote(solver="qsvt", machine="quantum", **machine, **fields)


def hypothetical(hardware: QuantumHardware) -> tuple[str, ...]:
    """Return the assumption that a machine exists which does not."""
    said = f"{hardware.name} is hypothetical: no such machine exists"
    return (said,) if hardware.hypothetical else ()


def raised_condition(kappa: float) -> tuple[str, ...]:
    """Return the assumption that κ is larger than it is, where the theorem asks for more."""
    said = f"κ = {kappa:.4g} lies below the theorem's √12 and is priced at √12 = 3.464"
    return (said,) if kappa < JENNINGS_MIN_KAPPA else ()


def break_even_gate_time(classical_seconds: float, query_count: QueryCount) -> float:
    """Return the gate time at which a paper price equals a classical one, in seconds.

    t_gate = classical seconds / expected queries: below it the quantum solver is cheaper.

    Args:
        classical_seconds: The classical price to meet, in seconds.
        query_count: The quantum solver's count on the same system.

    Raises:
        ValueError: If the classical price is not finite and positive.

    Cost:
        One division.

    Reference:
        Li et al., arXiv:2405.00252, Algorithm 2, lines 5-7, with R_c = R_q.

    Example:
        >>> count = jennings_2023(alpha=64.0, kappa=100.0, epsilon=1e-10)
        >>> f"{break_even_gate_time(3.455178, count):.3g}"
        '1e-06'
    """
    limits = "must be finite and above 0"
    check("classical_seconds", classical_seconds, limits, classical_seconds > 0)
    return classical_seconds / query_count.expected


def _bound(facts: Facts, method: str) -> tuple[float | None, str]:
    """Return the bound on κ that ``method`` gave, or ``None`` and why there is no usable one."""
    name = f"the {method} bound on κ"
    bound = facts.spectrum.bound(method)
    if bound is None:
        return None, f"{name} was not measured"
    if bound.value is None or not math.isfinite(bound.value):
        if bound.log_value is None or not math.isfinite(bound.log_value):
            if bound.method == "lanczos":
                return None, f"{name} is not known, {bound.describe()}"
            return None, f"{name} is not finite: A is singular to rounding"
        return None, f"{name} overflows: ln κ = {bound.log_value:.6g}"
    check(name, bound.value, "must be at least 1", bound.value >= 1)
    return bound.value, ""
