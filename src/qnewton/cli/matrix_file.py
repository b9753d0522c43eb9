"""A matrix from a file: read and checked, surveyed, split and emulated, for `qnewton price`."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qnewton.cost import SPARSE_SHARE
from qnewton.records import Estimate, Facts, Sparse, Spectrum

_SYMMETRY = 1e-10


def read_matrix(path: Path) -> Any:
    """Return the matrix of ``path`` as an operator in float64: dense, or by its nonzero entries.

    A file with less than a quarter of N² nonzero entries is held by them; a sparse file is then
    never written out.

    Args:
        path: A ``.npy`` array or a MatrixMarket ``.mtx``; real, square, symmetric.

    Raises:
        ValueError: One line naming the file and what is wrong with it.
    """
    return read_array("--matrix", path, _operator)


def read_array(option: str, path: Path, taken: Callable[[Any], Any]) -> Any:
    """Return what ``taken`` makes of the array in a file, a sparse one as it is.

    Args:
        option: What the command line calls the file.
        path: A ``.npy`` array or a MatrixMarket ``.mtx``.
        taken: Checks the array, and turns it into what is needed.

    Raises:
        ValueError: One line naming the file and what is wrong with it.
    """
    if not path.is_file():
        raise ValueError(f"{option} is {path}; there is no such file")
    try:
        if path.suffix == ".npy":
            import numpy

            found: Any = numpy.load(path, allow_pickle=False)
        elif path.suffix == ".mtx":
            import scipy.io

            found = scipy.io.mmread(path, spmatrix=False)
        else:
            raise ValueError("its name must end in .npy or .mtx")
        return taken(found)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{option} {path}: {error}") from error


def _operator(found: Any) -> Any:
    import numpy
    import torch
    from scipy.sparse import csr_array, issparse

    from qnewton.operators import DenseOperator

    sparse = issparse(found)
    if not sparse:
        found = numpy.asarray(found)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not found.shape[0]:
        raise ValueError(f"its shape is {found.shape}; it must be square, [N, N]")
    if found.dtype.kind not in "fiub":
        raise ValueError(f"its dtype is {found.dtype}; it must be real")
    found = found.astype(numpy.float64)
    values = found.data if sparse else found
    if not numpy.isfinite(values).all():
        raise ValueError("it holds a number that is not finite")
    if not values.any():
        raise ValueError("all its entries are zero, so no system with it has a solution")
    if sparse:
        found = csr_array(found)
        found.eliminate_zeros()
    few = (found.nnz if sparse else numpy.count_nonzero(found)) < SPARSE_SHARE * found.shape[0] ** 2
    if few != sparse:
        found = csr_array(found) if few else found.toarray()
    skew, largest = abs(found - found.T).max(), abs(found).max()
    if skew > _SYMMETRY * largest:
        raise ValueError(f"it is not symmetric: A - Aᵀ has an entry of {skew:.3g}")
    symmetric = (found + found.T) / 2
    return _by_entries(symmetric) if few else DenseOperator(torch.from_numpy(symmetric))


def _by_entries(rows: Any) -> Any:
    import torch

    from qnewton.operators import SparseOperator

    rows.sort_indices()
    parts = (rows.indptr.astype("int64"), rows.indices.astype("int64"), rows.data)
    starts, columns, values = (torch.from_numpy(part) for part in parts)
    with warnings.catch_warnings():
        # PyTorch calls its compressed rows a beta feature, and says that it checks no indices.
        warnings.filterwarnings("ignore", message="Sparse")
        matrix = torch.sparse_csr_tensor(starts, columns, values, size=rows.shape)
        return SparseOperator(matrix)


MOST_EMULATED = 4096
"""Rows up to which a matrix is emulated: a product with it is then below 0.1 s."""

MOST_INVERTED = 256
"""Rows up to which the inverse is also emulated column by column, a second or so of work."""

MOST_DEFLATED = 8
"""Largest eigenpairs that a hybrid split may take out."""

_FIGURES = (
    "algorithm",
    "degree",
    "queries",
    "success_probability",
    "expected_queries",
    "amplified_queries",
    "alpha",
    "promise_held",
)
_RITZ_TOLERANCE = 1e-4
_FACTORED = 1e11  # operations of a sparse factorisation that is made for the determinant


@dataclass(frozen=True)
class Emulated:
    """What the emulated QSVT gave, or why there is nothing.

    Attributes:
        figures: Name and value, for people and for JSON; empty when refused.
        refused: Why it did not run.
        norm: ‖A‖₂ of the eigenvalues that it computed; ``None`` where it computed none.
        kappa: Their condition number.
    """

    figures: dict[str, Any]
    refused: str | None = None
    norm: float | None = None
    kappa: float | None = None

    def shown(self) -> dict[str, Any]:
        """Return what is printed of it."""
        return {"figures": self.figures, "refused": self.refused}


def survey_file(
    path: Path,
    seed: int,
    known: tuple[float | None, float | None] = (None, None),
    max_products: int | None = None,
) -> tuple[Any, Facts]:
    """Return the matrix of ``path`` as an operator, and its survey.

    Args:
        path: A ``.npy`` array or a MatrixMarket ``.mtx``; real, square, symmetric.
        seed: Of the survey's start vector.
        known: The condition number, and that after diagonal scaling, where they are given and not
            to be measured; the second is left unknown where the first alone is given.
        max_products: Most products of measuring it; what 1% takes by default.

    Raises:
        ValueError: One line naming the file and what is wrong with it.
    """
    from qnewton.operators import SparseOperator
    from qnewton.solvers.quantum.promise import EXACT_LIMIT
    from qnewton.survey import preconditioned_condition, survey
    from qnewton.survey.condition import most_products

    matrix, (kappa, behind) = read_matrix(path), known
    by_entries = isinstance(matrix, SparseOperator)
    # A large matrix that is held by its entries is never written out, as bounds would need it.
    small = not by_entries or matrix.n <= MOST_EMULATED
    most = max_products or (None if small else most_products(matrix.n))
    # By all eigenvalues where the emulation needs them anyway.
    method = "exact" if most is None and matrix.n <= EXACT_LIMIT else "lanczos"
    facts = survey(
        matrix,
        condition=method if kappa is None else None,
        bounds=("determinant", "trace") if small else (),
        max_products=most,
        seed=seed,
    )
    if by_entries:
        facts = _with_entries(facts, matrix)
    spectrum = facts.spectrum
    if kappa is not None:
        given = Estimate(value=kappa, low=None, high=None, method="given", products=0)
        spectrum = replace(spectrum, condition=given, bounds=(*spectrum.bounds, given))
        if small and _is_indefinite(spectrum, matrix.n, kappa):
            spectrum = replace(spectrum, definiteness="indefinite")
    if behind is not None:
        found = Estimate(value=behind, low=None, high=None, method="given", products=0)
        spectrum = replace(spectrum, preconditioned=found)
    elif kappa is None and spectrum.definiteness != "indefinite":
        # Its error estimates have to do: a bracket would take as long as the whole survey again.
        budget = None if method == "exact" else most or most_products(matrix.n)
        found = preconditioned_condition(matrix, method, seed=seed, max_products=budget)
        spectrum = replace(spectrum, preconditioned=found)
    return matrix, replace(facts, spectrum=spectrum)


def _is_indefinite(spectrum: Spectrum, n: int, kappa: float) -> bool:
    """Return whether A is not positive definite, if κ is as given.

    The trace bound is missing where A less the rounding of its trace has no Cholesky factor. The
    smallest eigenvalue is then below twice that rounding, and below 0 unless κ is as large.
    """
    rounding = n * (n + 3.0) * 2.0**-52
    return spectrum.bound("trace") is None and kappa * rounding < 1.0


def with_emulated(facts: Facts, emulated: Emulated) -> Facts:
    """Return the facts with what the emulation's eigenvalues tell, where the survey does not."""
    from qnewton.survey.facts import ON_CONDITION

    spectrum = facts.spectrum
    if emulated.norm is not None and spectrum.norm is None:
        spectrum = replace(spectrum, norm=emulated.norm)
        facts = replace(facts, spectrum=spectrum)
    condition = spectrum.condition
    if emulated.kappa is None or condition is None or condition.value is not None:
        return facts
    said = "all eigenvalues, as the emulation computed them"
    bracket = dict.fromkeys(("value", "low", "high"), emulated.kappa)
    certificates = dict.fromkeys(("low_certificate", "high_certificate"), said)
    exact = replace(condition, method="exact", **bracket, **certificates)
    notes = tuple(note for note in facts.notes if not note.startswith(ON_CONDITION))
    return replace(facts, spectrum=replace(spectrum, condition=exact), notes=notes)


