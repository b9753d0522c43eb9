"""What one call of U_A or U_b costs in logical gates and qubits: tables read by QROAM, or dense."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from qnewton.records.messages import check

Tables = Literal["qrom", "qram"]
Preparation = Literal["tables", "rotations"]

ROTATION_T = (0.53, 4.86)
"""A rotation to error ε takes 0.53·log2(1/ε) + 4.86 T gates.

These constants are what qdk 1.33.1's ``numTsPerRotation`` follows, rounded up; public code calls
them its fit of mixed fallback. No source was found for the 5.3 that stood here before.
"""


@dataclass(frozen=True, kw_only=True)
class LogicalGates:
    """Non-Clifford gates of one call, and the logical qubits it needs beside its registers.

    Attributes:
        toffoli: Toffoli gates.
        t_gates: T gates that are in no Toffoli.
        workspace: Qubits that are clean before and after.
    """

    toffoli: float = 0.0
    t_gates: float = 0.0
    workspace: float = 0.0

    @property
    def cycles(self) -> float:
        """Logical cycles in sequence: 3 a Toffoli, 1 a T gate (Beverland et al., 2211.07629)."""
        return 3 * self.toffoli + self.t_gates

    @property
    def t_count(self) -> float:
        """T gates, 4 a Toffoli."""
        return 4 * self.toffoli + self.t_gates


@dataclass(frozen=True, kw_only=True)
class BlockEncoding:
    """A way to block-encode A.

    Attributes:
        name: ``sparse`` or ``dense``.
        alpha: α/‖A‖₂.
        gates: Of one call.
        ancillas: Ancilla qubits a, measured or reflected about.
        encoded_condition: κ_be = α/σ_min.
        entries: Words that have to be written into its tables whenever A changes.
        assumptions: What had to be assumed, one sentence each.
    """

    name: str
    alpha: float
    gates: LogicalGates
    ancillas: int
    encoded_condition: float
    entries: float
    assumptions: tuple[str, ...]


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


@lru_cache(maxsize=4096)
def sparse_encoding(
    n: int, sparsity: int, *, alpha: float, kappa: float, epsilon: float, tables: Tables = "qrom"
) -> BlockEncoding:
    """Return the block-encoding by sparse access, α = d‖A‖max.

    The entry l of row i has a column position (⌈log2 N⌉ bits), a value, and an inverse position
    (⌈log2 d⌉ bits): one address (i, l), so one table of N·d words. A query loads a word, rotates by
    its value and swaps (i, l) with (column, inverse position); A being symmetric, the same table at
    the new address holds (i, l) and the value, which one erasure removes. Values have
    ⌈log2(κ_be/ε)⌉ bits: rounding moves A by at most d‖A‖max·2^-b = α·2^-b ≤ ε·σ_min.

    Args:
        n: Unknowns N.
        sparsity: d, between 1 and N.
        alpha: d‖A‖max/‖A‖₂, at least 1.
        kappa: Condition number of A.
        epsilon: What rounding A may move the solution by, ``entries`` of
            :class:`qnewton.cost.audit.ErrorShares`.
        tables: ``qrom``, or ``qram``: a read then costs ⌈log2(N·d)⌉ Toffoli.

    Cost: some dozens of integer operations, then a cache.

    Reference: Gilyén et al., arXiv:1806.01838, Lemma 48; tables: Berry et al., arXiv:1902.02134.

    Example:
        >>> found = sparse_encoding(12_544, 64, alpha=64.0, kappa=156.25, epsilon=1e-2)
        >>> found.gates.toffoli
        13200.0
    """
    words, position, inverse = n * sparsity, _bits(n), max(1, _bits(sparsity))
    bits = value_bits(alpha * kappa, epsilon)
    assumptions = [f"sparse access: α = d‖A‖max, one table of N·d words, values of {bits} bits"]
    if tables == "qram":
        # The word is read, bucket-brigade fashion, and erased.
        toffoli, workspace = 2.0 * max(1, _bits(words)), 0.0
        uncharged = "the memory of N·d words and its errors are not charged"
        assumptions.append(f"QRAM is assumed: a read costs log2 of its words; {uncharged}")
    else:
        toffoli, workspace = qroam(words, max(1, position) + bits + inverse)
        toffoli += qroam_uncompute(words)
    return BlockEncoding(
        name="sparse",
        alpha=alpha,
        # The value becomes an amplitude by b controlled additions into a phase gradient.
        gates=LogicalGates(toffoli=toffoli + 2 * bits, workspace=workspace),
        ancillas=position + inverse + bits + 1,
        encoded_condition=alpha * kappa,
        entries=float(words),
        assumptions=tuple(assumptions),
    )


@lru_cache(maxsize=4096)
def dense_encoding(
    n: int, *, alpha: float, kappa: float, epsilon: float, tables: Tables = "qrom"
) -> BlockEncoding:
    """Return the block-encoding of a dense matrix, α = ‖A‖_F.

    About 8(2t+3)D T gates and D(t+1) qubits for D = 2^⌈log2 N⌉ and t angle bits.

    Args:
        n: Unknowns N.
        alpha: ‖A‖_F/‖A‖₂, at least 1.
        kappa: Condition number of A.
        epsilon: As for :func:`sparse_encoding`.
        tables: ``qrom``, or ``qram``: then 2⌈log2 N⌉·t Toffoli per call.

    Reference: Clader et al., arXiv:2206.03505, as transcribed.

    Example:
        >>> f"{dense_encoding(12_544, alpha=100.0, kappa=100.0, epsilon=1e-2).gates.t_gates:.3g}"
        '5.64e+06'
    """
    order, bits = 1 << _bits(n), value_bits(alpha * kappa, epsilon)
    gates = LogicalGates(t_gates=8.0 * (2 * bits + 3) * order, workspace=order * (bits + 1.0))
    assumptions = [f"dense: α = ‖A‖_F, {bits} angle bits, as transcribed of Clader et al."]
    if tables == "qram":
        gates = LogicalGates(toffoli=2.0 * max(1, _bits(n)) * bits)
        said = "QRAM is assumed: a read costs log2 of its words; its memory is not charged"
        assumptions.append(said)
    return BlockEncoding(
        name="dense",
        alpha=alpha,
        gates=gates,
        ancillas=max(1, _bits(n)),
        encoded_condition=alpha * kappa,
        entries=float(n) ** 2,
        assumptions=tuple(assumptions),
    )


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
    levels = _bits(n)
    if levels == 0:
        return LogicalGates()
    if preparation == "rotations":
        # One angle a branch, each to its share of the error.
        log_error = math.log2(epsilon) - math.log2(amplified) - levels
        return LogicalGates(t_gates=float(1 << levels) * rotation_t_gates(log_error))
    bits = angle_bits(n, epsilon, amplified)
    if tables == "qram":
        # A read and its erasure of one of 2^j words, then the addition.
        return LogicalGates(toffoli=float(sum(2 * j + bits for j in range(levels))))
    loads = [qroam(1 << j, bits) for j in range(levels)]
    erased = sum(qroam_uncompute(1 << j) for j in range(levels))
    return LogicalGates(
        toffoli=sum(cost for cost, _ in loads) + erased + levels * bits,
        workspace=max(space for _, space in loads),
    )


def rotation_t_gates(log2_error: float) -> float:
    """Return T gates that synthesise a rotation to an error given by its log2.

    Reference: :data:`ROTATION_T`.

    Example:
        >>> round(rotation_t_gates(-20.0), 2)
        15.46
    """
    slope, rest = ROTATION_T
    return max(0.0, rest - slope * log2_error)


def angle_bits(n: int, epsilon: float, amplified: float = 1.0) -> int:
    """Return bits of an angle of a state preparation: ⌈log2(2π·levels·amplified/ε)⌉.

    Example:
        >>> angle_bits(12_544, 1e-2), angle_bits(12_544, 1e-2, 1e4)
        (14, 27)
    """
    log_error = math.log2(epsilon) - math.log2(amplified)
    return max(1, math.ceil(math.log2(2 * math.pi * max(1, _bits(n))) - log_error))


def value_bits(encoded_condition: float, epsilon: float) -> int:
    """Return bits of an entry: ⌈log2(κ_be/ε)⌉, so that rounding A moves the solution by ε at most.

    Raises:
        ValueError: If κ_be is not finite.

    Example:
        >>> value_bits(1e4, 1e-2)
        20
    """
    check("kappa of the block-encoding", encoded_condition, "must be finite", True)
    return max(1, math.ceil(math.log2(encoded_condition) - math.log2(epsilon)))


def _bits(count: int) -> int:
    return (count - 1).bit_length()


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        check(name, count, "must be at least 1", count >= 1)
