"""The Jacobian of residuals, rows by sample, from the fewest passes that give it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.autograd import flat, grad
from qnewton.curvature.blocks import slices_of
from qnewton.curvature.generic import CHUNK, JacobianGraph
from qnewton.curvature.residuals import SumOfSquares
from qnewton.curvature.routes import Refused, difference, random_like
from qnewton.curvature.term_rows import TermRows, fill_parameter
from qnewton.curvature.use_kinds import Gone
from qnewton.curvature.uses import Uses
from qnewton.operators.private_torch import is_shared

ADDED_UP = "the squares add up to the loss"
"""What is known of J where there is no gradient to compare it with."""


@dataclass(frozen=True)
class Jacobian:
    """J = ∂r/∂θ of all residuals, formed.

    Attributes:
        matrix: Shape [M, N], the rows in the order of the terms, the columns in that of parameters.
        by_uses: Whether the rows of weights came from one backward pass through their uses.
        passes: Backward passes that it took.
        terms: How many residuals, of many entries each.
    """

    matrix: Tensor
    by_uses: bool
    passes: int
    terms: int


class Workspace:
    """Memory for one Jacobian after the other: fresh memory costs more than the entries."""

    def __init__(self) -> None:
        self._matrix: Tensor | None = None

    def matrix(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return a matrix of some content, which nobody else reads, typed as ``like``."""
        held = self._matrix
        same = held is not None and (held.dtype, held.device) == (like.dtype, like.device)
        if held is None or not same or held.shape != (rows, columns) or is_shared(held):
            held = self._matrix = like.detach().new_empty((rows, columns))
        return held.detach()


def jacobian(
    sums: SumOfSquares,
    parameters: Sequence[Tensor],
    uses: Sequence[Uses],
    workspace: Workspace | None = None,
) -> Jacobian:
    """Return J of a loss's terms.

    Where the samples of a term do not interact, one backward pass gives the signals of every use of
    a weight, and so the weight's columns. All else is differentiated row by row or column by
    column, whichever takes fewer passes.

    Args:
        sums: The terms.
        parameters: θ.
        uses: How each term uses them, as :func:`~qnewton.curvature.uses.uses_in` says; those left
            out are differentiated.
        workspace: Where to make it; ``None`` for new memory.
    """
    counts = [term.residual.numel() for term in sums.terms]
    n = sum(parameter.numel() for parameter in parameters)
    matrix = (workspace or Workspace()).matrix(sum(counts), n, parameters[0])
    by_uses, passes = False, 0
    at = slices_of(parameters)
    for term, rows, used in zip(sums.terms, matrix.split(counts), uses, strict=True):
        told, taken = fill(rows, term.residual, parameters, at, used)
        by_uses, passes = by_uses or told, passes + taken
    return Jacobian(matrix, by_uses, passes, len(counts))


def fill(
    rows: Tensor,
    residual: Tensor,
    parameters: Sequence[Tensor],
    at: Mapping[int, slice],
    uses: Uses,
) -> tuple[bool, int]:
    """Fill in the rows of one residual; return whether uses told some, and the passes."""
    if residual.is_leaf:  # weight decay
        rows.zero_()
        rows[:, at[id(residual)]].fill_diagonal_(1.0)
        return False, 0
    used = [parameter for parameter in parameters if uses[id(parameter)]]
    term = TermRows.of(residual, uses, 2 * sum(parameter.numel() for parameter in used))
    told, passes = set(), 0
    if term.uses:
        entries = rows.view(term.samples, term.entries, rows.shape[1])
        signals = term.signals(slice(None))
        for key in term.uses:
            try:
                sides = term.sides(key, signals, slice(None))
            except Gone:
                continue
            fill_parameter(entries[..., at[key]], sides)
            told.add(key)
            passes = term.entries
    missing = [parameter for parameter in used if id(parameter) not in told]
    for parameter in parameters:
        if not uses[id(parameter)]:
            rows[:, at[id(parameter)]] = 0.0
    if not missing:
        return bool(told), passes
    for parameter, columns in zip(missing, _one_by_one(residual, missing), strict=True):
        rows[:, at[id(parameter)]] = columns
    return bool(told), passes + min(len(rows), 2 * sum(p.numel() for p in missing))


