"""The block-encoding of a Kronecker product from those of its factors."""

import math
from dataclasses import dataclass, field

from qnewton.cost.encodings.encoding import Encoding
from qnewton.cost.encodings.gates import LogicalGates


@dataclass(frozen=True, kw_only=True)
class KroneckerEncoding:
    """U_A of L ⊗ R as U_L ⊗ U_R, α = α_L·α_R.

    Damping belongs into the factors, as K-FAC has it: (L + √λ·π I) ⊗ (R + √λ/π I). Both blocks have
    a norm of at most 1, so relative errors add up: ‖A' - A‖₂ ≤ α(2^(e_L-b) + 2^(e_R-b)).

    Attributes:
        left: Encodes L.
        right: Encodes R.

    Reference: Martens and Grosse, arXiv:1503.05671 (damped factors).

    Example:
        >>> from qnewton.cost.encodings import DenseEncoding, SparseEncoding
        >>> left = SparseEncoding(n=64, sparsity=3, alpha=2.0)
        >>> found = KroneckerEncoding(left=left, right=DenseEncoding(n=196, alpha=5.0))
        >>> found.alpha, found.ancillas(20), found.entries
        (10.0, 31, 38608.0)
    """

    left: Encoding
    right: Encoding
    name: str = field(default="kronecker", init=False)
    reads_entries: bool = field(default=False, init=False)

    @property
    def alpha(self) -> float:
        """The product of both."""
        return self.left.alpha * self.right.alpha

    @property
    def extra_bits(self) -> float:
        """log2 of the sum of both errors, in units of 2^-b."""
        return math.log2(2**self.left.extra_bits + 2**self.right.extra_bits)

    @property
    def entries(self) -> float:
        """The words of both."""
        return self.left.entries + self.right.entries

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What had to be assumed."""
        said = "Kronecker product: α = α_L·α_R, one call of either factor's encoding"
        return tuple(dict.fromkeys((said, *self.left.assumptions, *self.right.assumptions)))

    def gates(self, bits: int) -> LogicalGates:
        """Return the gates of one call: both factors', one after the other."""
        return self.left.gates(bits) + self.right.gates(bits)

    def ancillas(self, bits: int) -> int:
        """Return the ancillas of both."""
        return self.left.ancillas(bits) + self.right.ancillas(bits)