def _with_entries(facts: Facts, matrix: Any) -> Facts:
    """Return the facts with what the entries of a matrix tell that is held by them."""
    from qnewton.operators.scaling import safe_norm
    from qnewton.survey import envelope
    from qnewton.survey.facts import NOT_FORMED

    filled, rows = envelope(matrix), matrix.compressed
    values, bounds = rows.values(), facts.spectrum.bounds
    if matrix.n > MOST_EMULATED and filled <= _FACTORED:
        bounds = (_determinant(matrix),)
    return replace(
        facts,
        held=Sparse(entries=matrix.entries, envelope=filled),
        spectrum=replace(
            facts.spectrum,
            bounds=bounds,
            row_sparsity=int(rows.crow_indices().diff().max()),
            max_abs=float(values.abs().max()) if len(values) else 0.0,
            frobenius=safe_norm(values),
        ),
        notes=tuple(note for note in facts.notes if note != NOT_FORMED),
    )


def _determinant(matrix: Any) -> Estimate:
    """Bound κ by the determinant, from the pivots of a sparse LU factorisation."""
    import numpy
    import torch
    from scipy.sparse.linalg import splu

    from qnewton.operators.scaling import into_range
    from qnewton.solvers.classical.structured import compressed_columns
    from qnewton.survey.determinant import Pivots

    n = matrix.n
    values, _ = into_range(matrix.compressed.values())  # κ has no unit, squares keep their digits
    columns = compressed_columns(matrix.with_entries(values))
    try:
        pivots = splu(columns, permc_spec="MMD_AT_PLUS_A").U.diagonal()
    except RuntimeError:
        pivots = numpy.zeros(n)  # SuperLU raises for an exactly singular matrix
    found = Pivots(
        logs=torch.from_numpy(numpy.abs(pivots)).log(),
        rounding=8.0 * n * torch.finfo(torch.float64).eps,
        definite=False,
        certificate=None,
        refusal="a sparse LU factorisation tells no signs",
    )
    return found.determinant_bound(float(values.square().sum()))


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


