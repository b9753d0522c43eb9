"""State preparation: a tree of rotations whose angles are loaded from tables, or synthesised."""

import math
from functools import lru_cache
from typing import Literal

from qnewton.cost.encodings.gates import LogicalGates, rotation_t_gates
from qnewton.cost.encodings.tables import Tables, address_bits, read

Preparation = Literal["tables", "rotations"]
"""How a state is prepared: by angles read from tables, or by one rotation per branch."""


@lru_cache(maxsize=4096)
def state_preparation(
    n: int,
    epsilon: float,
    preparation: Preparation = "tables",
    tables: Tables = "qrom",
    amplified: float = 1.0,
) -> LogicalGates:
    """Return one call of U_b, which prepares g/‖g‖ in N amplitudes.

    ``tables`` loads the angles of level j from 2^j words and adds them into a phase gradient;
    ``rotations`` synthesises all 2^⌈log2 N⌉.

    Args:
        n: Unknowns N.
        epsilon: Error of the state, in (0, 1), after it was amplified.
        preparation: Which.
        tables: Where angles are loaded from: ``qrom``, or ``qram``: 2j Toffoli at level j.
        amplified: What a solver multiplies errors in g by: κ_be at most. The state itself is
            prepared to ``epsilon / amplified``.

    Reference: Grover and Rudolph 2002; tables: Berry et al., arXiv:1902.02134.

    Example:
        >>> state_preparation(12_544, 1e-2).toffoli
        3000.0
        >>> f"{state_preparation(12_544, 1e-2, 'rotations').t_gates:.3g}"
        '2.59e+05'
    """
    if preparation == "tables":
        return rotation_tree(n, 1, angle_bits(n, epsilon, amplified), tables)
    levels = address_bits(n)
    if levels == 0:
        return LogicalGates()
    # One angle a branch, each to its share of the error.
    log_error = math.log2(epsilon) - math.log2(amplified) - levels
    return LogicalGates(t_gates=float(1 << levels) * rotation_t_gates(log_error))


def rotation_tree(n: int, states: int, bits: int, tables: Tables = "qrom") -> LogicalGates:
    """Return the preparation of one of M states of N amplitudes, chosen by a register.

    Level j loads one of M·2^j angles of b bits, adds it into a phase gradient (b Toffoli gates) and
    erases it. Angle, phase gradient and the carries of the addition take b qubits each, beside
    what the load leaves until it is erased.

    Example:
        >>> rotation_tree(12_544, 1, 14).toffoli, rotation_tree(12_544, 10, 14).toffoli
        (3000.0, 9335.0)
    """
    return _tree(address_bits(n), states, bits, tables)


@lru_cache(maxsize=4096)
def _tree(levels: int, states: int, bits: int, tables: Tables) -> LogicalGates:
    toffoli = workspace = 0.0
    for level in range(levels):
        loaded = read(states << level, bits, tables)
        toffoli += loaded.toffoli + bits
        workspace = max(workspace, loaded.workspace + 3 * bits)
    return LogicalGates(toffoli=toffoli, workspace=workspace)


def angle_bits(n: int, epsilon: float, amplified: float = 1.0) -> int:
    """Return bits of an angle of a state preparation: ⌈log2(2π·levels·amplified/ε)⌉.

    Example:
        >>> angle_bits(12_544, 1e-2), angle_bits(12_544, 1e-2, 1e4)
        (14, 27)
    """
    log_error = math.log2(epsilon) - math.log2(amplified)
    return max(1, math.ceil(math.log2(2 * math.pi * max(1, address_bits(n))) - log_error))
