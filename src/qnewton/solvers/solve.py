"""One call for every solver: a system and a name go in, a ``Solution`` comes out."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Unpack

import torch
from torch import Tensor

from qnewton.operators import (
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    SymmetricOperator,
    as_operator,
)
from qnewton.records import Outcome, decode, encode
from qnewton.records.messages import one_line, shown
from qnewton.solvers import classical
from qnewton.solvers.quantum import ALGORITHMS, Emulator, SystemRefused, solve_deflated
from qnewton.solvers.solution import Solution, SolveKeywords, SolveOptions, SolveStats

Runner = Callable[[SymmetricOperator, Tensor, SolveOptions], Solution]
"""What solves: an operator, a right-hand side and options go in, a solution comes out."""

NYSTROM_RANK = 64
"""Eigenpairs that ``pcg_nystrom`` sketches unless it is told how many."""

_DENSE = (
    classical.LUInverse,
    classical.LUFactorization,
    classical.CholeskyFactorization,
    classical.LDLFactorization,
)

_STRUCTURED = (
    classical.SparseLUFactorization,
    classical.WoodburyFactorization,
    classical.AugmentedQR,
    classical.KeptEigenvectors,
)

FACTORIZATIONS: Mapping[str, type[classical.Factorization]] = MappingProxyType(
    {kind.solver: kind for kind in (*_DENSE, *_STRUCTURED)}
)
"""The factorisations that solve any number of right-hand sides, by the name of their solver."""


def solve(
    system: LinearSystem | tuple[SymmetricOperator | Tensor, Tensor],
    solver: str | Runner = "cholesky",
    tolerance: float = 1e-6,
    **keywords: Unpack[SolveKeywords],
) -> Solution:
    """Solve A·x = b with the named solver; what goes wrong with the entries is an outcome.

    Args:
        system: A system, or the pair (A, b) with A symmetric of shape [N, N], b of shape [N].
        solver: A name in ``RUNNERS``: ``lu_inverse``, ``lu``, ``cholesky``, ``ldl``,
            ``sparse_lu``, ``woodbury``, ``augmented_qr``, ``eigenbasis``, ``cg``, ``sparse_cg``,
            ``pcg_diagonal``, ``pcg_nystrom``, ``minres``, ``lsmr``, ``qsvt``, ``deflated_qsvt``; or
            a function of the operator, b and :class:`~qnewton.solvers.SolveOptions` that returns
            a solution.
        tolerance: Largest ‖A·x - b‖/‖b‖ that counts as solved; where the dtype cannot reach it,
            √eps does (see ``classical.refinement``).
        max_products: Most products of an iterative solver.
        rank: Eigenpairs that ``pcg_nystrom`` sketches, by default 64.
        start: First x of a Krylov solver, shape [N]; zero by default. Others ignore it.
        epsilon: ``qsvt`` and the other quantum solvers: error of the polynomial or of the state,
            by default ``tolerance``. A solution of QSVT is held to this epsilon where it is the
            larger of the two, one of a solver whose state alone is bounded to 2κ_be·epsilon.
        alpha: Quantum solvers: α ≥ ‖A‖₂ of the block-encoding; measured by default.
        kappa: Quantum solvers: κ_be ≥ α/σ_min; measured by default.
        norm: ``dalzell``: a guess of ‖x‖; nothing is known of it by default.
        mode: Quantum solvers: how they are emulated.
        readout: Quantum solvers: how the state is measured; ideally by default. What was measured
            with shots counts as solved whatever its residual, which says what the shots gave.
        execution: Quantum solvers: what carries them out in place of the emulator, such as
            :class:`qnewton.solvers.quantum.circuits.GateByGate`.
        deflate: ``deflated_qsvt``: how many of the largest eigenpairs are solved classically, by
            default 8. It takes what ``qsvt`` takes; α and κ_be are those of the whole A.
        keep_factors: A factorisation is then kept in the solution, N² entries or more.

    Returns:
        The solution, its residual checked against the true operator.

    Raises:
        ValueError: If the solver is unknown, an option is out of range, the matrix is not
            symmetric, or the right-hand side does not fit it.
        TypeError: If a function that solves returns no solution, or an x that does not fit b.

    Cost: the solver's, and one product for the residual.

    Example:
        >>> matrix, rhs = torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.tensor([3.0, 3.0])
        >>> [solve((matrix, rhs), name).direction for name in ("lu", "qsvt")]
        [tensor([1., 1.]), tensor([1.0000, 1.0000])]
        >>> solve((-matrix, rhs), "cholesky").describe()
        'not positive definite'
    """
    if isinstance(solver, str) and solver not in RUNNERS:
        raise ValueError(f"solver {solver!r} is not known; known: {', '.join(RUNNERS)}")
    if not isinstance(system, LinearSystem):
        system = LinearSystem(_operator(system[0]), system[1])
    options = SolveOptions(tolerance=tolerance, target=system.target, **keywords)
    operator, rhs, start = system.operator, system.rhs, options.start
    if (rhs.dtype, rhs.device) != (operator.dtype, operator.device):
        found = f"the right-hand side is {rhs.dtype} on {rhs.device}"
        needed = f"the operator {operator.dtype} on {operator.device}; convert one of them"
        raise ValueError(f"{found}, {needed}")
    if start is not None and (start.shape, start.dtype) != (rhs.shape, rhs.dtype):
        found = f"start has shape {tuple(start.shape)} and dtype {start.dtype}"
        raise ValueError(f"{found}; this system needs [{operator.n}] and {rhs.dtype}")
    began = time.perf_counter()
    if isinstance(solver, str):
        solution = RUNNERS[solver](operator, rhs.detach(), options)
    else:
        # A copy of b, since nobody knows what such a function writes to.
        solution = solver(operator, rhs.detach().clone(), options)
        _check(solution, rhs)
        if solution.direction is not None:
            solution = replace(solution, direction=solution.direction.detach())
    if operator.device.type == "cuda":
        torch.cuda.synchronize(operator.device)
    seconds = time.perf_counter() - began
    return replace(solution, stats=replace(solution.stats, seconds=seconds))


def _check(solution: object, rhs: Tensor) -> None:
    """Refuse what a function from outside returns where it is no solution of this system.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(solution, Solution) or not isinstance(solution.stats, SolveStats):
        raise TypeError(f"the solver returned {shown(solution)}; it must be a Solution with stats")
    x, outcome, detail = solution.direction, solution.outcome, solution.detail
    if not isinstance(outcome, Outcome):
        raise TypeError(f"the solver's outcome is {shown(outcome)}; it must be an Outcome")
    if not isinstance(detail, str) or "\n" in detail:
        raise TypeError(f"the solver's detail is {shown(detail)}; it must be a string of one line")
    try:
        decode(SolveStats, encode(solution.stats))  # as a record of the step is written and read
    except (TypeError, ValueError) as misfit:
        raise TypeError(f"the solver's stats are not of their types: {one_line(misfit)}") from None
    if x is None:
        return
    if not isinstance(x, Tensor):
        raise TypeError(f"the solver's x is {shown(x)}; it must be a tensor")
    found, needed = ((list(t.shape), t.dtype, t.device) for t in (x, rhs))
    if found != needed:
        said = "shape {} in {} on {}".format
        raise TypeError(f"the solver's x has {said(*found)}; this system needs {said(*needed)}")


