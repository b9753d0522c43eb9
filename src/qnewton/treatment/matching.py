"""The greedy choice of matrix entries under a cap per row, without visiting them one by one.

Keeping (i, j) with (j, i) while both rows have room is a greedy b-matching on the graph whose
edges are the entries i ≤ j, a diagonal entry being a loop that counts once. The strict order
(-|A_ij|, i, j) makes its result unique. Two facts let whole batches of edges be decided at once:

* an edge that lies within the first *capacity* open edges of both its rows is kept, whatever
  happens elsewhere, and keeping it changes nothing for the others;
* a row with no more open edges than capacity refuses none of them.

Edges are therefore fetched from large to small in batches of a few million, those between rows
that cannot fill up within the batch are kept unsorted, and only the others are ordered.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

# Edges fetched together. With 2²¹ the workspace stays near one float32 matrix at N = 12,544.
_LARGEST_BATCH = 2**21
_SMALLEST_BATCH = 2**16
# Entries read together while fetching: a block stays in a core's cache.
_BLOCK_ENTRIES = 2**18
# Contested edges decided together: few enough that most rows still cannot fill up among them.
_SLICE = 2**17
_SAMPLES = 2**17


class _Edges(NamedTuple):
    """Entries i ≤ j of a matrix, in the order of (i, j) unless sorted otherwise."""

    row: Tensor
    column: Tensor
    magnitude: Tensor

    def chosen(self, index: Tensor | slice) -> "_Edges":
        """Return the edges that a mask, positions or a slice name."""
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            index = index.nonzero().squeeze(1)  # Once for all three.
        return _Edges(self.row[index], self.column[index], self.magnitude[index])


def _joined(parts: list[_Edges]) -> _Edges:
    return _Edges(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def greedy_mask(matrix: Tensor, max_per_row: int) -> Tensor:
    """Return which entries the symmetry-aware pruning keeps.

    Visits the entries i ≤ j in the strict order (-|A_ij|, i, j) and keeps (i, j) and (j, i)
    together while rows i and j both hold fewer than ``max_per_row`` kept entries; zeros are never
    kept. Only the upper triangle is read.

    Args:
        matrix: Finite entries, shape [N, N].
        max_per_row: The cap d, at least 1.

    Returns:
        A symmetric boolean mask, shape [N, N].

    Cost: a few passes over the upper triangle, a sort of the entries that compete for the last
    places of a row, N² bytes for the mask and about 0.6 GB of workspace at most.

    Example:
        >>> greedy_mask(torch.tensor([[1.0, 3.0], [3.0, 2.0]]), 1)
        tensor([[False,  True],
                [ True, False]])
    """
    n = matrix.shape[0]
    mask = torch.zeros(n, n, dtype=torch.bool, device=matrix.device)
    capacity = torch.full((n,), max_per_row, dtype=torch.int64, device=matrix.device)
    high = float("inf")
    while high > 0.0:
        open_rows = capacity.nonzero().squeeze(1)
        if open_rows.numel() == 0:
            break
        # At most half the remaining capacity can be kept, so a much larger batch is wasted.
        target = min(max(4 * int(capacity.sum()), _SMALLEST_BATCH), _LARGEST_BATCH)
        low = _threshold(matrix, open_rows, high, target)
        batch, low, ties_left = _fetch(matrix, open_rows, low, high, target)
        _settle(batch, capacity, mask)
        if ties_left:
            for ties in _edge_blocks(matrix, open_rows, lambda size, low=low: size == low):
                _settle(ties, capacity, mask)
        high = low
    return mask


def _threshold(matrix: Tensor, open_rows: Tensor, high: float, target: int) -> float:
    """Return a magnitude above which about ``target`` undecided edges lie; 0 for all of them."""
    count = open_rows.numel()
    edges = count * (count + 1) // 2
    if edges <= 2 * target:
        return 0.0
    # The threshold shapes the batches, never the mask; the seed is fixed to keep timings alike.
    generator = torch.Generator().manual_seed(count)
    picks = torch.randint(count, (2, _SAMPLES), generator=generator).to(matrix.device)
    sample = matrix[open_rows[picks[0]], open_rows[picks[1]]].abs_()
    sample = sample[(sample > 0) & (sample < high)]
    wanted = max(target * _SAMPLES // edges, 1)
    if sample.numel() <= 2 * wanted:
        return 0.0
    return float(sample.topk(wanted).values[-1])


def _fetch(
    matrix: Tensor, open_rows: Tensor, low: float, high: float, target: int
) -> tuple[_Edges, float, bool]:
    """Return the edges with low ≤ |A_ij| < high between open rows: about ``target`` at most."""
    # Where there are too many, ``low`` is raised; where too many of those share the raised value,
    # they are left out and the flag returned says so.
    parts: list[_Edges] = []
    total = 0
    strict = low == 0.0

    def wanted(size: Tensor) -> Tensor:
        above = size > low if strict else size >= low
        return above if high == float("inf") else above.logical_and_(size < high)

    for edges in _edge_blocks(matrix, open_rows, wanted):
        parts.append(edges)
        total += len(edges.row)
        if total > 3 * target:
            batch = _joined(parts)
            low = float(batch.magnitude.topk(target).values[-1])
            batch = batch.chosen(batch.magnitude >= low)
            strict = len(batch.row) > 2 * target
            parts = [batch.chosen(batch.magnitude > low) if strict else batch]
            total = len(parts[0].row)
    return _joined(parts), low, strict and low > 0.0


def _edge_blocks(
    matrix: Tensor, open_rows: Tensor, wanted: Callable[[Tensor], Tensor]
) -> Iterator[_Edges]:
    """Yield the edges between open rows whose magnitude is ``wanted``, a block of rows at once."""
    count = open_rows.numel()
    every_row = count == matrix.shape[0]
    start = 0
    while start < count:
        stop = min(count, start + max(1, _BLOCK_ENTRIES // (count - start)))
        rows, columns = open_rows[start:stop], open_rows[start:]
        block = matrix[start:stop, start:] if every_row else matrix[rows][:, columns]
        size = block.abs()
        size[:, : stop - start].triu_()
        hits = wanted(size).view(-1).nonzero().squeeze(1)
        i = hits.div(count - start, rounding_mode="floor")
        yield _Edges(rows[i], columns[hits - i * (count - start)], size.view(-1)[hits])
        start = stop


def _settle(edges: _Edges, capacity: Tensor, mask: Tensor) -> None:
    """Decide ``edges``, all that come next in the order, updating ``capacity`` and ``mask``."""
    edges, contested, _ = _compete(edges, capacity)
    _keep(edges.chosen(~contested), capacity, mask)
    edges = edges.chosen(contested)
    edges = edges.chosen(edges.magnitude.sort(descending=True, stable=True).indices)
    for start in range(0, len(edges.row), _SLICE):
        part, contested, full = _compete(edges.chosen(slice(start, start + _SLICE)), capacity)
        kept = ~contested
        if contested.any():
            kept[contested] = _contest(part.chosen(contested), full, capacity)
        _keep(part.chosen(kept), capacity, mask)


def _compete(edges: _Edges, capacity: Tensor) -> tuple[_Edges, Tensor, Tensor]:
    """Return the edges still open, which of them a row may refuse, and the rows that may."""
    edges = edges.chosen((capacity[edges.row] > 0) & (capacity[edges.column] > 0))
    off_diagonal = edges.row != edges.column
    demand = _count(edges.row, capacity) + _count(edges.column[off_diagonal], capacity)
    full = demand > capacity
    return edges, full[edges.row] | full[edges.column], full


def _contest(edges: _Edges, full: Tensor, capacity: Tensor) -> Tensor:
    """Return which of the ordered ``edges`` are kept, where only ``full`` rows may refuse."""
    n_edges = len(edges.row)
    position = torch.arange(n_edges, device=capacity.device)
    at_row = full[edges.row]
    at_column = full[edges.column] & (edges.row != edges.column)
    # One claim for each end that may refuse, sorted by row and then by the edges' order.
    by_row = edges.row[at_row] * n_edges + position[at_row]
    by_column = edges.column[at_column] * n_edges + position[at_column]
    claims = torch.cat([by_row, by_column]).sort().values
    row, edge = claims // n_edges, claims % n_edges
    room = capacity.clone()
    kept = torch.zeros(n_edges, dtype=torch.bool, device=capacity.device)
    settled = torch.zeros_like(kept)
    while row.numel():
        counts = _count(row, capacity)
        first = counts.cumsum(0) - counts
        rank = torch.arange(row.numel(), device=row.device) - first[row]
        outside = rank >= room[row]
        waiting = torch.zeros_like(kept)
        waiting[edge[outside]] = True
        taken = ~waiting[edge]
        kept[edge[taken]] = True
        settled[edge[taken]] = True
        room -= _count(row[taken], capacity)
        settled[edge[room[row] == 0]] = True
        alive = ~settled[edge]
        row, edge = row[alive], edge[alive]
    return kept


def _keep(edges: _Edges, capacity: Tensor, mask: Tensor) -> None:
    mask[edges.row, edges.column] = True
    mask[edges.column, edges.row] = True
    off_diagonal = edges.row != edges.column
    capacity -= _count(edges.row, capacity) + _count(edges.column[off_diagonal], capacity)


def _count(rows: Tensor, capacity: Tensor) -> Tensor:
    """Return how often each row occurs in ``rows``."""
    return torch.bincount(rows, minlength=capacity.numel())