def _one_by_one(residual: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the columns of parameters by one pass per row, or two per column."""
    graph = JacobianGraph(residual, parameters)
    sizes = [parameter.numel() for parameter in parameters]
    rows, n = residual.numel(), sum(sizes)
    if rows <= 2 * n:
        units = torch.eye(rows, dtype=residual.dtype, device=residual.device)
        cotangents = units.view(rows, *residual.shape).split(CHUNK)
        found = torch.cat([graph.backward(parameters, piece) for piece in cotangents])
    else:
        units = torch.eye(n, dtype=residual.dtype, device=residual.device)
        pieces = [graph.forward(parameters, piece) for piece in units.split(CHUNK)]
        found = torch.cat(pieces).reshape(n, rows).mT
    return found.detach().split(sizes, dim=1)


def value_refusal(sums: SumOfSquares, loss: Tensor, limit: float) -> Refused | None:
    """Return that the terms do not add up to the loss, to a relative ``limit``; ``None`` if so."""
    value = sum((term.value for term in sums.terms), start=torch.zeros_like(loss.detach()))
    apart = difference(value.reshape(1), loss.detach().reshape(1))
    if sums.has_constant or apart <= limit:
        return None
    return Refused(f"the squares are off the loss by {apart:.2g}, limit {limit:.0g}")


def proof(
    made: Jacobian, sums: SumOfSquares, loss: Tensor, gradient: Tensor | None, limit: float
) -> str | Refused:
    """Return how well J and the terms agree with the loss and its gradient, or that they do not.

    Args:
        made: J.
        sums: The terms.
        loss: The loss, whose value they are.
        gradient: Its gradient in all parameters, shape [N].
        limit: Of the relative difference.
    """
    off_value = value_refusal(sums, loss, limit)
    if off_value is not None:
        return off_value
    if gradient is None:
        return ADDED_UP
    slope = sums.slope
    pulled, count = made.matrix.mT @ slope, len(slope)
    return gradient_agreement(
        pulled, gradient, limit, count, lambda: made.matrix.abs().mT @ slope.abs()
    )


def gradient_agreement(
    pulled: Tensor, gradient: Tensor, limit: float, count: int, terms: Callable[[], Tensor]
) -> str | Refused:
    """Return how well Jᵀr agrees with the gradient, or that it does not.

    Args:
        pulled: Jᵀr.
        gradient: The gradient.
        limit: Of the relative difference.
        count: M.
        terms: Returns |J|ᵀ|r|.
    """
    size, off = float(gradient.norm()), float((pulled - gradient).norm())
    # Near a minimum the sum cancels, and what is left of it is rounding, which grows like √M: a fit
    # of a million residuals in float32 showed 1.5 times eps·√M.
    rounding = max(1e-3 * limit, 4 * torch.finfo(gradient.dtype).eps * count**0.5)
    if not off <= limit * size and not off <= rounding * float(terms().norm()):
        return Refused(f"Jᵀr is off the gradient by {off:.2g}: samples interact", lasting=True)
    return f"Jᵀr agrees with the gradient to {off / max(size, 1e-300):.1g}"


def probed(made: Jacobian, sums: SumOfSquares, parameters: Sequence[Tensor]) -> float:
    """Return how far Jᵀu, u random, is off one backward pass, relative to its length."""
    u = random_like(made.matrix, (len(made.matrix),))
    return difference(made.matrix.mT @ u, pulled_back(u, sums, parameters))


def pulled_back(u: Tensor, sums: SumOfSquares, parameters: Sequence[Tensor]) -> Tensor:
    """Return Jᵀu by one backward pass for each term."""
    pieces = u.split([term.residual.numel() for term in sums.terms])
    expected = u.new_zeros(sum(parameter.numel() for parameter in parameters))
    for term, piece in zip(sums.terms, pieces, strict=True):
        found = grad(term.residual, parameters, piece.view_as(term.residual))
        expected += flat(found, parameters)
    return expected
