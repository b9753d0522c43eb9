"""The audited price of a quantum solve: every term on the table, every assumption in the quote."""

import math
from collections.abc import Sequence

from qnewton.cost.audit import DEFAULT_AUDIT, Audit
from qnewton.cost.block_encoding import (
    BlockEncoding,
    LogicalGates,
    dense_encoding,
    rotation_t_gates,
    sparse_encoding,
    state_preparation,
)
from qnewton.cost.error_correction import Corrected, error_corrected
from qnewton.cost.error_shares import WIDENED, ErrorShares
from qnewton.cost.parts import Draft
from qnewton.cost.queries import (
    JENNINGS_MIN_KAPPA,
    QUERY_ALGORITHMS,
    logical_qubits,
    query_count,
)
from qnewton.cost.readout import shots
from qnewton.records import (
    Calibration,
    Facts,
    PriceTerm,
    QuantumHardware,
    QuantumPart,
    QueryCount,
    Quote,
    Sparse,
)

_Gates = tuple[float, float, Sequence[tuple[str, float]], float]


def audited_quote(
    calibration: Calibration,
    facts: Facts,
    hardware: QuantumHardware,
    audit: Audit = DEFAULT_AUDIT,
    dtype: str = "float32",
) -> Quote:
    """Price a quantum solve with everything it needs; the cheaper block-encoding is taken.

    Each term is what it adds to those before it::

        forming, tables       classical: the entries, and writing them into the tables, each step
        block-encoding        U_A of one attempt at one gate time a logical cycle
        state preparation     U_b of one attempt
        solver                2a+3 Toffoli and one rotation a query, about a ancillas
        repetition            attempts until one succeeds
        error correction      the same run in corrected cycles
        read-out              all states but the first
        norm                  classical: one product gives the step's length and sign

    Args:
        calibration: The classical machine that forms, writes tables and multiplies.
        facts: N, κ and d of the system; ‖A‖₂, ‖A‖max, ‖A‖_F where known.
        hardware: The quantum machine.
        audit: What is assumed.
        dtype: dtype of the classical parts.

    Returns:
        The quote of solver ``qsvt``, which is what runs here, named by the ``algorithm`` of the
        query set; refused where κ or d is unknown, the machine is above
        threshold or lacks a figure, or a number overflows.

    Raises:
        ValueError: One line naming the field, if κ < 1, d is not in [1, N], or an assumption is
            out of its range.

    Cost:
        About 100 µs; error correction by ``qdk`` takes 2 ms more the first time.

    Reference:
        FORMULAS 19-23; each part cites its own source.

    Example:
        >>> from qnewton.cost import load_hardware, nominal_calibration
        >>> from qnewton.records import Estimate, Spectrum
        >>> kappa = Estimate(value=156.25, low=None, high=None, method="given", products=0)
        >>> facts = Facts(n=12_544, spectrum=Spectrum(condition=kappa, row_sparsity=64))
        >>> warm = Audit(query_set="warm-start", error_correction="closed-form")
        >>> machine = load_hardware("qubit_gate_ns_e3")
        >>> quote = audited_quote(nominal_calibration(), facts, machine, warm)
        >>> quote.seconds > 1e10, [term.name for term in quote.terms][1:3]
        (True, ['block-encoding', 'state preparation'])
    """
    kappa, reason = _condition(facts)
    d = facts.spectrum.row_sparsity
    if d is not None and not 1 <= d <= facts.n:
        raise ValueError(f"sparsity is {d!r}; it must lie between 1 and n = {facts.n}")
    try:
        priced = [
            _priced(calibration, facts, hardware, audit, dtype, encoding)
            for encoding in ([] if kappa is None else _encodings(facts, kappa, audit))
        ]
    except OverflowError:
        return _refused(facts, hardware, audit, "a number of the price exceeds the largest float64")
    offers = [quote for quote in priced if quote.seconds is not None]
    if offers:
        return min(offers, key=lambda quote: quote.seconds or 0.0)
    if priced:
        return priced[0]
    return _refused(facts, hardware, audit, reason)


def _condition(facts: Facts) -> tuple[float | None, str]:
    estimate = facts.spectrum.condition
    if estimate is None:
        return None, "the condition number is unknown; survey it to price the quantum solver"
    if estimate.value is None or not math.isfinite(estimate.value):
        return None, f"the condition number is not known, {estimate.describe()}"
    if estimate.value < 1:
        raise ValueError(f"kappa is {estimate.value!r}; it must be finite and at least 1")
    return estimate.value, ""


