"""The Jacobian of residuals, rows by sample, from the fewest passes that give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, flat, grad, leaf_uses
from qnewton.curvature.blocks import unknowns
from qnewton.curvature.generic import CHUNK, JacobianGraph
from qnewton.curvature.residuals import SumOfSquares
from qnewton.curvature.routes import Refused, difference, random_like
from qnewton.curvature.sample_rows import PlacedUse, placed_by_weights, placed_in_order
from qnewton.curvature.taps import Taps, Use
from qnewton.operators.private_torch import is_shared

_MAX_ENTRIES = 1 << 27
"""Entries of a Jacobian that are formed: 1 GB in float64."""


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
    taps: Taps | None,
    workspace: Workspace | None = None,
) -> Jacobian | Refused:
    """Return J of a loss's terms.

    Where the samples of a term do not interact, one backward pass gives the signals of every use of
    a weight, and so the weight's columns. All else is differentiated row by row or column by
    column, whichever takes fewer passes.

    Args:
        sums: The terms.
        parameters: θ.
        taps: What watched the closure; ``None`` if nobody did.
        workspace: Where to make it; ``None`` for new memory.
    """
    counts = [term.residual.numel() for term in sums.terms]
    n = sum(parameter.numel() for parameter in parameters)
    if sum(counts) * n > _MAX_ENTRIES:
        reason = f"{sum(counts)} × {n} entries are more than {_MAX_ENTRIES:.2g}"
        return Refused(reason, lasting=True)
    matrix = (workspace or Workspace()).matrix(sum(counts), n, parameters[0])
    places = dict(zip(map(id, parameters), unknowns(parameters), strict=True))
    by_uses, passes = False, 0
    for term, rows in zip(sums.terms, matrix.split(counts), strict=True):
        used, taken = _fill(rows, term.residual, parameters, places, taps)
        by_uses, passes = by_uses or used, passes + taken
    return Jacobian(matrix, by_uses, passes, len(counts))


def _fill(
    rows: Tensor,
    residual: Tensor,
    parameters: Sequence[Tensor],
    places: Mapping[int, slice],
    taps: Taps | None,
) -> tuple[bool, int]:
    """Fill in the rows of one residual; return whether uses told some, and the passes."""
    if residual.is_leaf:  # weight decay
        rows.zero_()
        rows[:, places[id(residual)]].fill_diagonal_(1.0)
        return False, 0
    counts = leaf_uses([residual])
    known = set() if taps is None else _fill_by_uses(rows, residual, places, taps, counts)
    used, missing = bool(known), []
    for parameter in parameters:
        if not counts[id(parameter)]:
            rows[:, places[id(parameter)]] = 0.0
        elif id(parameter) not in known:
            missing.append(parameter)
    if not missing:
        return used, 1
    for parameter, columns in zip(missing, _one_by_one(residual, missing), strict=True):
        rows[:, places[id(parameter)]] = columns
    return used, 1 + min(len(rows), 2 * sum(p.numel() for p in missing))


def _fill_by_uses(
    rows: Tensor,
    residual: Tensor,
    places: Mapping[int, slice],
    taps: Taps,
    counts: Mapping[int, int],
) -> set[int]:
    """Fill in the columns of weights and biases that are reached through uses alone."""
    if residual.ndim == 0 or not taps.tapes:
        return set()
    uses = [use for tape in taps.tapes.values() for use in tape.uses]
    placed = _placed(residual, uses)
    known = {id(one.use): one for one in placed}
    entries = rows.view(residual.shape[0], -1, rows.shape[1])
    filled = set()
    for key, place in places.items():
        if key in taps.tapes and counts[key] == 1:
            found = [known[id(use)] for use in taps.tapes[key].uses if id(use) in known]
            if found:
                _fill_weight(entries[..., place], found)
                filled.add(key)
        elif key in taps.shifts:
            found = [known[id(use)] for use in taps.shifts[key] if id(use) in known]
            if found and len(found) == counts[key]:
                first, *others = (one.shifts() for one in found)
                entries[..., place] = sum(others, start=first)
                filled.add(key)
    return filled


def _placed(residual: Tensor, uses: Sequence[Use]) -> list[PlacedUse]:
    """Return the uses that a residual is reached from, with the rows of each."""
    signals = _signals(residual, uses)
    pairs = zip(uses, signals, strict=True)
    if all(use.shape[0] == residual.shape[0] for use, signal in pairs if signal is not None):
        return placed_in_order(uses, signals)
    return placed_by_weights(residual, uses, signals) or []


def _signals(residual: Tensor, uses: Sequence[Use]) -> Sequence[Tensor | None]:
    """Return what comes back to each use from every entry of a sample, [C, B, …]."""
    entries = residual.numel() // max(residual.shape[0], 1)
    places = [use.place for use in uses]
    if entries == 1:
        found = grad(residual, places, torch.ones_like(residual))
        return [None if signal is None else signal.detach()[None] for signal in found]
    eye = torch.eye(entries, dtype=residual.dtype, device=residual.device)
    cotangents = eye.view(entries, 1, *residual.shape[1:]).expand(-1, *residual.shape)
    return batched_grad([residual], places, [cotangents])  # type: ignore[arg-type]


def _fill_weight(entries: Tensor, placed: Sequence[PlacedUse]) -> None:
    """Fill in Σ signal ⊗ input of every sample and entry, [B, K, out·in]."""
    sides = [one.sides() for one in placed]
    left, right = sides[0]
    if len(sides) > 1:
        left = torch.cat([one for one, _ in sides], dim=2)
        right = torch.cat([one.expand(-1, left.shape[1], -1, -1) for _, one in sides], dim=2)
    shape = left.shape[-1], right.shape[-1]
    for at in range(entries.shape[1]):
        given = right[:, min(at, right.shape[1] - 1)]
        torch.bmm(left[:, at].mT, given, out=entries[:, at].unflatten(-1, shape))


def _one_by_one(residual: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the columns of parameters by one pass a row, or two a column."""
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
    value = sum((term.value for term in sums.terms), start=torch.zeros_like(loss.detach()))
    if not sums.has_constant:
        apart = difference(value.reshape(1), loss.detach().reshape(1))
        if not apart <= limit:
            return Refused(f"the squares are off the loss by {apart:.2g}, limit {limit:.0g}")
    if gradient is None:
        return "the squares add up to the loss"
    slope = torch.cat([term.slope.flatten() for term in sums.terms])
    size, off = float(gradient.norm()), float((made.matrix.mT @ slope - gradient).norm())
    if not off <= limit * size:
        # Near a minimum the sum cancels, and what is left of it is rounding.
        scale = float((made.matrix.abs().mT @ slope.abs()).norm())
        if not off <= limit * max(size, 1e-3 * scale):
            reason = f"Jᵀr is off the gradient by {off:.2g}: samples interact"
            return Refused(reason, lasting=True)
    return f"Jᵀr agrees with the gradient to {off / max(size, 1e-300):.1g}"


def probed(made: Jacobian, sums: SumOfSquares, parameters: Sequence[Tensor]) -> float:
    """Return how far Jᵀu, u random, is off one backward pass, relative to its length."""
    u = random_like(made.matrix, (len(made.matrix),))
    pieces = u.split([term.residual.numel() for term in sums.terms])
    expected = torch.zeros_like(made.matrix[0])
    for term, piece in zip(sums.terms, pieces, strict=True):
        found = grad(term.residual, parameters, piece.view_as(term.residual))
        expected += flat(found, parameters)
    return difference(made.matrix.mT @ u, expected)
