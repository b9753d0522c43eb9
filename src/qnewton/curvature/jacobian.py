"""The Jacobian of residuals, rows by sample, from the fewest passes that give it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, flat, grad
from qnewton.curvature.blocks import unknowns
from qnewton.curvature.generic import CHUNK, JacobianGraph
from qnewton.curvature.residuals import SumOfSquares
from qnewton.curvature.routes import Refused, difference, random_like
from qnewton.curvature.sample_rows import gathered, row_indices
from qnewton.curvature.use_kinds import Gone, Sides, Use
from qnewton.curvature.uses import Uses
from qnewton.operators.private_torch import is_shared

# Passes that tell whether points are samples of their own: fewer are taken at once.
_BATCH = 2
# Inputs of a layer up to which a loop over them is faster than an innermost loop as short.
_NARROW = 3


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
    places = dict(zip(map(id, parameters), unknowns(parameters), strict=True))
    for term, rows, used in zip(sums.terms, matrix.split(counts), uses, strict=True):
        told, taken = _fill(rows, term.residual, parameters, places, used)
        by_uses, passes = by_uses or told, passes + taken
    return Jacobian(matrix, by_uses, passes, len(counts))


def _fill(
    rows: Tensor,
    residual: Tensor,
    parameters: Sequence[Tensor],
    places: Mapping[int, slice],
    uses: Uses,
) -> tuple[bool, int]:
    """Fill in the rows of one residual; return whether uses told some, and the passes."""
    if residual.is_leaf:  # weight decay
        rows.zero_()
        rows[:, places[id(residual)]].fill_diagonal_(1.0)
        return False, 0
    residual = _by_point(residual, [use for of in uses.values() for use in of if use is not None])
    used = [parameter for parameter in parameters if uses[id(parameter)]]
    apart = min(len(rows), 2 * sum(parameter.numel() for parameter in used))
    told, passes = set(), 0
    # A sample of many entries takes as many signals: one by one may be fewer passes.
    many = residual.ndim == 0 or len(rows) > apart * len(residual)
    for key, sides in () if many else _told(residual, uses):
        entries = rows.view(len(residual), -1, rows.shape[1])
        _fill_parameter(entries[..., places[key]], sides)
        told.add(key)
        passes = entries.shape[1]
    missing = [parameter for parameter in used if id(parameter) not in told]
    for parameter in parameters:
        if not uses[id(parameter)]:
            rows[:, places[id(parameter)]] = 0.0
    if not missing:
        return bool(told), passes
    for parameter, columns in zip(missing, _one_by_one(residual, missing), strict=True):
        rows[:, places[id(parameter)]] = columns
    return bool(told), passes + min(len(rows), 2 * sum(p.numel() for p in missing))


def _by_point(residual: Tensor, uses: Sequence[Use]) -> Tensor:
    """Return residuals on a grid of points as samples of their own, if the uses show points."""
    count = residual.numel()
    several = residual.ndim > 1 and count > _BATCH * len(residual)
    uses = [use.by_row() for use in uses]
    if not several or any(use.shape[0] != count for use in uses):
        return residual
    with torch.enable_grad():
        points = residual.flatten()
    order = torch.arange(count, device=residual.device)[:, None]
    indices = row_indices(points, uses).values()
    in_order = all(index is not None and torch.equal(index, order) for index in indices)
    return points if in_order else residual


def _told(residual: Tensor, uses: Uses) -> Iterator[tuple[int, list[Sides]]]:
    """Yield the parameters whose every use is known by sample, with the sides of their rows."""
    count = len(residual)
    known = {
        key: [use if use.shape[0] == count else use.by_row() for use in of if use is not None]
        for key, of in uses.items()
    }
    known = {key: of for key, of in known.items() if of and len(of) == len(uses[key])}
    if not known:
        return
    every = {use.node: use for of in known.values() for use in of}
    found = zip(every, _signals(residual, [*every.values()]), strict=True)
    signals = {node: signal for node, signal in found if signal is not None}
    reached = {key: [use for use in of if use.node in signals] for key, of in known.items()}
    astray = [u for of in reached.values() for u in of if u.shape[0] != count]
    indices = row_indices(residual, astray)
    for key, of in reached.items():
        if any(indices.get(id(use), True) is None for use in of):
            continue
        try:
            made = [use.sides(use.by_sample(signals[use.node])) for use in of]
        except Gone:
            continue
        pairs = zip(made, of, strict=True)
        yield key, [gathered(sides, indices.get(id(use))) for sides, use in pairs]


def _signals(residual: Tensor, uses: Sequence[Use]) -> Sequence[Tensor | None]:
    """Return what comes back to each use from every entry of a sample, [C, …]."""
    entries = residual.numel() // max(len(residual), 1)
    places = [use.place for use in uses]
    if entries == 1:
        found = grad(residual, places, torch.ones_like(residual))
        return [None if signal is None else signal.detach()[None] for signal in found]
    eye = torch.eye(entries, dtype=residual.dtype, device=residual.device)
    cotangents = eye.view(entries, 1, *residual.shape[1:]).expand(-1, *residual.shape)
    return batched_grad([residual], places, [cotangents])


def _fill_parameter(entries: Tensor, sides: Sequence[Sides]) -> None:
    """Fill in Σ left ⊗ right of every sample and entry, [B, K, n]."""
    count = entries.shape[1]
    products = [(one.left, one.right) for one in sides if one.right is not None]
    plain = [one.rows() for one in sides if one.right is None]
    if not products:
        entries.zero_() if not plain else entries.copy_(sum(plain[1:], start=plain[0]))
        return
    single = all(left.shape[2] == 1 for left, _ in products)
    if len(products) > 1 and not single:
        whole = [[side.expand(-1, count, -1, -1) for side in pair] for pair in products]
        left, right = (torch.cat(several, dim=2) for several in zip(*whole, strict=True))
        products = [(left, right)]
    shape = products[0][0].shape[-1], products[0][1].shape[-1]
    for at in range(count):
        target = entries[:, at].unflatten(-1, shape)
        for place, pair in enumerate(products):
            left, right = (side[:, min(at, side.shape[1] - 1)] for side in pair)
            if single:
                _put_outer(target, left, right, added=place > 0)
            else:
                torch.bmm(left.mT, right, out=target)
    for part in plain:
        entries += part


def _put_outer(target: Tensor, left: Tensor, right: Tensor, added: bool) -> None:
    """Put left ⊗ right of every sample in place, or add it: nine times as fast as bmm if small."""
    width, parts = target.shape[-1], [(target, left.mT, right)]
    if width <= _NARROW:
        parts = [(target[..., at], left[:, 0], right[..., at]) for at in range(width)]
    for into, one, other in parts:
        if added:
            into.addcmul_(one, other)
        else:
            torch.mul(one, other, out=into)


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
        return "the squares add up to the loss"
    slope = sums.slope
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
