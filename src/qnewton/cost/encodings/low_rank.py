"""The block-encoding of UUᵀ + λI from the columns of its factor U."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

from qnewton.cost.encodings.gates import LogicalGates
from qnewton.cost.encodings.preparation import rotation_tree
from qnewton.cost.encodings.tables import Tables, address_bits, assumed


@dataclass(frozen=True, kw_only=True)
class LowRankEncoding:
    """U_A of UUᵀ + λI with U of shape [N, k], α = ‖U‖_F² + λ.

    The columns of U, which may be per-sample gradients, are its table. UUᵀ/‖U‖_F² is a mixture of
    the projectors on its columns, each ½(1 - R_j) of a reflection R_j about column j: the mixture
    is prepared and undone, so is column j, a sign is flipped in between, and λ joins by one more
    ancilla.

    2(log2 N + log2 k + 1) rotations have angles of b bits of a turn, each off by π·2^-b at most,
    so ‖A' - A‖₂ ≤ α·2π(log2 N + log2 k + 1)·2^-b.

    Attributes:
        n: Unknowns N.
        columns: k.
        alpha: (‖U‖_F² + λ)/‖A‖₂, at least 1.
        tables: Where angles are loaded from.
        known: Assumptions behind α.

    Reference: Childs and Wiebe, arXiv:1202.5822; the circuit is
    :class:`qnewton.solvers.quantum.circuits.LowRank`.

    Example:
        >>> found = LowRankEncoding(n=12_544, columns=256, alpha=20.0)
        >>> found.gates(20).toffoli, found.ancillas(20)
        (110651.0, 10)
    """

    n: int
    columns: int
    alpha: float
    tables: Tables = "qrom"
    known: tuple[str, ...] = ()
    name: str = field(default="low_rank", init=False)
    reads_entries: bool = field(default=False, init=False)

    @property
    def extra_bits(self) -> float:
        """log2 of π for each rotation."""
        levels = address_bits(self.n) + address_bits(self.columns) + 1
        return math.log2(2 * math.pi * levels)

    @property
    def entries(self) -> float:
        """N·k."""
        return float(self.n * self.columns)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What had to be assumed."""
        said = "low rank: α = ‖U‖_F² + λ, the columns of U prepared from tables of N·k angles"
        return (said, *assumed(self.tables), *self.known)

    def gates(self, bits: int) -> LogicalGates:
        """Return the gates of one call."""
        return _gates(self.n, self.columns, bits, self.tables)

    def ancillas(self, bits: int) -> int:
        """Return what numbers the columns, at least 1, and two more."""
        return max(1, address_bits(self.columns)) + 2


@lru_cache(maxsize=4096)
def _gates(n: int, columns: int, bits: int, tables: Tables) -> LogicalGates:
    mixture = rotation_tree(columns, 1, bits, tables)
    column = rotation_tree(n, columns, bits, tables)
    # The sign is flipped where the system and λ's ancilla are 0; λ's two rotations are additions.
    between = LogicalGates(toffoli=address_bits(n) + 1 + 2.0 * bits)
    return (mixture + column).repeated(2) + between
