"""The Jacobian of residuals, rows by sample, from the fewest passes that give it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, grad, leaf_uses
from qnewton.curvature.generic import CHUNK, JacobianGraph
from qnewton.curvature.residuals import SumOfSquares, Term
from qnewton.curvature.routes import Refused, difference, random_like
from qnewton.curvature.taps import Taps, Use

_MAX_ENTRIES = 1 << 27
"""Entries of a Jacobian that are formed: 1 GB in float64."""


@dataclass(frozen=True)
class Jacobian:
    """J = ∂r/∂θ of all residuals, formed.

    Attributes:
        matrix: Shape [M, N], the rows in the order of the terms, the columns in that of parameters.
        by_uses: Whether the rows of weights came from one backward pass through their uses.
        passes: Backward passes that it took.
    """

    matrix: Tensor
    by_uses: bool
    passes: int


def jacobian(
    sums: SumOfSquares, parameters: Sequence[Tensor], taps: Taps | None
) -> Jacobian | Refused:
    """Return J of a loss's terms.

    Where the samples of a term do not interact, one backward pass gives the signals of every use of
    a weight, and so the weight's columns. All else is differentiated row by row or column by
    column, whichever takes fewer passes.

    Args:
        sums: The terms.
        parameters: θ.
        taps: What watched the closure; ``None`` if nobody did.
    """
    rows = sum(term.residual.numel() for term in sums.terms)
    n = sum(parameter.numel() for parameter in parameters)
    if rows * n > _MAX_ENTRIES:
        return Refused(f"{rows} × {n} entries are more than {_MAX_ENTRIES:.2g}", lasting=True)
    made = [_of_term(term, parameters, taps) for term in sums.terms]
    matrix = torch.cat([part.matrix for part in made])
    by_uses = any(part.by_uses for part in made)
    return Jacobian(matrix, by_uses, sum(part.passes for part in made))


def _of_term(term: Term, parameters: Sequence[Tensor], taps: Taps | None) -> Jacobian:
    residual = term.residual
    if residual.is_leaf:  # weight decay
        matrix = torch.eye(residual.numel(), dtype=residual.dtype, device=residual.device)
        pieces = [
            matrix if parameter is residual else matrix.new_zeros((len(matrix), parameter.numel()))
            for parameter in parameters
        ]
        return Jacobian(torch.cat(pieces, dim=1), False, 0)
    columns: dict[int, Tensor] = {} if taps is None else _by_uses(residual, parameters, taps)
    uses = leaf_uses([residual])
    for parameter in parameters:
        if not uses[id(parameter)]:
            columns.setdefault(
                id(parameter), residual.new_zeros(()).expand(residual.numel(), parameter.numel())
            )
    missing = [parameter for parameter in parameters if id(parameter) not in columns]
    passes, by_uses = 1, any(columns[id(p)].stride(0) for p in parameters if id(p) in columns)
    if missing:
        columns |= _one_by_one(residual, missing)
        passes += min(residual.numel(), 2 * sum(p.numel() for p in missing))
    return Jacobian(torch.cat([columns[id(p)] for p in parameters], dim=1), by_uses, passes)


def _by_uses(residual: Tensor, parameters: Sequence[Tensor], taps: Taps) -> dict[int, Tensor]:
    """Return the columns of weights and biases that the residual reaches through uses alone."""
    if residual.ndim == 0 or not taps.tapes:
        return {}
    samples = residual.shape[0]
    counts = leaf_uses([residual])
    found: dict[int, Tensor] = {}
    uses = [use for tape in taps.tapes.values() for use in tape.uses]
    signals = dict(zip(map(id, uses), _signals(residual, uses), strict=True))
    for parameter in parameters:
        tape, shifted = taps.tapes.get(id(parameter)), taps.shifts.get(id(parameter))
        if tape is not None and counts[id(parameter)] == 1:
            pairs = [(use, s) for use in tape.uses if (s := signals[id(use)]) is not None]
            if pairs and all(use.shape[0] == samples for use, _ in pairs):
                found[id(parameter)] = _weight_rows(pairs, samples)
        elif shifted is not None:
            back = [(use, s) for use in shifted if (s := signals[id(use)]) is not None]
            whole = counts[id(parameter)] == len(back)
            if back and whole and all(use.shape[0] == samples for use, _ in back):
                sums = [s.flatten(2, -2).sum(2) if s.ndim > 3 else s for _, s in back]
                first, *others = (s.transpose(0, 1).flatten(0, 1) for s in sums)
                found[id(parameter)] = sum(others, start=first)
    return found


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


def _weight_rows(pairs: Sequence[tuple[Use, Tensor]], samples: int) -> Tensor:
    """Return Σ signal ⊗ input of every sample and entry, [B·C, out·in]."""
    lefts, rights = [], []
    for use, signal in pairs:
        factor = use.factor.detach()
        width = signal.shape[-1]
        back = signal.reshape(signal.shape[0], samples, -1, width).transpose(0, 1)
        given = factor.reshape(samples, 1, -1, factor.shape[-1]).expand(-1, back.shape[1], -1, -1)
        left, right = (given, back) if use.transposed else (back, given)
        lefts.append(left)
        rights.append(right)
    left, right = torch.cat(lefts, dim=2), torch.cat(rights, dim=2)
    return (left.mT @ right).flatten(2).flatten(0, 1)


def _one_by_one(residual: Tensor, parameters: Sequence[Tensor]) -> dict[int, Tensor]:
    """Return the columns of parameters by one pass a row, or two a column."""
    graph = JacobianGraph(residual, parameters)
    sizes = [parameter.numel() for parameter in parameters]
    rows, n = residual.numel(), sum(sizes)
    example = residual.detach()
    if rows <= 2 * n:
        units = torch.eye(rows, dtype=residual.dtype, device=residual.device)
        cotangents = units.view(rows, *residual.shape).split(CHUNK)
        found = torch.cat([graph.backward(parameters, piece) for piece in cotangents])
    else:
        units = torch.eye(n, dtype=example.dtype, device=example.device)
        pieces = [graph.forward(parameters, piece) for piece in units.split(CHUNK)]
        found = torch.cat(pieces).reshape(n, rows).mT
    return dict(zip(map(id, parameters), found.detach().split(sizes, dim=1), strict=True))


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
    found = made.matrix.mT @ slope
    # Near a minimum the sum cancels, and what is left of it is rounding.
    scale = (made.matrix.abs().mT @ slope.abs()).norm()
    off = float((found - gradient).norm())
    if not off <= limit * max(float(gradient.norm()), 1e-3 * float(scale)):
        return Refused(f"Jᵀr is off the gradient by {off:.2g}: samples interact", lasting=True)
    return f"Jᵀr agrees with the gradient to {off / max(float(gradient.norm()), 1e-300):.1g}"


def probed(made: Jacobian, sums: SumOfSquares, parameters: Sequence[Tensor]) -> float:
    """Return how far Jᵀu, u random, is off one backward pass, relative to its length."""
    u = random_like(made.matrix, (len(made.matrix),))
    pieces = u.split([term.residual.numel() for term in sums.terms])
    expected = torch.zeros_like(made.matrix[0])
    for term, piece in zip(sums.terms, pieces, strict=True):
        found = grad(term.residual, parameters, piece.view_as(term.residual))
        flat = [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for g, p in zip(found, parameters, strict=True)
        ]
        expected += torch.cat(flat)
    return difference(made.matrix.mT @ u, expected)