def emulate_file(matrix: Any, facts: Facts, epsilon: float, seed: int) -> Emulated:
    """Solve A·x = b for a random b with the emulated QSVT solver, and look at the residual.

    A small matrix is also inverted column by column, as the paper's Eq. 1 does.

    Args:
        matrix: From :func:`survey_file`.
        facts: Its survey: what it knows of the spectrum is not computed again.
        epsilon: Error of the polynomial.
        seed: Draws b.
    """
    import torch

    from qnewton.solvers.classical import relative_residual
    from qnewton.solvers.quantum import emulate, invert_by_columns, searched_queries
    from qnewton.solvers.quantum.promise import EXACT_LIMIT

    n = matrix.shape[0]
    if n > MOST_EMULATED:
        return Emulated({}, f"N = {n:,} is above {MOST_EMULATED:,}, the largest that is emulated")
    generator = torch.Generator().manual_seed(seed)
    rhs = torch.randn(n, generator=generator, dtype=torch.float64)
    alpha, kappa = _promise(facts)
    try:
        solution = emulate(matrix, rhs, "qsvt", epsilon, alpha, kappa)
    except ValueError as refusal:
        return Emulated({}, str(refusal))
    figures = {name: getattr(solution, name) for name in _FIGURES} | {
        "searched_queries": searched_queries(solution.queries, solution.success_probability),
        "kappa_be": solution.kappa,
        "relative_residual": relative_residual(matrix, solution.direction, rhs),
    }
    if n <= MOST_INVERTED:
        inverted = invert_by_columns(matrix, rhs, epsilon, mode="eigen")
        figures["column_queries"] = inverted.queries
        figures["column_queries_over_single"] = inverted.queries / inverted.single_queries
    if n > EXACT_LIMIT:
        return Emulated(figures)
    return Emulated(figures, norm=solution.alpha, kappa=solution.kappa)


def _promise(facts: Facts) -> tuple[float | None, float | None]:
    """Return α = ‖A‖₂ and κ_be as the survey knows them; what it does not is left to measure."""
    import torch

    condition, norm = facts.spectrum.condition, facts.spectrum.norm
    if condition is None or condition.value is None:
        return None, None
    if condition.method != "exact" or norm is None:
        return None, condition.value if condition.method == "given" else None
    rounding = max(facts.n, 8) * torch.finfo(torch.float64).eps
    return norm * (1.0 + rounding), condition.value * (1.0 + rounding)
