"""The block-encoding of a dense matrix: its rows as states, and their lengths as one more."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

from qnewton.cost.encodings.gates import LogicalGates
from qnewton.cost.encodings.preparation import rotation_tree
from qnewton.cost.encodings.tables import Tables, address_bits, assumed


@dataclass(frozen=True, kw_only=True)
class DenseEncoding:
    """U_A of a dense matrix, α = ‖A‖_F.

    The lengths of the rows are prepared and swapped with the system, and the row whose number the
    system then holds is undone: two states of N amplitudes, one of them of N states, by
    :func:`rotation_tree`. Clader et al. erase without measuring, for 8(2t+3)·2^⌈log2 N⌉ T gates
    and more with t angle bits: about four times as many.

    An angle of b bits of a turn is off by π·2^-b at most, its rotation by as much in norm, so
    ‖A' - A‖₂ ≤ α·2π·log2 N·2^-b.

    Attributes:
        n: Unknowns N.
        alpha: ‖A‖_F/‖A‖₂, at least 1.
        tables: Where angles are loaded from.
        known: Assumptions behind α.

    Reference: Clader et al., arXiv:2206.03505 (construction); tables: Berry et al.,
    arXiv:1902.02134.

    Example:
        >>> DenseEncoding(n=12_544, alpha=100.0).gates(27).toffoli
        437498.0
    """

    n: int
    alpha: float
    tables: Tables = "qrom"
    known: tuple[str, ...] = ()
    name: str = field(default="dense", init=False)
    reads_entries: bool = field(default=True, init=False)

    @property
    def extra_bits(self) -> float:
        """log2 of 2π for each of the log2 N angles of a state."""
        return math.log2(2 * math.pi * max(1, address_bits(self.n)))

    @property
    def entries(self) -> float:
        """N²."""
        return float(self.n) ** 2

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What had to be assumed."""
        said = "dense: α = ‖A‖_F, rows prepared from tables of N² angles"
        return (said, *assumed(self.tables), *self.known)

    def gates(self, bits: int) -> LogicalGates:
        """Return the gates of one call."""
        return _gates(self.n, bits, self.tables)

    def ancillas(self, bits: int) -> int:
        """Return ⌈log2 N⌉, at least 1."""
        return max(1, address_bits(self.n))


@lru_cache(maxsize=4096)
def _gates(n: int, bits: int, tables: Tables) -> LogicalGates:
    return rotation_tree(n, 1, bits, tables) + rotation_tree(n, n, bits, tables)
