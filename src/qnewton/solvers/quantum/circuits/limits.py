"""What is too large for a circuit, said in one line before anything is built."""

from qnewton.records import Outcome
from qnewton.solvers.quantum.algorithm import Algorithm
from qnewton.solvers.quantum.circuits.preparation import system_qubits
from qnewton.solvers.quantum.hhl import HHL
from qnewton.solvers.quantum.promise import SystemRefused

MAX_SYSTEM_QUBITS = 8
"""Most qubits of the system: 256 unknowns. A dense block-encoding is then a 512 × 512 gate."""

MAX_UNKNOWNS = 2**MAX_SYSTEM_QUBITS
"""Most unknowns of a system that is solved as a circuit."""

MAX_QUERIES = 20_000
"""Most calls to U_A in one attempt.

They take seconds of exact simulation by QSVT with the dense encoding, half a minute by Dalzell's
reflection, and a minute with an oracle of ten qubits.
"""

MAX_CLOCK_QUBITS = 12
"""Most qubits of HHL's clock in a circuit: 4,096 angles of the rotation."""

MAX_GATE_QUBITS = 11
"""Most qubits of one oracle, whose matrix simulators apply: 64 MB."""


def check_unknowns(n: int) -> None:
    """Raise ``ValueError`` for a system too large to encode."""
    if system_qubits(n) > MAX_SYSTEM_QUBITS:
        limit = f"circuits encode at most {MAX_UNKNOWNS}"
        raise ValueError(
            f"the system has {n:,} unknowns; {limit}: emulate it, or take a smaller one"
        )


def check_gate(qubits: int, encoding: str) -> None:
    """Raise ``ValueError`` for an oracle whose matrix would be too large."""
    if qubits > MAX_GATE_QUBITS:
        said = f"the {encoding} block-encoding of this matrix takes {qubits} qubits"
        way_out = "take encoding='dense', or a sparser or smaller matrix"
        raise ValueError(f"{said}, above the limit of {MAX_GATE_QUBITS}; {way_out}")


def check_attempt(solver: Algorithm) -> None:
    """Raise ``SystemRefused`` for an attempt that is too long, or has too large a clock."""
    if isinstance(solver, HHL):
        qubits = solver.clock_qubits
        if qubits > MAX_CLOCK_QUBITS:
            message = (
                f"the clock has {qubits} qubits, above a circuit's limit of {MAX_CLOCK_QUBITS}"
            )
            message += "; raise epsilon, or give the clock fewer qubits"
            detail = f"{qubits} qubits above {MAX_CLOCK_QUBITS}"
            raise SystemRefused(Outcome.CLOCK_TOO_LARGE, message, detail)
    else:
        check_calls(solver)


def check_calls(solver: Algorithm) -> None:
    """Raise ``SystemRefused`` for an attempt of too many calls to U_A."""
    if solver.queries > MAX_QUERIES:
        message = f"one attempt needs {solver.queries:,} calls of the block-encoding, above a "
        message += f"circuit's limit of {MAX_QUERIES:,}; add damping, or raise epsilon"
        detail = f"{solver.queries:,} above {MAX_QUERIES:,}"
        raise SystemRefused(Outcome.DEGREE_TOO_HIGH, message, detail)


MAX_SIMULATION = 5 * 10**10
"""Most products of numbers that the calls of U_A take in an exact simulation: about a minute."""


def check_simulation(calls: int, oracle_qubits: int, qubits: int) -> None:
    """Raise ``ValueError`` for a circuit whose exact simulation takes more than about a minute.

    Args:
        calls: Calls of U_A.
        oracle_qubits: Qubits of one call, its control included: 2^o products per amplitude.
        qubits: Qubits of the circuit: 2^q amplitudes.

    Example:
        >>> check_simulation(300, 9, 20)
        Traceback (most recent call last):
        ...
        ValueError: 300 calls on 9 of 20 qubits take about 3.2 times the minute that an exact \
simulation may; take a dense encoding, fewer unknowns, or a larger epsilon
    """
    work = calls << (oracle_qubits + qubits)
    if work > MAX_SIMULATION:
        said = f"{calls:,} calls on {oracle_qubits} of {qubits} qubits take about "
        said += f"{work / MAX_SIMULATION:,.2g} times the minute that an exact simulation may"
        raise ValueError(f"{said}; take a dense encoding, fewer unknowns, or a larger epsilon")
