"""The block-encoding of a dense matrix: its rows as states, and their lengths as one more."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

from qnewton.cost.encodings.gates import LogicalGates
from qnewton.cost.encodings.tables import Tables, address_bits, assumed


@dataclass(frozen=True, kw_only=True)
class DenseEncoding:
    """U_A of a dense matrix, α = ‖A‖_F.

    About 8(2t+3)D T gates and D(t+1) qubits for D = 2^⌈log2 N⌉ and t angle bits; with ``qram``
    2⌈log2 N⌉·t Toffoli gates.

    Two states of log2 D angles each are prepared, one of them backwards. An angle of t bits of a
    turn is off by π·2^-t at most, its rotation by as much in norm, so
    ‖A' - A‖₂ ≤ α·2π·log2 D·2^-t.

    Attributes:
        n: Unknowns N.
        alpha: ‖A‖_F/‖A‖₂, at least 1.
        tables: Where angles are loaded from.
        known: Assumptions behind α.

    Reference: Clader et al., arXiv:2206.03505, as transcribed.

    Example:
        >>> f"{DenseEncoding(n=12_544, alpha=100.0).gates(20).t_gates:.3g}"
        '5.64e+06'
    """

    n: int
    alpha: float
    tables: Tables = "qrom"
    known: tuple[str, ...] = ()
    name: str = field(default="dense", init=False)
    reads_entries: bool = field(default=True, init=False)

    @property
    def extra_bits(self) -> float:
        """log2 of 2π for each of the log2 D angles of a state."""
        return math.log2(2 * math.pi * max(1, address_bits(self.n)))

    @property
    def entries(self) -> float:
        """N²."""
        return float(self.n) ** 2

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What had to be assumed."""
        said = "dense: α = ‖A‖_F, gates as transcribed of Clader et al."
        return (said, *assumed(self.tables), *self.known)

    def gates(self, bits: int) -> LogicalGates:
        """Return the gates of one call."""
        return _gates(self.n, bits, self.tables)

    def ancillas(self, bits: int) -> int:
        """Return ⌈log2 N⌉, at least 1."""
        return max(1, address_bits(self.n))


@lru_cache(maxsize=4096)
def _gates(n: int, bits: int, tables: Tables) -> LogicalGates:
    if tables == "qram":
        return LogicalGates(toffoli=2.0 * max(1, address_bits(n)) * bits)
    order = 1 << address_bits(n)
    return LogicalGates(t_gates=8.0 * (2 * bits + 3) * order, workspace=order * (bits + 1.0))