def _encodings(facts: Facts, kappa: float, audit: Audit) -> list[BlockEncoding]:
    n, known = facts.n, facts.spectrum
    d, norm = known.row_sparsity, known.norm
    shares = ErrorShares(audit.epsilon)
    options = {"kappa": kappa, "epsilon": shares.entries, "tables": audit.tables}
    found = []
    if d is not None:
        largest = 1.0 if not norm or known.max_abs is None else known.max_abs / norm
        found.append(sparse_encoding(n, d, alpha=max(1.0, d * largest), **options))
    spread = math.sqrt(n) if not norm or known.frobenius is None else known.frobenius / norm
    found.append(dense_encoding(n, alpha=max(1.0, spread), **options))
    return found


def _priced(
    calibration: Calibration,
    facts: Facts,
    hardware: QuantumHardware,
    audit: Audit,
    dtype: str,
    encoding: BlockEncoding,
) -> Quote:
    assert facts.spectrum.condition is not None
    assert facts.spectrum.condition.value is not None
    kappa = facts.spectrum.condition.value
    shares = ErrorShares(audit.epsilon)
    try:
        count = query_count(
            audit.query_set,
            alpha=encoding.alpha,
            kappa=kappa * WIDENED,
            epsilon=shares.solver,
            guess_factor=audit.guess_factor,
        )
    except OverflowError as overflow:
        return _refused(facts, hardware, audit, str(overflow))
    draft = Draft("qsvt", calibration, facts, dtype, "")
    if not isinstance(facts.held, Sparse):
        # Sparse access reads the entries that are there; no solver has to write out the zeros.
        draft.add_forming()
    if audit.table_building:
        draft.add("tables", "elementwise", encoding.entries)
    classical = list(draft.terms)
    states = shots(facts.n, audit.readout_tolerance, audit.readout)
    gates = _gates_a_state(facts.n, encoding, count, audit)
    run, quantum = _quantum_terms(facts, hardware, audit, encoding, count, gates, states.states)
    norm = Draft("qsvt", calibration, facts, dtype, "")
    if audit.readout != "none":
        norm.add_products(1)
    refused = draft.refused or run.refused or norm.refused
    if refused is not None:
        return _refused(facts, hardware, audit, refused)
    terms = (*classical, *quantum, *(PriceTerm(name="norm", seconds=t.seconds) for t in norm.terms))
    seconds = math.fsum(term.seconds for term in terms)
    if not math.isfinite(seconds):
        return _refused(facts, hardware, audit, "the price exceeds the largest float64")
    return Quote(
        solver="qsvt",
        machine="quantum",
        seconds=seconds,
        model=_model(audit),
        hardware=hardware.name,
        hypothetical=hardware.hypothetical,
        terms=terms,
        assumptions=_assumptions(facts, hardware, audit, encoding, run, states.assumption),
        condition_number=kappa,
        quantum=QuantumPart(
            algorithm=QUERY_ALGORITHMS[audit.query_set],
            query_count=count,
            logical_qubits=_logical_qubits(facts.n, encoding, audit),
            physical_qubits=run.physical_qubits,
            t_count=states.states * gates[3],
            sparsity=facts.spectrum.row_sparsity,
            epsilon=audit.epsilon,
        ),
    )


def _quantum_terms(
    facts: Facts,
    hardware: QuantumHardware,
    audit: Audit,
    encoding: BlockEncoding,
    count: QueryCount,
    gates: _Gates,
    states: float,
) -> tuple[Corrected, list[PriceTerm]]:
    toffoli, t_gates, parts, _ = gates
    run = error_corrected(
        hardware,
        n_qubits=float(_logical_qubits(facts.n, encoding, audit)),
        toffoli=toffoli,
        t_gates=t_gates,
        error_budget=audit.error_budget,
        method=audit.error_correction,
        physical_error=audit.physical_error,
    )
    if run.seconds is None:
        return run, []
    attempts = count.expected / count.queries
    gate = hardware.gate_time_s.value
    attempt = [(name, gate * cycles / attempts) for name, cycles in parts]
    bare = math.fsum(seconds for _, seconds in attempt)
    succeeded = gate * math.fsum(cycles for _, cycles in parts)
    added = (
        *attempt,
        ("repetition", succeeded - bare),
        ("error correction", run.seconds - succeeded),
        ("read-out", (states - 1) * run.seconds),
    )
    return run, [PriceTerm(name=name, seconds=max(0.0, seconds)) for name, seconds in added]


