"""What an emulated quantum linear solver leaves, and the length of what was read of it."""

import math
from dataclasses import dataclass, field, fields

from torch import Tensor

from qnewton.operators import RangedOperator, SymmetricOperator
from qnewton.operators.scaling import into_range, largest, scaled
from qnewton.records import QuantumStats
from qnewton.solvers.options import Mode
from qnewton.solvers.quantum.readout import Measurement

_TIMES_LEAST = 2.0  # what the minimiser's residual may be, of the least along the same line


@dataclass(frozen=True, kw_only=True)
class QuantumSolution(QuantumStats):
    """The output of an emulated quantum linear solver, and what it would have cost.

    The figures that a step record keeps are those of :class:`~qnewton.records.QuantumStats`:
    ``expected_queries`` are ``queries / p`` when attempts are repeated, for Dalzell with an unknown
    norm less, since only a success of the reflection is projected; ``degree`` is the polynomial's,
    for HHL that of the evolutions together; ``resolved`` says whether ``state`` is the algorithm's
    output state. If not, it is only a solution within the promise: the error the algorithm itself
    would make is not in it.

    Attributes:
        direction: x with A·x ≈ rhs, shape [N], in the matrix's dtype. QSVT and HHL: the state with
            the length that the normalisation gives it. Dalzell, or a read-out with shots: along
            the state or what was measured of it, with length and sign from one classical product.
        state: The normalised output state, shape [N], float64.
        state_preparations: Calls to U_b in one attempt.
        amplified_queries: Expected calls with the best amplitude amplification for this p.
        error_bound: Bound on ‖direction - A⁻¹rhs‖/‖A⁻¹rhs‖ of QSVT before read-out, provided the
            promise holds (for exact arithmetic); ``None`` when the promise is known to be broken
            and for the other algorithms, which have no such bound here.
        mode: How it was computed.
        products: Products with A that the emulation itself spent.
        measurement: What was read of the state; ``None`` for the ideal read-out.
    """

    direction: Tensor = field(repr=False)
    state: Tensor = field(repr=False)
    state_preparations: int
    amplified_queries: float
    error_bound: float | None
    mode: Mode
    products: int
    measurement: Measurement | None = field(default=None, repr=False)

    def stats(self) -> QuantumStats:
        """Return the figures a step record keeps."""
        return QuantumStats(**{f.name: getattr(self, f.name) for f in fields(QuantumStats)})


def scaled_along(
    operator: SymmetricOperator, direction: Tensor, rhs: Tensor, kappa: float | None = None
) -> Tensor:
    """Return s·v with the best safe s for A·x = b along v.

    If vᵀAv > 0, s₁ = vᵀb/(vᵀAv) minimises the quadratic model ½xᵀAx - bᵀx along v. It is taken if
    its residual is at most L·‖b‖; otherwise s₂ = (Av)ᵀb/‖Av‖², the least residual, never above ‖b‖.
    If A is definite, Kantorovich gives vᵀAv ≥ ‖v‖‖Av‖·2√κ/(κ+1), so that the residual of s₁ is at
    most L = 1 + (κ+1)/(2√κ) times ‖b‖: s₁ is never refused there. If A is indefinite, vᵀAv may be
    as small as you like, and s₁ as large: L bounds the step, ‖A·s₁v‖ ≤ (L+1)·‖b‖. Without a bound
    on κ, s₁ is also refused where it leaves more than twice the least residual. For a v within ε
    of the solution's direction, the error is then at most 2κε of the solution's length.

    Args:
        operator: A.
        direction: v, any length but 0, shape [N].
        rhs: b, shape [N].
        kappa: A bound on A's condition number, where A may be definite; ``None`` where it is not
            known, or A is indefinite: then L = 1, and the step is no worse than none.

    Returns:
        The scaled vector in v's dtype; 0 if A·v is 0.

    Cost: one classical product, no shots.

    Reference: FORMULAS 22; Kantorovich 1948, in the form of Strang 1960.

    Example:
        >>> import torch
        >>> from qnewton.operators import DenseOperator
        >>> identity = DenseOperator(2 * torch.eye(2).double())
        >>> b = torch.tensor([4.0, 0.0]).double()
        >>> scaled_along(identity, -b, b)
        tensor([2., 0.], dtype=torch.float64)
        >>> saddle = DenseOperator(torch.diag(torch.tensor([1.0, -1.0])).double())
        >>> scaled_along(saddle, torch.tensor([1.0, 0.999]).double(), b)
        tensor([2.0020, 2.0000], dtype=torch.float64)
    """
    # The length of v is nobody's; with those of A and b its squares could leave the range.
    vector = direction.double()
    vector = scaled(vector, -math.frexp(largest(vector))[1])
    ranged, (b, down) = RangedOperator(operator), into_range(rhs.double())
    image = (ranged @ vector.to(operator.dtype)).double()
    best = _best_length(vector, image, b, kappa)
    return scaled(vector * best, down - ranged.exponent).to(direction.dtype)


def _best_length(v: Tensor, av: Tensor, b: Tensor, kappa: float | None) -> float:
    curvature, square = float(v @ av), float(av @ av)
    if not 0.0 < square < math.inf:
        return 0.0
    length, norm = float(av @ b) / square, float(b.norm())
    if curvature > 0.0:
        minimiser = float(v @ b) / curvature
        if kappa is None:
            limit = min(norm, _TIMES_LEAST * float((b - length * av).norm()))
        else:
            limit = norm * (1.0 + (kappa + 1.0) / (2.0 * math.sqrt(kappa)))
        residual = float((b - minimiser * av).norm())
        # A few roundings: an exact step has residual 0, whichever length it takes.
        if residual <= limit + 1e-12 * norm:
            length = minimiser
    return length
