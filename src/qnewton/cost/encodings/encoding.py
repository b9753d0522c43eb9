"""What every block-encoding of A tells its price."""

import math
from typing import Protocol

from qnewton.cost.encodings.gates import LogicalGates
from qnewton.records.messages import check


class Encoding(Protocol):
    """A way to call U_A, whose upper left block is A/α.

    Its numbers are rounded: with b bits it encodes A', and ‖A' - A‖₂ ≤ α·2^(e-b), where e are its
    extra bits. So :func:`value_bits` keeps a given share of the error.
    """

    @property
    def name(self) -> str:
        """How it is built, in one word."""
        ...

    @property
    def alpha(self) -> float:
        """α/‖A‖₂, at least 1."""
        ...

    @property
    def entries(self) -> float:
        """Words that have to be written into its tables whenever A changes."""
        ...

    @property
    def reads_entries(self) -> bool:
        """Whether its tables hold the entries of A, which may have to be formed first."""
        ...

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What had to be assumed, one sentence each."""
        ...

    @property
    def extra_bits(self) -> float:
        """The e of ‖A' - A‖₂ ≤ α·2^(e-b)."""
        ...

    def gates(self, bits: int) -> LogicalGates:
        """Return the gates of one call with numbers of b bits. Cost: integers, then a cache."""
        ...

    def ancillas(self, bits: int) -> int:
        """Return the ancilla qubits a, which are measured or reflected about."""
        ...


def value_bits(encoded_condition: float, epsilon: float, extra_bits: float = 0.0) -> int:
    """Return bits of an entry, so that rounding A moves the solution by ε at most.

    ⌈log2(κ_be/ε) + e⌉: A moves by α·2^(e-b) ≤ ε·σ_min.

    Args:
        encoded_condition: κ_be = α/σ_min.
        epsilon: What rounding A may move the solution by.
        extra_bits: e, of the encoding.

    Raises:
        ValueError: If κ_be is not finite.

    Example:
        >>> value_bits(1e4, 1e-2), value_bits(1e4, 1e-2, extra_bits=1.65)
        (20, 22)
    """
    check("kappa of the block-encoding", encoded_condition, "must be finite", True)
    wanted = math.log2(encoded_condition) - math.log2(epsilon) + extra_bits
    return max(1, math.ceil(wanted))
