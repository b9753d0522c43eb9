"""The whole inverse, column by column, beside the one solve that a Newton step needs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator
from qnewton.solvers.quantum.emulate import Emulator
from qnewton.solvers.quantum.readout import QuantumSolution, Readout
from qnewton.solvers.solution import Mode


@dataclass(frozen=True, kw_only=True)
class ColumnInversion:
    """A⁻¹ from N solves, and what both ways to A⁻¹b cost.

    Attributes:
        inverse: A⁻¹ as read, made symmetric, shape [N, N], in the matrix's dtype.
        direction: That matrix times b.
        queries: Calls to U_A until one state of every column has succeeded.
        shots: States read of every column together; ``None`` for the ideal read-out.
        queries_read: Calls to U_A for all those states: expected queries times shots.
        single: Direction of the one solve A·x = b, read the same way.
        single_queries: Its calls to U_A for one state.
        single_shots: States it reads.
        single_queries_read: Its calls to U_A for all those states.
    """

    inverse: Tensor = field(repr=False)
    direction: Tensor = field(repr=False)
    queries: float
    shots: int | None
    queries_read: float | None
    single: Tensor = field(repr=False)
    single_queries: float
    single_shots: int | None
    single_queries_read: float | None


def invert_by_columns(
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    epsilon: float = 1e-6,
    alpha: float | None = None,
    kappa: float | None = None,
    readout: Readout | None = None,
    *,
    mode: Mode = "auto",
    on_column: Callable[[int], None] = lambda _: None,
) -> ColumnInversion:
    """Return A⁻¹ by emulating A·x_i = e_i for every i, and A⁻¹b by one solve beside it.

    The paper's Eq. 1 stacks the N systems into one; since they share nothing, its cost is their
    sum. The streamlined step puts b into the state instead and solves once.

    Args:
        matrix: A, symmetric, shape [N, N].
        rhs: b, shape [N], not zero.
        epsilon: Error of QSVT's polynomial.
        alpha: α ≥ ‖A‖₂; measured by default.
        kappa: κ_be; measured by default.
        readout: How every state is measured; each column draws outcomes of its own.
        mode: As ``emulate`` takes it.
        on_column: Told each column before it is solved.

    Raises:
        ValueError: As ``emulate`` does.

    Cost: N + 1 solves of one :class:`~qnewton.solvers.quantum.Emulator`.

    Reference: P. Li et al., arXiv:2405.00252, Eq. 1 and Section IV-D.

    Example:
        >>> matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
        >>> found = invert_by_columns(matrix, torch.tensor([3.0, 0.0]))
        >>> found.direction, found.single
        (tensor([ 2.0000, -1.0000]), tensor([ 2.0000, -1.0000]))
        >>> round(found.queries / found.single_queries, 6)
        2.0
    """
    operator = matrix if isinstance(matrix, SymmetricOperator) else DenseOperator(matrix)
    emulator = Emulator(operator, "qsvt", epsilon, alpha, kappa, mode=mode, for_rhs=rhs)
    single = emulator.solve(rhs, readout)
    columns, queries, read = [], 0.0, []
    for index in range(operator.n):
        on_column(index)
        unit = torch.zeros(operator.n, dtype=operator.dtype, device=operator.device)
        unit[index] = 1.0
        drawn = None if readout is None else replace(readout, seed=readout.seed + 1 + index)
        column = emulator.solve(unit, drawn)
        columns.append(column.direction)
        queries += column.expected_queries
        read.append(_read(column))
    inverse = torch.stack(columns, dim=1)
    inverse = (inverse + inverse.mT) / 2
    single_shots, single_queries_read = _read(single)
    return ColumnInversion(
        inverse=inverse,
        direction=inverse @ rhs.to(inverse.dtype),
        queries=queries,
        shots=None if readout is None else sum(shots or 0 for shots, _ in read),
        queries_read=None if readout is None else sum(calls or 0.0 for _, calls in read),
        single=single.direction,
        single_queries=single.expected_queries,
        single_shots=single_shots,
        single_queries_read=single_queries_read,
    )


def _read(solution: QuantumSolution) -> tuple[int | None, float | None]:
    """Return the states read of a solution, and the calls to U_A that they take."""
    if solution.measurement is None:
        return None, None
    shots = solution.measurement.shots
    return shots, shots * solution.expected_queries
