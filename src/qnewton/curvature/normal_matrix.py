"""The matrix JᵀDJ of the normal equations without J: rows are made, added and thrown away.

Where a loss has millions of residuals and few parameters, J is too large and JᵀDJ is small.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import Node

from qnewton.curvature.blocks import slices_of
from qnewton.curvature.jacobian import Workspace, fill
from qnewton.curvature.residuals import SumOfSquares
from qnewton.curvature.routes import Refused
from qnewton.curvature.term_rows import TermRows, fill_parameter
from qnewton.curvature.use_kinds import Gone
from qnewton.curvature.uses import Uses
from qnewton.operators.symmetric import add_outer_, mirror_upper_

_CHUNK_ENTRIES = 1 << 23
"""Entries of the rows that are there at once, and numbers that they are made from."""

_SIGNAL_NUMBERS = 1 << 27
"""Numbers that come back from several entries of every sample at once."""

_APART = "rows of a term too large to be formed are not told by the uses of parameters"


@dataclass(frozen=True, eq=False)
class NormalMatrix:
    """JᵀDJ of all residuals, J = ∂r/∂θ and D = diag ρ″(r_i), and what else its rows told.

    Attributes:
        matrix: Shape [N, N], bitwise symmetric.
        products: Jᵀv of the vectors, shape [N, K].
        sizes: |J|ᵀ|v| of the first vector, shape [N].
        chunks: In how many pieces J was made.
        passes: Backward passes that it took.
    """

    matrix: Tensor
    products: Tensor
    sizes: Tensor
    chunks: int
    passes: int


def normal_matrix(
    sums: SumOfSquares,
    parameters: Sequence[Tensor],
    uses: Sequence[Uses],
    vectors: Tensor,
    workspace: Workspace,
) -> NormalMatrix | Refused:
    """Return JᵀDJ of a loss's terms, and Jᵀv, from some rows of J at a time.

    Args:
        sums: The terms.
        parameters: θ.
        uses: How each term uses them.
        vectors: The v, shape [M, K].
        workspace: Where to make rows.

    Returns:
        Refused where a term is too large and the uses do not tell its rows.

    Cost: a backward pass for each entry of a sample, and MN² operations. Beside the N² entries and
    what comes back to every use, each tensor has at most 2²³ numbers, or what one sample takes.
    """
    n, at = sum(parameter.numel() for parameter in parameters), slices_of(parameters)
    matrix = parameters[0].detach().new_zeros((n, n))
    products, sizes = matrix.new_zeros((n, vectors.shape[1])), matrix.new_zeros(n)
    buffer = workspace.matrix(max(1, _CHUNK_ENTRIES // n), n, parameters[0])
    chunks = passes = 0
    pieces = vectors.split([term.residual.numel() for term in sums.terms])
    for term, used, piece in zip(sums.terms, uses, pieces, strict=True):
        if term.residual.is_leaf:  # weight decay
            leaf = at[id(term.residual)]
            matrix.diagonal()[leaf] += term.curvature.flatten()
            products[leaf] += piece
            sizes[leaf] += piece[:, 0].abs()
            continue
        known = torch.cat([piece, term.curvature.reshape(-1, 1).sqrt()], dim=1)
        try:
            for rows, of_rows, taken in _chunks(term.residual, parameters, used, known, buffer):
                given = of_rows[:, :-1]
                products.addmm_(rows.mT, given)
                sizes.addmv_(rows.abs().mT, given[:, 0].abs())
                add_outer_(matrix, rows.mul_(of_rows[:, -1:]).mT)
                chunks, passes = chunks + 1, passes + taken
        except Gone:
            return Refused(_APART)
    return NormalMatrix(mirror_upper_(matrix), products, sizes, chunks, passes)


def _chunks(
    residual: Tensor, parameters: Sequence[Tensor], uses: Uses, known: Tensor, buffer: Tensor
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield rows of one residual in ``buffer``, what is ``known`` of each, and the passes."""
    at = slices_of(parameters)
    if len(known) <= len(buffer):
        rows = buffer[: len(known)]
        yield rows, known, fill(rows, residual, parameters, at, uses)[1]
        return
    term = TermRows.of(residual, uses, 2 * buffer.shape[1])
    if any(uses[id(p)] and id(p) not in term.uses for p in parameters):
        raise Gone
    known = known.view(term.samples, term.entries, -1)
    width = max(1, min(term.entries, len(buffer), _SIGNAL_NUMBERS // max(term.signal_numbers, 1)))
    for first in range(0, term.entries, width):
        entries = slice(first, min(first + width, term.entries))
        signals, passes = term.signals(entries), entries.stop - first
        length = _length(term, signals, passes, buffer)
        for start in range(0, term.samples, length):
            samples = slice(start, min(start + length, term.samples))
            of_rows = known[samples, entries]
            rows = buffer[: of_rows[..., 0].numel()]
            for key, place in at.items():
                target = rows.view(*of_rows.shape[:2], -1)[..., place]
                if key in term.uses:
                    fill_parameter(target, term.sides(key, signals, samples))
                else:
                    target.zero_()
            yield rows, of_rows.flatten(0, 1), passes if start == 0 else 0


def _length(term: TermRows, signals: Mapping[Node, Tensor], entries: int, buffer: Tensor) -> int:
    """Return of how many samples rows fit into ``buffer``, and what they are made from as well."""
    of_one = entries * max(buffer.shape[1], term.signal_numbers // term.samples)
    for key in term.uses:
        sides = term.sides(key, signals, slice(0, 1))
        pairs = [(one.left, one.right) for one in sides]
        numbers = sum(s[0, 0].numel() for pair in pairs for s in pair if s is not None)
        of_one = max(of_one, entries * numbers)
    return max(1, buffer.numel() // of_one)