def factorize(
    matrix: SymmetricOperator | Tensor, kind: str = "cholesky"
) -> classical.Factorization:
    """Factorise A once, to solve with many right-hand sides.

    Args:
        matrix: A, symmetric, shape [N, N].
        kind: ``cholesky``, ``ldl``, ``lu``, ``lu_inverse``, ``sparse_lu``, ``woodbury``,
            ``augmented_qr`` or ``eigenbasis``.

    Returns:
        The factorisation; if it failed, its ``outcome`` says why and every solve repeats it.

    Raises:
        ValueError: If the kind is unknown or the matrix is not symmetric.

    Cost: N³/3, 2N³/3 or 2N³ operations.

    Example:
        >>> factors = factorize(torch.eye(2) * 4)
        >>> factors.solve(torch.tensor([4.0, 8.0])).direction
        tensor([1., 2.])
    """
    if kind not in FACTORIZATIONS:
        raise ValueError(f"factorization {kind!r} is not known; known: {', '.join(FACTORIZATIONS)}")
    return FACTORIZATIONS[kind](_operator(matrix))


def _operator(matrix: SymmetricOperator | Tensor) -> SymmetricOperator:
    """Return an operator; entries that are not finite are left for the solver to report."""
    if isinstance(matrix, Tensor) and not torch.isfinite(matrix).all():
        return DenseOperator(matrix)
    return as_operator(matrix)


def _by_factorization(kind: type[classical.Factorization]) -> Runner:
    def run(operator: SymmetricOperator, rhs: Tensor, options: SolveOptions) -> Solution:
        factors = kind(operator)
        solution = factors.solve(rhs, options.tolerance, options.target)
        return replace(solution, factors=factors) if options.keep_factors else solution

    return run


