"""The rows of one residual's Jacobian by sample, as the uses of its parameters tell them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import Node

from qnewton.curvature.autograd import batched_grad, grad
from qnewton.curvature.sample_rows import PlacedUse, row_indices
from qnewton.curvature.use_kinds import Sides, Use
from qnewton.curvature.uses import Uses

# Passes that tell whether points are samples of their own: fewer are taken at once.
_BATCH = 2
# Inputs of a layer up to which a loop over them is faster than an innermost loop as short.
_NARROW = 3


@dataclass(frozen=True, eq=False)
class TermRows:
    """What tells the rows of one residual.

    Attributes:
        residual: r by sample, shape [B, …].
        uses: The uses of every parameter whose rows they tell, by its id.
    """

    residual: Tensor
    uses: Mapping[int, Sequence[PlacedUse]]

    @classmethod
    def of(cls, residual: Tensor, uses: Uses, most: int) -> "TermRows":
        """Return those of the parameters whose every use is known by sample.

        Args:
            residual: r.
            uses: How it uses parameters.
            most: Entries of a sample up to which a signal for each is worth its pass.

        Cost: some backward passes where rows and samples differ, else none.
        """
        residual = _by_point(residual, [u for of in uses.values() for u in of if u is not None])
        term = cls(residual, {})
        if residual.ndim == 0 or term.entries > most:
            return term
        count = len(residual)
        known = {
            key: [use if use.shape[0] == count else use.by_row() for use in of if use is not None]
            for key, of in uses.items()
        }
        known = {key: of for key, of in known.items() if of and len(of) == len(uses[key])}
        astray = [use for of in known.values() for use in of if use.shape[0] != count]
        indices = row_indices(residual, astray)
        placed = {
            key: [PlacedUse(use, indices.get(id(use))) for use in of]
            for key, of in known.items()
            if all(indices.get(id(use), use) is not None for use in of)
        }
        return cls(residual, placed)

    @property
    def samples(self) -> int:
        """B."""
        return len(self.residual)

    @property
    def entries(self) -> int:
        """The residuals of one sample, C."""
        return self.residual.numel() // max(self.samples, 1)

    @property
    def signal_numbers(self) -> int:
        """How many numbers come back from one entry of all samples."""
        shapes = {placed.use.node: placed.use.shape for of in self.uses.values() for placed in of}
        return sum(map(math.prod, shapes.values()))

    def signals(self, entries: slice) -> Mapping[Node, Tensor]:
        """Return what comes back to each use from some entries of every sample, [K, …].

        Cost: a backward pass for each entry, in one batch.
        """
        every = {placed.use.node: placed.use for of in self.uses.values() for placed in of}
        places, r = [use.place for use in every.values()], self.residual
        if self.entries == 1:
            found = [
                g if g is None else g.detach()[None] for g in grad(r, places, torch.ones_like(r))
            ]
        else:
            eye = torch.eye(self.entries, dtype=r.dtype, device=r.device)[entries]
            cotangents = eye.view(-1, 1, *r.shape[1:]).expand(-1, *r.shape)
            found = batched_grad([r], places, [cotangents])
        pairs = zip(every, found, strict=True)
        return {node: signal for node, signal in pairs if signal is not None}

    def sides(self, key: int, signals: Mapping[Node, Tensor], samples: slice) -> list[Sides]:
        """Return the sides of one parameter's rows, of some samples and the entries of signals.

        Raises:
            Gone: If what a use was given is not there.
        """
        reached = [placed for placed in self.uses[key] if placed.use.node in signals]
        return [placed.sides(signals[placed.use.node], samples) for placed in reached]


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


def fill_parameter(entries: Tensor, sides: Sequence[Sides]) -> None:
    """Fill in Σ left ⊗ right of every sample and entry, [B, K, n]."""
    count = entries.shape[1]
    products, plain = [], []
    for one in sides:
        if one.right is None or one.slope is not None:
            plain.append(one.rows())
        else:
            products.append((one.left, one.right))
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
