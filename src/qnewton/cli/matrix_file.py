"""A matrix from a file: surveyed for its price, and solved by the emulated quantum solver."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qnewton.cli.matrix_reading import read_matrix
from qnewton.records import Estimate, Facts

MOST_EMULATED = 4096
"""Rows up to which a matrix is emulated: a product with it is then below 0.1 s."""

MOST_INVERTED = 256
"""Rows up to which the inverse is also emulated column by column, a second or so of work."""

MOST_DEFLATED = 8
"""Largest eigenpairs that a hybrid split may take out."""

_RITZ_TOLERANCE = 1e-4
_FACTORED = 1e11  # operations of a sparse factorisation that is made for the determinant
_BASIS_NUMBERS = 1 << 27  # of a Krylov basis: 1 GiB in float64


@dataclass(frozen=True)
class Emulated:
    """What the emulated QSVT gave, or why there is nothing.

    Attributes:
        figures: Name and value, for people and for JSON; empty when refused.
        refused: Why it did not run.
    """

    figures: dict[str, Any]
    refused: str | None = None


def survey_file(path: Path, seed: int) -> tuple[Any, Facts]:
    """Return the matrix of ``path`` as an operator, and its survey.

    Args:
        path: A ``.npy`` array or a MatrixMarket ``.mtx``; real, square, symmetric.
        seed: Of the survey's start vector.

    Raises:
        ValueError: One line naming the file and what is wrong with it.
    """
    from qnewton.operators import SparseOperator
    from qnewton.survey import survey

    matrix = read_matrix(path)
    if isinstance(matrix, SparseOperator):
        return matrix, _survey_by_entries(matrix, seed)
    return matrix, survey(matrix, bounds=("determinant", "trace"), seed=seed)


def _survey_by_entries(matrix: Any, seed: int) -> Facts:
    """Survey a matrix that is held by its entries; only a small one is written out for bounds."""
    from qnewton.survey import envelope, survey

    n = matrix.n
    if n <= MOST_EMULATED:
        facts = survey(matrix, bounds=("determinant", "trace"), seed=seed)
    else:
        most = max(1, min(n, _BASIS_NUMBERS // n))
        facts = survey(matrix, max_products=most, seed=seed)
    filled = envelope(matrix)
    if n > MOST_EMULATED and filled <= _FACTORED:
        facts = replace(facts, bounds=(_determinant(matrix),))
    rows = matrix.compressed
    values = rows.values()
    return replace(
        facts,
        representation="sparse",
        entries=matrix.entries,
        envelope=filled,
        row_sparsity=int(rows.crow_indices().diff().max()),
        max_abs=float(values.abs().max()) if len(values) else 0.0,
        frobenius=float(values.norm()),
        notes=tuple(note for note in facts.notes if not note.startswith("entries not formed")),
    )


def _determinant(matrix: Any) -> Estimate:
    """Bound κ by the determinant, from the pivots of a sparse LU factorisation."""
    import numpy
    import torch
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    from qnewton.survey.determinant import Factorization, determinant_bound_from

    rows, n = matrix.compressed, matrix.n
    parts = (rows.values().numpy(), rows.col_indices().numpy(), rows.crow_indices().numpy())
    # Rows serve as columns: A is symmetric.
    columns: Any = csc_array(parts, shape=(n, n))
    try:
        pivots = splu(columns, permc_spec="MMD_AT_PLUS_A").U.diagonal()
    except RuntimeError:
        pivots = numpy.zeros(n)  # SuperLU raises for an exactly singular matrix
    found = Factorization(
        log_pivots=torch.from_numpy(numpy.abs(pivots)).log(),
        rounding=8.0 * n * torch.finfo(torch.float64).eps,
        definite=False,
        certificate=None,
        refusal="a sparse LU factorisation tells no signs",
    )
    return determinant_bound_from(float(rows.values().square().sum()), found)


def largest_eigenvalues(matrix: Any, seed: int) -> tuple[tuple[float, ...], int]:
    """Return the largest |λ| of a matrix, falling, and the products that finding them took.

    By ARPACK's Lanczos, at most nine of them: one more than a split may take out.

    Args:
        matrix: From :func:`survey_file`.
        seed: Of the start vector.
    """
    import numpy
    import torch
    from scipy.sparse.linalg import LinearOperator, eigsh

    n = matrix.n
    if n <= 4 * MOST_DEFLATED:
        found, products = numpy.linalg.eigvalsh(matrix.dense().numpy()), n
    else:
        products = 0

        def multiply(vector: Any) -> Any:
            nonlocal products
            products += 1
            return (matrix @ torch.from_numpy(vector.ravel())).numpy()

        make: Any = LinearOperator
        operator = make((n, n), matvec=multiply, dtype=numpy.dtype(numpy.float64))
        start = numpy.random.default_rng(seed).standard_normal(n)
        options: Any = {"k": MOST_DEFLATED + 1, "which": "LM", "tol": _RITZ_TOLERANCE}
        found = eigsh(operator, v0=start, return_eigenvectors=False, **options)
    falling = sorted((abs(float(value)) for value in found), reverse=True)[: MOST_DEFLATED + 1]
    return tuple(value for value in falling if value > 0), products


def emulate_file(matrix: Any, epsilon: float, seed: int) -> Emulated:
    """Solve A·x = b for a random b with the emulated QSVT solver, and look at the residual.

    A small matrix is also inverted column by column, as the paper's Eq. 1 does.

    Args:
        matrix: From :func:`survey_file`.
        epsilon: Error of the polynomial.
        seed: Draws b.
    """
    import torch

    from qnewton.solvers.quantum import emulate, invert_by_columns, searched_queries

    n = matrix.shape[0]
    if n > MOST_EMULATED:
        return Emulated({}, f"N = {n:,} is above {MOST_EMULATED:,}, the largest that is emulated")
    generator = torch.Generator().manual_seed(seed)
    rhs = torch.randn(n, generator=generator, dtype=torch.float64)
    try:
        solution = emulate(matrix, rhs, epsilon=epsilon)
    except ValueError as refusal:
        return Emulated({}, str(refusal))
    residual = torch.linalg.vector_norm(matrix @ solution.direction - rhs)
    columns = {}
    if n <= MOST_INVERTED:
        inverted = invert_by_columns(matrix, rhs, epsilon, mode="eigen")
        columns = {
            "column_queries": inverted.queries,
            "column_queries_over_single": inverted.queries / inverted.single_queries,
        }
    return Emulated(
        {
            "algorithm": solution.algorithm,
            "degree": solution.degree,
            "queries": solution.queries,
            "success_probability": solution.success_probability,
            "expected_queries": solution.expected_queries,
            "amplified_queries": solution.amplified_queries,
            "searched_queries": searched_queries(solution.queries, solution.success_probability),
            "alpha": solution.alpha,
            "kappa_be": solution.kappa,
            "promise_held": solution.promise_held,
            "relative_residual": float(residual / torch.linalg.vector_norm(rhs)),
            **columns,
        }
    )
