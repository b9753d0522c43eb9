"""What a system takes of a machine's memory, and what crosses the network between its nodes."""

import math
from dataclasses import dataclass

from qnewton import records

ITEM_BYTES = {"float32": 4, "float64": 8}
"""Bytes of a number."""

_INDEX_BYTES, _LONG_INDEX_BYTES = 4, 8
_LONGEST_SHORT_INDEX = 2**31
# Operations of a product with U and Uᵀ per entry of U.
_FLOPS_PER_FACTOR_ENTRY = 4.0


@dataclass(frozen=True)
class Kept:
    """What a solver keeps in memory beside the matrix.

    Attributes:
        what: In words.
        bytes: How much.
        fewer: The way out that this solver has; empty where there is none but a larger machine.
    """

    what: str
    bytes: float
    fewer: str = ""


def index_bytes(n: int) -> int:
    """Return the bytes of a column's number.

    Example:
        >>> index_bytes(100), index_bytes(2**32)
        (4, 8)
    """
    return _INDEX_BYTES if n < _LONGEST_SHORT_INDEX else _LONG_INDEX_BYTES


def held_bytes(facts: records.Facts, dtype: str) -> float:
    """Return the bytes that a matrix is held by; 0 where nobody knows.

    A dense matrix takes N² numbers, a sparse one its entries with their columns, a factor N·k, and
    Kronecker factors of eigenvectors their squares and N eigenvalues.

    Example:
        >>> from qnewton.records import Facts, LowRank, Sparse
        >>> held_bytes(Facts(n=10), "float64")
        800.0
        >>> held_bytes(Facts(n=10, held=Sparse(entries=30)), "float32")
        240.0
        >>> held_bytes(Facts(n=10, held=LowRank(columns=2)), "float32")
        80.0
    """
    n, item = float(facts.n), ITEM_BYTES[dtype]
    match facts.held:
        case records.Formed():
            return item * n * n
        case records.Sparse(entries=entries):
            return float((item + index_bytes(facts.n)) * (entries or 0))
        case records.LowRank(columns=columns, product_flops=flops):
            whole = math.inf if columns is None else n * columns
            # A factor that keeps a network's layers apart has as many entries as its products read.
            own = math.inf if flops is None else flops / _FLOPS_PER_FACTOR_ENTRY
            return item * min(whole, own) if min(whole, own) < math.inf else 0.0
        case records.Eigenbasis() as held:
            return item * (n + sum(float(order) ** 2 for order in held.orders))
        case records.Products():
            return 0.0


def exchanged(facts: records.Facts, nodes: int) -> float:
    """Return the numbers that nodes send in one product with A: an upper bound.

    ============  ===============================================================================
    held          numbers sent by all p nodes together
    ============  ===============================================================================
    formed        2N√p: A in √p × √p parts, v along its columns and A·v along its rows
    sparse        no more than its entries, nor than 2N√p: wherever its zeros lie
    low-rank      2kp: U by rows, an all-reduce of the k numbers Uᵀv
    products      2Np: samples by nodes, an all-reduce of A·v
    eigenbasis    2N√p
    ============  ===============================================================================

    Example:
        >>> from qnewton.records import Facts, Sparse
        >>> exchanged(Facts(n=100), 4), exchanged(Facts(n=100, held=Sparse(entries=300)), 4)
        (400.0, 300.0)
    """
    n, split = float(facts.n), 2.0 * facts.n * math.sqrt(nodes)
    match facts.held:
        case records.Sparse(entries=int(entries)):
            return min(float(entries), split)
        case records.LowRank(columns=int(columns)):
            return 2.0 * min(columns, n) * nodes
        case records.LowRank() | records.Products():
            return 2.0 * n * nodes
        case _:
            return split
