"""A matrix from a file: surveyed for its price, and solved by the emulated quantum solver."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnewton.records import Facts

MOST_EMULATED = 4096
"""Rows up to which a matrix is emulated: a product with it is then below 0.1 s."""

MOST_INVERTED = 256
"""Rows up to which the inverse is also emulated column by column, a second or so of work."""

MOST_DEFLATED = 8
"""Largest eigenpairs that a hybrid split may take out."""

_SYMMETRY = 1e-10
_RITZ_TOLERANCE = 1e-4


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
    """Return the matrix of ``path`` as a tensor, and its survey.

    Args:
        path: A ``.npy`` array or a MatrixMarket ``.mtx``; real, square, symmetric.
        seed: Of the survey's start vector.

    Raises:
        ValueError: One line naming the file and what is wrong with it.
    """
    import numpy
    import torch

    from qnewton.survey import survey

    if not path.is_file():
        raise ValueError(f"--matrix is {path}; there is no such file")
    try:
        if path.suffix == ".npy":
            entries = numpy.load(path, allow_pickle=False)
        elif path.suffix == ".mtx":
            import scipy.io

            read: Any = scipy.io.mmread(path)
            entries = read.toarray() if hasattr(read, "toarray") else read
        else:
            raise ValueError("its name must end in .npy or .mtx")
        entries = numpy.asarray(entries)
        if entries.ndim != 2 or entries.shape[0] != entries.shape[1] or not entries.size:
            raise ValueError(f"its shape is {entries.shape}; it must be square, [N, N]")
        if entries.dtype.kind not in "fiub":
            raise ValueError(f"its dtype is {entries.dtype}; it must be real")
        entries = entries.astype(numpy.float64)
        if not numpy.isfinite(entries).all():
            raise ValueError("it holds a number that is not finite")
        skew = abs(entries - entries.T).max()
        if skew > _SYMMETRY * abs(entries).max():
            raise ValueError(f"it is not symmetric: A - Aᵀ has an entry of {skew:.3g}")
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"--matrix {path}: {error}") from error
    matrix = torch.from_numpy((entries + entries.T) / 2)
    return matrix, survey(matrix, bounds=("determinant", "trace"), seed=seed)


def largest_eigenvalues(matrix: Any, seed: int) -> tuple[tuple[float, ...], int]:
    """Return the largest |λ| of a matrix, falling, and the products that finding them took.

    By ARPACK's Lanczos, at most nine of them: one more than a split may take out.

    Args:
        matrix: From :func:`survey_file`.
        seed: Of the start vector.
    """
    import numpy
    from scipy.sparse.linalg import LinearOperator, eigsh

    entries = matrix.numpy()
    n = len(entries)
    if n <= 4 * MOST_DEFLATED:
        found, products = numpy.linalg.eigvalsh(entries), n
    else:
        products = 0

        def multiply(vector: Any) -> Any:
            nonlocal products
            products += 1
            return entries @ vector

        make: Any = LinearOperator
        operator = make(entries.shape, matvec=multiply, dtype=entries.dtype)
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
