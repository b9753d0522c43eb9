"""Tables that a quantum circuit reads: QROM, loaded by select and swap, or an assumed QRAM."""

import math
from functools import lru_cache
from typing import Literal

from qnewton.cost.encodings.gates import LogicalGates
from qnewton.records.messages import check

Tables = Literal["qrom", "qram"]
"""How a circuit reads a table: by gates that are counted (QROM), or by an assumed QRAM."""

_QRAM = "QRAM is assumed: a read costs log2 of its words; the memory and its errors are not charged"


@lru_cache(maxsize=4096)
def qroam(words: int, bits: int) -> tuple[float, float]:
    """Return Toffoli gates and workspace qubits of loading one of L words of b bits.

    ⌈L/k⌉ + b(k-1) Toffoli gates for the best k = 2^j. Its workspace b(k-1) + log2(L/k) is at most
    √(2Lb) + log2 L, since the best k² is at most 2L/b; that bound is returned, for unlike the
    best k itself it never falls as tables grow.

    Raises:
        ValueError: If a number is below 1.

    Reference: Berry et al. 2019, arXiv:1902.02134, Theorem 2.

    Example:
        >>> qroam(12_544, 16)
        (888.0, 648.0)
    """
    _at_least_one(words=words, bits=bits)
    choices = (1 << j for j in range(words.bit_length()))
    toffoli = min(-(-words // k) + bits * (k - 1) for k in choices)
    return float(toffoli), float(math.ceil(math.sqrt(2 * words * bits)) + words.bit_length())


@lru_cache(maxsize=4096)
def qroam_uncompute(words: int) -> float:
    """Return Toffoli gates of erasing a loaded word by measurement: ⌈L/k⌉ + k for the best k.

    Reference: Berry et al. 2019, arXiv:1902.02134, Appendix C.

    Example:
        >>> qroam_uncompute(12_544)
        226.0
    """
    _at_least_one(words=words)
    return min(float(-(-words // k) + k) for k in (1 << j for j in range(words.bit_length())))


def read(words: int, bits: int, tables: Tables = "qrom") -> LogicalGates:
    """Return what it takes to load one of L words of b bits, and to erase it afterwards.

    By ``qrom`` both as above; by ``qram`` ⌈log2 L⌉ Toffoli each, without any workspace.

    Example:
        >>> read(12_544, 16).toffoli, read(12_544, 16, "qram").toffoli
        (1114.0, 28.0)
    """
    if tables == "qram":
        return LogicalGates(toffoli=2.0 * address_bits(words))
    toffoli, workspace = qroam(words, bits)
    return LogicalGates(toffoli=toffoli + qroam_uncompute(words), workspace=workspace)


def assumed(tables: Tables) -> tuple[str, ...]:
    """Return what has to be assumed of a kind of table."""
    return (_QRAM,) if tables == "qram" else ()


def address_bits(count: int) -> int:
    """Return the bits that number so many things: ⌈log2 count⌉."""
    return (count - 1).bit_length()


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        check(name, count, "must be at least 1", count >= 1)