def _gates_a_state(n: int, encoding: BlockEncoding, count: QueryCount, audit: Audit) -> _Gates:
    """Return Toffoli, T gates, cycles by part, and T count until one state is there."""
    assert count.state_preparations is not None
    prepared = _preparation(n, encoding, audit)
    # A reflection about a ancillas, its control, and one rotation, at every query. Q/p, which holds
    # the retries of every count, is above the Q/√p that amplifies a rotation's error.
    log_error = math.log2(ErrorShares(audit.epsilon).rotations) - math.log2(count.expected)
    reflected = LogicalGates(
        toffoli=2.0 * encoding.ancillas + 3, t_gates=rotation_t_gates(log_error)
    )
    uses = (
        ("block-encoding", count.expected, encoding.gates),
        ("state preparation", count.state_preparations, prepared),
        ("solver", count.expected, reflected),
    )
    return (
        math.fsum(calls * gates.toffoli for _, calls, gates in uses),
        math.fsum(calls * gates.t_gates for _, calls, gates in uses),
        [(name, calls * gates.cycles) for name, calls, gates in uses],
        math.fsum(calls * gates.t_count for _, calls, gates in uses),
    )


def _preparation(n: int, encoding: BlockEncoding, audit: Audit) -> LogicalGates:
    """Return U_b: errors in b come back amplified by up to κ_be."""
    return state_preparation(
        n,
        ErrorShares(audit.epsilon).rhs,
        audit.preparation,
        audit.tables,
        amplified=encoding.encoded_condition,
    )


def _logical_qubits(n: int, encoding: BlockEncoding, audit: Audit) -> int:
    prepared = _preparation(n, encoding, audit)
    workspace = max(encoding.gates.workspace, prepared.workspace)
    return logical_qubits(n, encoding.ancillas) + math.ceil(workspace)


def _model(audit: Audit) -> str:
    return f"audited, {audit.query_set} queries × gates × corrected cycles × states read"


def _assumptions(
    facts: Facts,
    hardware: QuantumHardware,
    audit: Audit,
    encoding: BlockEncoding,
    run: Corrected,
    readout: str,
) -> tuple[str, ...]:
    notes, known = [*encoding.assumptions], facts.spectrum
    if known.norm is None or (known.max_abs is None and encoding.name == "sparse"):
        notes.append("α from its bound, since ‖A‖₂ or the entries are not known: ‖A‖max ≤ ‖A‖₂")
    if encoding.name == "dense" and (known.norm is None or known.frobenius is None):
        notes.append("‖A‖_F from its bound √N·‖A‖₂")
    kappa = known.condition.value if known.condition is not None else None
    if audit.query_set == "paper" and kappa is not None and kappa < JENNINGS_MIN_KAPPA:
        notes.append(f"κ = {kappa:.4g} lies below the theorem's √12 and is priced at √12 = 3.464")
    loaded = "loaded from tables" if audit.preparation == "tables" else "by one rotation a branch"
    notes.append(f"g is prepared {loaded}")
    if audit.table_building:
        notes.append("tables are written anew at every step, one pass over the kept entries")
    else:
        notes.append("writing the tables is free")
    notes.append(
        f"state error {audit.epsilon:g}: half for the solver, a sixth each for the entries of A, "
        "for g and for rotations, each divided by what amplifies it"
    )
    notes += [*run.assumptions, readout]
    if audit.readout != "none":
        total = audit.epsilon + audit.readout_tolerance
        notes.append(f"the vector read is within {total:g} of the exact one, all errors added")
    if audit.readout in ("simulated", "provable"):
        notes.append(
            "the sign stage makes as many states as the magnitudes; its reference branch succeeds "
            "as often as the solver"
        )
    if hardware.hypothetical:
        notes.append(f"{hardware.name} is hypothetical: no such machine exists")
    return tuple(notes)


def _refused(facts: Facts, hardware: QuantumHardware, audit: Audit, reason: str) -> Quote:
    return Quote(
        solver="qsvt",
        machine="quantum",
        seconds=None,
        model=_model(audit),
        hardware=hardware.name,
        hypothetical=hardware.hypothetical,
        refused=reason,
        quantum=QuantumPart(
            algorithm=QUERY_ALGORITHMS[audit.query_set],
            sparsity=facts.spectrum.row_sparsity,
            epsilon=audit.epsilon,
        ),
    )
