"""Which row of a weight's use belongs to which residual, where they are not in the same order.

A closure often evaluates its model once, on the points of several conditions together, and cuts
residuals out of what comes back. Row b of the residuals is then reached from other rows of a use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from qnewton.curvature.autograd import batched_grad
from qnewton.curvature.routes import LIMIT
from qnewton.curvature.taps import Use

_MOST_ROWS = {torch.float32: 1 << 11, torch.float64: 1 << 20}
"""Residuals that numbers between 1 and 2 can tell apart in a product's rounding."""


@dataclass(frozen=True)
class PlacedUse:
    """A use whose rows are known by residual.

    Attributes:
        use: The use.
        signal: What came back to it from every entry of a residual, shape [K, rows, …].
        index: Which rows of the use each residual is reached from, shape [B, T]; the number of
            rows stands for none. ``None`` if row b is that of residual b.
    """

    use: Use
    signal: Tensor
    index: Tensor | None = None

    def sides(self) -> tuple[Tensor, Tensor]:
        """Return the two sides of the weight's rows, [B, K, T, out] and [B, K or 1, T, in]."""
        left, right = self.use.sides(self.signal)
        return self._gathered(left), self._gathered(right)

    def shifts(self) -> Tensor:
        """Return the rows of a bias that is added to the use, [B, K, out]."""
        found = self.use.map.shifts(self.signal)
        return found if self.index is None else self._gathered(found[:, :, None]).sum(2)

    def _gathered(self, side: Tensor) -> Tensor:
        """Return [rows, K, T, …] by residual, the positions of its rows one after the other."""
        if self.index is None:
            return side
        picked = pad(side, (0, 0, 0, 0, 0, 0, 0, 1))[self.index]
        return picked.transpose(1, 2).flatten(2, 3)


def placed_in_order(uses: Sequence[Use], signals: Sequence[Tensor | None]) -> list[PlacedUse]:
    """Return the uses that are reached, row b of each that of residual b."""
    pairs = zip(uses, signals, strict=True)
    return [PlacedUse(use, signal) for use, signal in pairs if signal is not None]


def placed_by_weights(
    residual: Tensor, uses: Sequence[Use], signals: Sequence[Tensor | None]
) -> list[PlacedUse] | None:
    """Return the uses that are reached, with their rows by residual; ``None`` if nothing tells.

    With weights w_b = 1 + b/B on the residuals, the signal of a row that residual b alone is
    reached from is w_b times that without weights.

    Args:
        residual: r, shape [B, …].
        uses: Uses of weights.
        signals: What comes back to each, [K, rows, …].

    Cost: one batch of two backward passes.
    """
    count = residual.shape[0]
    if count > _MOST_ROWS[residual.dtype]:
        return None
    reached = [(use, s) for use, s in zip(uses, signals, strict=True) if s is not None]
    weights = 1 + torch.arange(count, dtype=residual.dtype, device=residual.device) / count
    plain = torch.ones_like(residual)
    # Positive factors of their own keep the entries of one residual from cancelling.
    plain = plain * (1 + torch.rand(residual.shape[1:], generator=_drawn()).to(plain))
    weighed = weights.view(-1, *[1] * (residual.ndim - 1)) * plain
    places = [use.place for use, _ in reached]
    both = batched_grad([residual], places, [torch.stack([plain, weighed])])  # type: ignore
    placed = []
    for (use, signal), pair in zip(reached, both, strict=True):
        index = None if pair is None else _index(pair.flatten(2).double(), count, residual.dtype)
        if index is None:
            return None
        placed.append(PlacedUse(use, signal, index))
    return placed


def _index(pair: Tensor, count: int, dtype: torch.dtype) -> Tensor | None:
    """Return the rows of each residual, [count, T], from their signals, [2, rows, F]."""
    plain, weighed = pair
    squares = plain.square().sum(1)
    live = (squares > 0).nonzero().squeeze(1)
    ratio = (plain * weighed).sum(1)[live] / squares[live]
    off = (weighed[live] - ratio[:, None] * plain[live]).norm(dim=1)
    owner = (ratio - 1) * count
    nearest = owner.round()
    right = (off <= LIMIT[dtype] * weighed[live].norm(dim=1)) & ((owner - nearest).abs() < 0.1)
    if not bool((right & (nearest >= 0) & (nearest < count)).all()):
        return None
    owners, order = nearest.long().sort(stable=True)
    amounts = torch.bincount(owners, minlength=count)
    starts = amounts.cumsum(0) - amounts
    rank = torch.arange(len(owners), device=owners.device) - starts[owners]
    index = torch.full((count, int(amounts.max())), len(squares), device=owners.device)
    index[owners, rank] = live[order]
    return index


def _drawn() -> torch.Generator:
    return torch.Generator().manual_seed(0)
