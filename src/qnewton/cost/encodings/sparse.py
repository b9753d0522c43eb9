"""The block-encoding by sparse access: positions and values of each row's entries, in one table."""

from dataclasses import dataclass, field
from functools import lru_cache

from qnewton.cost.encodings.gates import LogicalGates
from qnewton.cost.encodings.tables import Tables, address_bits, assumed, read


@dataclass(frozen=True, kw_only=True)
class SparseEncoding:
    """U_A by sparse access, α = d‖A‖max.

    The entry l of row i has a column position (⌈log2 N⌉ bits), a value, and an inverse position
    (⌈log2 d⌉ bits): one address (i, l), so one table of N·d words. A query loads a word, turns its
    value into an amplitude and swaps (i, l) with (column, inverse position); A being symmetric, the
    same table at the new address holds (i, l) and the value, which one erasure removes.

    Values of b bits are the entries over ‖A‖max, rounded to an odd multiple of 2^-b with its sign.
    An inequality test against b qubits in equal superposition makes each an amplitude without more
    error, so ‖A' - A‖₂ ≤ d‖A‖max·2^-b = α·2^-b: no extra bits. Left out: l is spread over d values
    and gathered again, which takes no gates if d is a power of two, and about log2 d otherwise.

    Attributes:
        n: Unknowns N.
        sparsity: d, between 1 and N.
        alpha: d‖A‖max/‖A‖₂, at least 1.
        tables: ``qrom``, or ``qram``: a read then costs ⌈log2(N·d)⌉ Toffoli.
        known: Assumptions behind α.

    Reference: Gilyén et al., arXiv:1806.01838, Lemma 48; tables: Berry et al., arXiv:1902.02134.

    Example:
        >>> found = SparseEncoding(n=12_544, sparsity=64, alpha=64.0)
        >>> found.gates(20).toffoli, found.ancillas(20)
        (13180.0, 27)
    """

    n: int
    sparsity: int
    alpha: float
    tables: Tables = "qrom"
    known: tuple[str, ...] = ()
    name: str = field(default="sparse", init=False)
    reads_entries: bool = field(default=True, init=False)
    extra_bits: float = field(default=0.0, init=False)

    @property
    def entries(self) -> float:
        """N·d."""
        return float(self.n * self.sparsity)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What had to be assumed."""
        said = "sparse access: α = d‖A‖max, one table of N·d words of positions and values"
        return (said, *assumed(self.tables), *self.known)

    def gates(self, bits: int) -> LogicalGates:
        """Return the gates of one call."""
        return _gates(self.n, self.sparsity, bits, self.tables)

    def ancillas(self, bits: int) -> int:
        """Return the qubits of l, those that a value is compared with, and what is found."""
        return _inverse_bits(self.sparsity) + bits + 1


@lru_cache(maxsize=4096)
def _gates(n: int, sparsity: int, bits: int, tables: Tables) -> LogicalGates:
    word = max(1, address_bits(n)) + bits + _inverse_bits(sparsity)
    loaded = read(n * sparsity, word, tables)
    # The word is compared while all that was loaded is there; its b carries are measured away.
    workspace = loaded.workspace + word + bits
    return LogicalGates(toffoli=loaded.toffoli + bits, workspace=workspace)


def _inverse_bits(sparsity: int) -> int:
    return max(1, address_bits(sparsity))
