"""The largest eigenpairs solved classically, the rest by the emulated quantum solver."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, RangedOperator, SymmetricOperator
from qnewton.operators.deflated import DeflatedOperator
from qnewton.operators.scaling import shifted_number
from qnewton.records import Deflation, Outcome
from qnewton.records.messages import check
from qnewton.solvers.quantum.emulate import Emulator, put_back
from qnewton.solvers.quantum.promise import (
    SystemRefused,
    check_rhs,
    float64_entries,
    near_rhs,
    norm_from_below,
)
from qnewton.solvers.quantum.readout import QuantumSolution
from qnewton.solvers.solution import SolveOptions
from qnewton.survey.largest import largest_eigenpairs

DEFLATED = 8
"""Eigenpairs that are taken out unless it is said how many."""

_WIDENED = 1.01  # α over the largest Ritz value, which is below ‖A‖₂
# Of ‖b‖: what is left of a right-hand side inside the deflated space is rounding.
_ROUNDING = 64.0 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Deflated:
    """What a deflated solve came to.

    Attributes:
        direction: x, shape [N], in the matrix's dtype.
        deflation: What was solved classically, and its cost.
        rest: What the quantum solver gave for the rest; ``None`` where nothing was left.
    """

    direction: Tensor
    deflation: Deflation
    rest: QuantumSolution | None


def solve_deflated(
    operator: SymmetricOperator, rhs: Tensor, epsilon: float, options: SolveOptions
) -> Deflated:
    """Solve A·x = b with the largest |λ| taken out of the quantum solver's matrix.

    With V near the eigenvectors of the k largest |λ|, W = A·V and T = VᵀW, the emulated solver
    solves the rest, :class:`~qnewton.operators.DeflatedOperator`, whose condition number is
    |λ_{k+1}|/σ_min, for x₂; then x = x₂ + V·T⁻¹(Vᵀb - Wᵀx₂). That is exact for any V: an error of
    the eigenvectors costs condition, not accuracy. An error ε of x₂ is one of x of at most ε.

    Args:
        operator: A, symmetric.
        rhs: b, shape [N], not zero.
        epsilon: Error of the polynomial.
        options: ``deflate`` says k; α and κ_be of A, where given, say σ_min; ``readout``,
            ``execution`` and ``mode`` are those of the emulator.

    Raises:
        SystemRefused: As :func:`qnewton.solvers.quantum.emulate`.
        ValueError: If k is out of range.

    Cost: products for the eigenpairs (:func:`~qnewton.survey.largest.largest_eigenpairs`), k more
    for W, and the emulator's.

    Reference: Li et al., arXiv:2405.00252, VI-B (low-rank structure); the split by a Schur
    complement is deflation as in Nicolaides, SIAM J. Numer. Anal. 24 (1987) 355.

    Example:
        >>> matrix = DenseOperator(torch.diag(torch.tensor([1e4, 2.0, 1.0]).double()))
        >>> found = solve_deflated(matrix, torch.ones(3).double(), 1e-6, SolveOptions(deflate=1))
        >>> found.direction, round(found.rest.kappa, 1)
        (tensor([1.0000e-04, 5.0000e-01, 1.0000e+00], dtype=torch.float64), 2.0)
    """
    check_rhs(operator, rhs)
    near, down = near_rhs(rhs)
    count = min(DEFLATED, operator.n - 1) if options.deflate is None else options.deflate
    holds = 0 <= count < operator.n
    check("deflate", count, f"must lie between 0 and {operator.n - 1}, one below N", holds)
    began = time.perf_counter()
    working, exponent = _working(operator)
    try:
        pairs = largest_eigenpairs(working, count)
    except ValueError as error:
        raise SystemRefused(Outcome.NOT_FINITE, f"the matrix is not finite: {error}") from error
    if pairs.following <= operator.n * _ROUNDING * abs(pairs.values[0] if pairs.values else 0.0):
        message = f"beside {len(pairs.values)} eigenvalues the matrix is zero to rounding"
        raise SystemRefused(Outcome.SINGULAR, message)
    sign = math.copysign(1.0, pairs.values[-1]) if pairs.values else 1.0
    rest = DeflatedOperator(working, pairs.vectors, sign * pairs.following)
    along = pairs.vectors.mT @ near
    left = rest.project(near - rest.images @ torch.linalg.solve(rest.middle, along))
    deflation = Deflation(
        eigenpairs=len(pairs.values),
        products=pairs.products + len(pairs.values),
        share=float(along.norm() / near.norm()),
        measured_seconds=time.perf_counter() - began,
    )
    output, x = None, torch.zeros_like(near)
    if float(left.norm()) > _ROUNDING * float(near.norm()):
        given = None
        if options.alpha is not None and options.kappa is not None:
            given = shifted_number(options.alpha, -exponent) / options.kappa
        output = _emulated(rest, left, epsilon, given, options)
        x = rest.project(output.direction)
    x = x + pairs.vectors @ torch.linalg.solve(rest.middle, along - rest.images.mT @ x)
    direction = put_back(x, down - exponent, operator.dtype, epsilon)
    return Deflated(direction, deflation, output)


def _working(operator: SymmetricOperator) -> tuple[SymmetricOperator, int]:
    """Return 2^-e·A, in float64 where its entries are held, and e."""
    if isinstance(operator, DenseOperator):
        return float64_entries(operator)
    ranged = RangedOperator(operator)
    probe = torch.ones(operator.n, dtype=operator.dtype, device=operator.device)
    if not torch.isfinite(ranged @ probe).all():
        raise SystemRefused(Outcome.NOT_FINITE, "a product with the matrix is not finite")
    return ranged, ranged.exponent


def _emulated(
    rest: DeflatedOperator,
    left: Tensor,
    epsilon: float,
    smallest: float | None,
    options: SolveOptions,
) -> QuantumSolution:
    """Emulate the rest; what is promised of A's smallest singular value holds for it, too."""
    alpha = kappa = None
    if smallest is not None:
        alpha = _WIDENED * norm_from_below(rest, accuracy=1e-3)
        kappa = max(1.0, alpha / smallest)
    settings = {"mode": options.mode, "execution": options.execution, "for_rhs": left}
    emulator = Emulator(rest, "qsvt", epsilon, alpha, kappa, **settings)
    return emulator.solve(left, options.readout)
