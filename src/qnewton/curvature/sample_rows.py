"""Which row of a weight's use belongs to which residual, where they are not in the same order.

A closure often evaluates its model once, on the points of several conditions together, and cuts
residuals out of what comes back. Row b of the residuals is then reached from other rows of a use.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from qnewton.curvature.autograd import batched_grad
from qnewton.curvature.routes import LIMIT
from qnewton.curvature.use_kinds import Sides, Use

_APART = {torch.float32: 1 << 11, torch.float64: 1 << 20}
"""How many numbers between 1 and 2 can be told apart after a product's rounding."""


def row_indices(residual: Tensor, uses: Sequence[Use]) -> dict[int, Tensor | None]:
    """Return which rows of each use every residual is reached from, by the use's id.

    With weights w_b = 1 + b/B on the residuals, the signal of a row that residual b alone is
    reached from is w_b times that without weights. More residuals than weights can tell apart
    are weighed by each digit of b.

    Args:
        residual: r, shape [B, …].
        uses: Uses that it is reached from.

    Returns:
        Indices of shape [B, T], where the number of rows stands for none; ``None`` for a use with
        a row that several residuals are reached from.

    Cost: one batch of backward passes, one and one per digit, if there is a use.
    """
    if not uses:
        return {}
    plain = torch.ones_like(residual)
    # Positive factors of their own keep the entries of one residual from cancelling.
    plain = plain * (1 + torch.rand(residual.shape[1:], generator=_drawn()).to(plain))
    weights = 1 + _digits(residual) / _APART[residual.dtype]
    weighed = weights.view(len(weights), -1, *[1] * (residual.ndim - 1)) * plain
    places, passes = [use.place for use in uses], torch.cat([plain[None], weighed])
    found: dict[int, Tensor | None] = {}
    for use, signals in zip(uses, batched_grad([residual], places, [passes]), strict=True):
        assert signals is not None
        rows = use.by_sample(signals).reshape(len(signals), use.shape[0], -1).double()
        found[id(use)] = _index(rows, len(residual), residual.dtype)
    return found


def _digits(residual: Tensor) -> Tensor:
    """Return the digits of 0, 1, … for the residuals, the lowest first, [D, B]."""
    numbers, base = torch.arange(len(residual), device=residual.device), _APART[residual.dtype]
    digits = [numbers % base]
    while len(residual) > base ** len(digits):
        digits.append(numbers // base ** len(digits) % base)
    return torch.stack(digits).to(residual.dtype)


def gathered(sides: Sides, index: Tensor | None) -> Sides:
    """Return both sides by residual, the positions of its rows one after the other."""
    if index is None:
        return sides

    def by_residual(side: Tensor) -> Tensor:
        picked = pad(side, (0, 0, 0, 0, 0, 0, 0, 1))[index]
        return picked.transpose(1, 2).flatten(2, 3)

    left, right = sides
    return Sides(by_residual(left), None if right is None else by_residual(right))


def _index(signals: Tensor, count: int, dtype: torch.dtype) -> Tensor | None:
    """Return the rows of each residual, [count, T], from their signals, [1 + D, rows, F]."""
    plain, weighed = signals[0], signals[1:]
    squares = plain.square().sum(1)
    live = (squares > 0).nonzero().squeeze(1)
    ratio = (plain * weighed).sum(2)[:, live] / squares[live]
    off = (weighed[:, live] - ratio[..., None] * plain[live]).norm(dim=2)
    digits = (ratio - 1) * _APART[dtype]
    nearest = digits.round()
    places = _APART[dtype] ** torch.arange(len(nearest), device=nearest.device)
    owner = (nearest * places[:, None]).sum(0)
    right = (off <= LIMIT[dtype] * weighed[:, live].norm(dim=2)) & ((digits - nearest).abs() < 0.1)
    if not bool((right.all(0) & (nearest >= 0).all(0) & (owner < count)).all()):
        return None
    owners, order = owner.long().sort(stable=True)
    amounts = torch.bincount(owners, minlength=count)
    starts = amounts.cumsum(0) - amounts
    rank = torch.arange(len(owners), device=owners.device) - starts[owners]
    index = torch.full((count, int(amounts.max())), len(squares), device=owners.device)
    index[owners, rank] = live[order]
    return index


def _drawn() -> torch.Generator:
    return torch.Generator().manual_seed(0)
