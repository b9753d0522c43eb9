"""The block-encoding of a matrix whose eigenvectors are known: they turn a table of eigenvalues."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

from qnewton.cost.encodings.gates import LogicalGates
from qnewton.cost.encodings.preparation import rotation_tree
from qnewton.cost.encodings.tables import Tables, address_bits, assumed, read


@dataclass(frozen=True, kw_only=True)
class EigenbasisEncoding:
    """U_A of Q diag(s) Qᵀ with Q = Q_L ⊗ Q_R, α = max|s| = ‖A‖₂.

    An orthogonal matrix of order m is m - 1 Householder reflections and signs; a reflection
    prepares its vector, flips the sign of |0…0⟩ and undoes the preparation. A call turns by Qᵀ,
    makes an eigenvalue, loaded from a table of N words, an amplitude, and turns back.

    Each of the 4(m-1)log2 m rotations that turn one factor forth and back is off by π·2^-b at most,
    the eigenvalues by ‖A‖₂·2^-b.

    Attributes:
        n: Unknowns N.
        orders: Orders m of Q_L and Q_R, those that are not the identity.
        tables: Where angles and eigenvalues are loaded from.

    Reference: Low, Kliuchnikov and Schaeffer, arXiv:1812.00954 (unitaries as reflections).

    Example:
        >>> found = EigenbasisEncoding(n=64 * 196, orders=(64, 196))
        >>> f"{found.gates(30).toffoli:.3g}", found.ancillas(30)
        ('4.91e+05', 31)
    """

    n: int
    orders: tuple[int, ...]
    tables: Tables = "qrom"
    alpha: float = field(default=1.0, init=False)
    name: str = field(default="eigenbasis", init=False)
    reads_entries: bool = field(default=False, init=False)

    @property
    def extra_bits(self) -> float:
        """log2 of 1 and π for each rotation."""
        rotations = sum(4 * (order - 1) * address_bits(order) for order in self.orders)
        return math.log2(1 + math.pi * rotations)

    @property
    def entries(self) -> float:
        """N eigenvalues, and the squares of the orders."""
        return float(self.n + sum(order * order for order in self.orders))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What had to be assumed."""
        said = "eigenbasis: α = ‖A‖₂, eigenvalues from a table, eigenvectors by Householder"
        free = "reflections, whose factorisation is not charged"
        return (f"{said} {free}", *assumed(self.tables))

    def gates(self, bits: int) -> LogicalGates:
        """Return the gates of one call."""
        return _gates(self.n, self.orders, bits, self.tables)

    def ancillas(self, bits: int) -> int:
        """Return the qubits that an eigenvalue is compared with, and what is found."""
        return bits + 1


@lru_cache(maxsize=4096)
def _gates(n: int, orders: tuple[int, ...], bits: int, tables: Tables) -> LogicalGates:
    loaded = read(n, bits, tables)
    workspace = loaded.workspace + 2 * bits
    found = LogicalGates(toffoli=loaded.toffoli + bits, workspace=workspace)
    for order in orders:
        reflection = rotation_tree(order, 1, bits, tables).repeated(2)
        reflection += LogicalGates(toffoli=float(max(0, address_bits(order) - 2)))
        found += reflection.repeated(2.0 * (order - 1))
    return found
