"""Which block-encodings fit a system, as it is held and as far as it is known."""

import math

from qnewton.cost.encodings.dense import DenseEncoding
from qnewton.cost.encodings.eigenbasis import EigenbasisEncoding
from qnewton.cost.encodings.encoding import Encoding
from qnewton.cost.encodings.low_rank import LowRankEncoding
from qnewton.cost.encodings.sparse import SparseEncoding
from qnewton.cost.encodings.tables import Tables
from qnewton.records import Eigenbasis, Facts, LowRank

_LARGEST = "‖A‖max or ‖A‖₂ is unknown: for ‖A‖max, α takes ‖A‖₂, which is never smaller"
_LENGTH = "‖A‖_F or ‖A‖₂ is unknown: for ‖A‖_F, α takes √N·‖A‖₂, which is never smaller"
_TRACE = "‖U‖_F or ‖A‖₂ is unknown: for ‖U‖_F² + λ, α takes k·‖A‖₂, which is never smaller"


def encodings(facts: Facts, tables: Tables = "qrom") -> tuple[Encoding, ...]:
    """Return every block-encoding of a system: dense, and what its form allows.

    Sparse access needs d; a factor's encoding needs A held as UUᵀ + λI; the turned eigenvalues
    need A held by them. Where α is not known, a bound stands for it, and the encoding says so.

    Args:
        facts: N and how A is held; d, ‖A‖₂, ‖A‖max, ‖A‖_F, κ and tr UUᵀ where known.
        tables: ``qrom`` or ``qram``, for all.

    Example:
        >>> from qnewton.records import Spectrum
        >>> low = Facts(n=1000, held=LowRank(columns=8), spectrum=Spectrum(row_sparsity=1000))
        >>> [(found.name, round(found.alpha)) for found in encodings(low)]
        [('sparse', 1000), ('dense', 32), ('low_rank', 8)]
    """
    found: list[Encoding] = []
    n, held, known = facts.n, facts.held, facts.spectrum
    norm, d = known.norm, known.row_sparsity
    if d is not None:
        sure = bool(norm) and known.max_abs is not None
        largest = known.max_abs / norm if norm and known.max_abs is not None else 1.0
        stated = () if sure else (_LARGEST,)
        alpha = max(1.0, d * largest)
        found.append(SparseEncoding(n=n, sparsity=d, alpha=alpha, tables=tables, known=stated))
    sure = bool(norm) and known.frobenius is not None
    length = known.frobenius / norm if norm and known.frobenius is not None else math.sqrt(n)
    stated = () if sure else (_LENGTH,)
    found.append(DenseEncoding(n=n, alpha=max(1.0, length), tables=tables, known=stated))
    if isinstance(held, LowRank) and held.columns:
        alpha, stated = _factor_alpha(facts, held.columns)
        size = {"n": n, "columns": held.columns}
        found.append(LowRankEncoding(**size, alpha=alpha, tables=tables, known=stated))
    if isinstance(held, Eigenbasis):
        found.append(EigenbasisEncoding(n=n, orders=held.orders, tables=tables))
    return tuple(found)


def _factor_alpha(facts: Facts, columns: int) -> tuple[float, tuple[str, ...]]:
    """Return (‖U‖_F² + λ)/‖A‖₂ or its bound; λ is at most σ_min, which is ‖A‖₂/κ."""
    known, most = facts.spectrum, float(max(1, min(columns, facts.n)))
    trace, norm, condition = known.undamped_trace, known.norm, known.condition
    if trace is None or not norm or condition is None or not condition.value:
        return most, (_TRACE,)
    return min(most, max(1.0, trace / norm + 1.0 / condition.value)), ()