def _by_products(run: Callable[..., Solution]) -> Runner:
    return lambda operator, rhs, options: run(
        operator, rhs, options.tolerance, options.max_products, start=options.start
    )


def _diagonal(operator: SymmetricOperator, options: SolveOptions) -> classical.Preconditioner:
    return classical.DiagonalPreconditioner(operator)


def _nystrom(operator: SymmetricOperator, options: SolveOptions) -> classical.Preconditioner:
    rank = min(operator.n, NYSTROM_RANK if options.rank is None else options.rank)
    held = isinstance(operator, LowRankOperator)
    shift = operator.shift if held else operator.treatment.damping
    return classical.NystromPreconditioner(operator, shift, rank)


def _preconditioned(
    name: str, build: Callable[[SymmetricOperator, SolveOptions], classical.Preconditioner]
) -> Runner:
    def run(operator: SymmetricOperator, rhs: Tensor, options: SolveOptions) -> Solution:
        try:
            preconditioner = build(operator, options)
        except ValueError as refusal:
            outcome = Outcome.NO_PRECONDITIONER
            return Solution(None, outcome, SolveStats(solver=name), str(refusal))
        helped = partial(classical.conjugate_gradients, preconditioner=preconditioner)
        solution = _by_products(helped)(operator, rhs, options)
        return replace(solution, stats=replace(solution.stats, solver=name))

    return run


def _emulated(algorithm: str) -> Runner:
    def run(operator: SymmetricOperator, rhs: Tensor, options: SolveOptions) -> Solution:
        known = (_epsilon(options), options.alpha, options.kappa)
        asked = {"mode": options.mode, "for_rhs": rhs, "execution": options.execution}
        try:
            emulator = Emulator(operator, algorithm, *known, **asked)
            output = emulator.solve(rhs, options.readout, options.norm)
        except SystemRefused as refusal:
            return Solution(None, refusal.outcome, SolveStats(solver=algorithm), refusal.detail)
        stats = SolveStats(solver=algorithm, products=output.products, quantum=output.stats())
        read = output.measurement is not None
        limit = emulator.residual_limit
        return _judged(operator, rhs, output.direction, stats, read, options, limit)

    return run


def _deflated_qsvt(operator: SymmetricOperator, rhs: Tensor, options: SolveOptions) -> Solution:
    try:
        found = solve_deflated(operator, rhs, _epsilon(options), options)
    except SystemRefused as refusal:
        return Solution(None, refusal.outcome, SolveStats(solver="deflated_qsvt"), refusal.detail)
    rest, deflation = found.rest, found.deflation
    stats = SolveStats(
        solver="deflated_qsvt",
        products=deflation.products + (0 if rest is None else rest.products),
        quantum=None if rest is None else rest.stats(),
        deflation=deflation,
    )
    read = rest is not None and rest.measurement is not None
    return _judged(operator, rhs, found.direction, stats, read, options, _epsilon(options))


def _epsilon(options: SolveOptions) -> float:
    return options.tolerance if options.epsilon is None else options.epsilon


def _judged(
    operator: SymmetricOperator,
    rhs: Tensor,
    direction: Tensor,
    stats: SolveStats,
    read: bool,
    options: SolveOptions,
    limit: float,
) -> Solution:
    """Return the solution by its true residual; one that was read with shots counts as solved."""
    residual = classical.relative_residual(operator, direction, rhs)
    outcome, detail = classical.judge(residual, max(limit, options.tolerance), operator.dtype)
    if read and math.isfinite(residual):
        outcome, detail = Outcome.SOLVED, ""
    broken = stats.quantum is not None and stats.quantum.promise_held is False
    if outcome is not Outcome.SOLVED and broken:
        outcome, detail = Outcome.PROMISE_BROKEN, outcome.describe(detail)
    return Solution(direction, outcome, replace(stats, residual=residual), detail)


RUNNERS: Mapping[str, Runner] = MappingProxyType(
    {
        **{name: _by_factorization(kind) for name, kind in FACTORIZATIONS.items()},
        "cg": _by_products(classical.conjugate_gradients),
        "sparse_cg": _by_products(classical.sparse_conjugate_gradients),
        "pcg_diagonal": _preconditioned("pcg_diagonal", _diagonal),
        "pcg_nystrom": _preconditioned("pcg_nystrom", _nystrom),
        "minres": _by_products(classical.minimum_residual),
        "lsmr": lambda operator, rhs, options: classical.lsmr(
            operator, rhs, options.tolerance, options.max_products, target=options.target
        ),
        **{name: _emulated(name) for name in ALGORITHMS},
        "deflated_qsvt": _deflated_qsvt,
    }
)
"""What runs every solver, by name."""
