"""Which row of a weight's use belongs to which residual, where they are not in the same order.

A closure often evaluates its model once, on the points of several conditions together, and cuts
residuals out of what comes back. Row b of the residuals is then reached from other rows of a use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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
        Indices of shape [B, T], where the number of rows stands for none, T = 0 for a use that no
        residual is reached from; ``None`` for one with a row that several are reached from.

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
        if signals is None:
            found[id(use)] = torch.empty((len(residual), 0), dtype=torch.long, device=plain.device)
        else:
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


@dataclass(frozen=True)
class PlacedUse:
    """A use of which it is known what row belongs to which residual.

    Attributes:
        use: The use.
        index: As :func:`row_indices` says; ``None`` where row b belongs to residual b.
    """

    use: Use
    index: Tensor | None = None

    def sides(self, signal: Tensor, residuals: slice) -> Sides:
        """Return both sides of some residuals, the positions of its rows one after the other.

        Args:
            signal: What comes back to the use's place, K at a time.
            residuals: Which ones.

        Raises:
            Gone: If what the use was given is not there.
        """
        signal = self.use.by_sample(signal)
        if self.index is None:
            return self.use.sides(signal, residuals)
        rows = self.index[residuals]
        none = rows == signal.shape[1]
        left, right, slope = self.use.sides(signal, rows.masked_fill(none, 0).flatten())

        def by_residual(side: Tensor) -> Tensor:
            return side.unflatten(0, rows.shape).transpose(1, 2).flatten(2, 3)

        left = left.masked_fill(none.flatten()[:, None, None, None], 0.0)
        return Sides(by_residual(left), None if right is None else by_residual(right), slope)


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
