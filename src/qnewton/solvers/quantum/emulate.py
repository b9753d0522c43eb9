"""What a quantum linear solver would output, computed without its gates.

QSVT, Dalzell's shortcut, HHL and Costa's adiabatic walk make their output states of A/α and the
right-hand side alone. These states are therefore plain linear algebra: the same functions, with the
same error, the same success probability and the same number of queries. Nothing here solves a
linear system.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from qnewton.operators import DenseOperator, RangedOperator, SymmetricOperator
from qnewton.operators.base import dtype_name
from qnewton.operators.scaling import excess, largest, norm_ratio, scaled, shifted_number
from qnewton.queries import amplified_queries
from qnewton.queries.degrees import inverse_degree
from qnewton.queries.errors import CircuitErrors
from qnewton.records import Outcome
from qnewton.solvers.quantum import promise as promises
from qnewton.solvers.quantum.algorithm import Algorithm, Posed
from qnewton.solvers.quantum.costa import Costa, Walk, costa
from qnewton.solvers.quantum.dalzell import Dalzell, dalzell
from qnewton.solvers.quantum.erring import ErringEmulation
from qnewton.solvers.quantum.execution import Emulation, Execution
from qnewton.solvers.quantum.hhl import HHL, Clock, hhl
from qnewton.solvers.quantum.output_state import Eigenbasis
from qnewton.solvers.quantum.promise import (
    Promise,
    SystemRefused,
    check_rhs,
    float64_entries,
    near_rhs,
)
from qnewton.solvers.quantum.qsvt import QSVT, Family, qsvt
from qnewton.solvers.quantum.readout import QuantumSolution, Readout, read, scaled_along
from qnewton.solvers.solution import Mode

_KINDS: dict[str, type[Algorithm]] = {kind.name: kind for kind in (QSVT, Dalzell, HHL, Costa)}

ALGORITHMS = tuple(_KINDS)
"""The quantum linear solvers that can be emulated, by name."""


def emulate(
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    algorithm: str = "qsvt",
    epsilon: float = 1e-6,
    alpha: float | None = None,
    kappa: float | None = None,
    norm: float | None = None,
    readout: Readout | None = None,
    *,
    mode: Mode = "auto",
    polynomial: Family = "optimal",
    clock: Clock | None = None,
    walk: Walk | None = None,
    errors: CircuitErrors | None = None,
) -> QuantumSolution:
    """Return what a quantum linear solver outputs for A·x = rhs, definite A or not.

    ``qsvt``: with b̂ = rhs/‖rhs‖ and P an inverse polynomial for κ_be and ε, the circuit leaves
    y = P(A/α)·b̂ / max|P| on success, which has probability p = ‖y‖². Then
    x = ‖rhs‖·(max|P|/α)·y, and ‖x - A⁻¹rhs‖ ≤ ε·‖A⁻¹rhs‖ if σ_min(A) ≥ α/κ_be. ``dalzell``: the
    kernel of an augmented matrix, for a known or guessed ``norm``. ``hhl``: phase estimation with
    a finite clock. ``costa``: an adiabatic walk of c·κ_be/Δ steps, and a filter of what is not the
    solution; the state keeps to ε if the walk's error is at most Δ, which c decides.

    Everything runs in float64, whatever the dtype of the matrix. Gates are perfect but for the
    ``errors`` that are asked for; noise is not part of this.

    Args:
        matrix: A, symmetric, shape [N, N].
        rhs: b, shape [N], not zero.
        algorithm: ``qsvt``, ``dalzell``, ``hhl`` or ``costa``.
        epsilon: Error, in (0, 1): of QSVT's polynomial, of Dalzell's state in trace distance, of
            HHL's clock (its spacing is ε·α/κ_be), of Costa's state (at most 0.5 of it).
        alpha: α ≥ ‖A‖₂; by default ‖A‖₂ plus rounding.
        kappa: κ_be ≥ 1; by default α/σ_min as measured. A smaller one breaks the promise: the
            result is what the circuit would output all the same, with ``promise_held`` false.
        norm: ``dalzell``: a guess of ‖A⁻¹rhs‖, such as the last step's; ``None``: unknown.
        readout: How the state is measured; ``None`` for the ideal read-out.
        mode: ``products`` works by products with A alone; ``eigen`` evaluates on all
            eigenvalues, an independent check of about 10·N³ operations; ``krylov`` on the Ritz
            values of a Krylov space, see ``resolved``; ``auto`` is ``krylov`` where ``products``
            would take more than 2·10¹⁰ operations; for HHL and Costa ``eigen`` up to N = 2,048.
        polynomial: ``qsvt``: ``optimal`` (Sünderhauf) or ``cks`` (Childs, Kothari, Somma).
        clock: ``hhl``: its clock register.
        walk: ``costa``: the constant of its steps, and its schedule.
        errors: What the circuit does wrong: entries of A, b and rotations that are off.

    Raises:
        ValueError: For an argument out of range, a matrix that is not symmetric, a right-hand side
            of the wrong length, or ``costa`` in mode ``products``. Its subclass ``SystemRefused``
            is raised on account of the entries: not finite, a zero right-hand side, a zero matrix,
            a singular one whose κ was to be measured, an α below ‖A‖₂, a κ_be beyond
            ``MAX_DEGREE``.

    Cost: ``products``: one product per query, 2N² each; ``krylov``: tens to hundreds of products.
    Up to N = 2,048 the eigenvalues too, about 4N³/3, so that the promise is checked (two Cholesky
    factorisations where both α and κ are given and A is definite). A float32 or non-dense matrix
    is copied to float64 entries, except a float64 matrix-free one above that size.

    Reference: Sünderhauf, arXiv:2507.15537 (as transcribed); Gilyén et al., arXiv:1806.01838;
    Dalzell, arXiv:2406.12086; Harrow, Hassidim, Lloyd, arXiv:0811.3171; Costa et al.,
    arXiv:2111.08152 and 2312.07690 (as summarised; see docs/packages/solvers.md).

    Example:
        >>> matrix = torch.tensor([[2.0, 1.0], [1.0, -3.0]])
        >>> solution = emulate(matrix, torch.tensor([3.0, -2.0]))
        >>> solution.direction, solution.promise_held
        (tensor([1.0000, 1.0000]), True)
        >>> emulate(matrix, torch.tensor([3.0, -2.0]), "dalzell", norm=2**0.5).direction
        tensor([1., 1.])
    """
    asked = {"mode": mode, "polynomial": polynomial, "clock": clock, "walk": walk}
    if errors is not None:
        _check_request(algorithm, mode, polynomial)
        n = matrix.n if isinstance(matrix, SymmetricOperator) else len(matrix)
        erring = ErringEmulation(errors=errors, mode=_mode(algorithm, mode, n), epsilon=epsilon)
        # The exact matrix is read for its promise alone.
        asked |= {"mode": "products", "execution": erring}
    emulator = Emulator(matrix, algorithm, epsilon, alpha, kappa, for_rhs=rhs, **asked)
    return emulator.solve(rhs, readout, norm)


def _mode(algorithm: str, mode: Mode, n: int) -> Mode:
    on_eigenvalues = _KINDS[algorithm].on_eigenvalues and n <= promises.EXACT_LIMIT
    return "eigen" if mode == "auto" and on_eigenvalues else mode


class Emulator:
    """One quantum linear solver on one matrix, prepared once for many right-hand sides.

    α, κ_be, the polynomial and, in mode ``eigen``, its values on the eigenvalues are found once.

    Args:
        matrix: A, symmetric, shape [N, N].
        algorithm: As :func:`emulate` takes it, and so are the others.
        epsilon: Error, in (0, 1).
        alpha: α ≥ ‖A‖₂.
        kappa: κ_be ≥ 1.
        mode: How the output is computed.
        polynomial: ``qsvt``: which.
        clock: ``hhl``: its clock register.
        walk: ``costa``: its steps and its schedule.
        for_rhs: A right-hand side to check before anything is computed.
        execution: What computes and measures the output state in place of the emulator, such as
            :class:`qnewton.solvers.quantum.circuits.GateByGate`; ``mode`` then says nothing.

    Raises:
        ValueError: As :func:`emulate`.

    Cost: up to N = 2,048 the eigenvalues, 4N³/3, in mode ``eigen`` 10·N³; a solve then costs what
    its mode says, in ``eigen`` 4N².

    Example:
        >>> emulator = Emulator(torch.tensor([[2.0, 1.0], [1.0, -3.0]]), mode="eigen")
        >>> solutions = [emulator.solve(torch.tensor(b)) for b in ([2.0, 1.0], [1.0, -3.0])]
        >>> [[round(abs(x), 3) for x in found.direction.tolist()] for found in solutions]
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        matrix: SymmetricOperator | Tensor,
        algorithm: str = "qsvt",
        epsilon: float = 1e-6,
        alpha: float | None = None,
        kappa: float | None = None,
        *,
        mode: Mode = "auto",
        polynomial: Family = "optimal",
        clock: Clock | None = None,
        walk: Walk | None = None,
        for_rhs: Tensor | None = None,
        execution: Execution | None = None,
    ) -> None:
        operator = matrix if isinstance(matrix, SymmetricOperator) else DenseOperator(matrix)
        _check_request(algorithm, mode, polynomial)
        if execution is not None:
            execution.check(operator.n)
        if for_rhs is not None:
            check_rhs(operator, for_rhs)
        if alpha is not None and not (0.0 < alpha < math.inf):
            raise ValueError(f"alpha is {alpha}; it must be positive and finite, at least ‖A‖₂")
        inverse_degree(1.0 if kappa is None else kappa, epsilon)  # refuses what is out of range
        if for_rhs is not None:
            near_rhs(for_rhs)  # refuses zero
        self._operator = operator
        self._epsilon, self._kind = epsilon, _KINDS[algorithm]
        mode = _mode(algorithm, mode, operator.n)
        # Everything runs on 2^-e·A and 2^-f·b, and the solution is put back.
        self._working, self._exponent = _working(operator, alpha, mode)
        if alpha is not None:
            alpha = shifted_number(alpha, -self._exponent)
        with self._units():
            prepared = _prepared(self._working, alpha, kappa, mode, operator.dtype)
            self._promise, self._basis = prepared
            self._solver: Algorithm | None = None  # Dalzell's is one for every right-hand side
            if algorithm == "qsvt":
                self._solver = qsvt(self._promise, epsilon, polynomial)
            elif algorithm == "hhl":
                clock = (clock or Clock()).in_units(self._exponent)
                self._solver = hhl(self._promise, epsilon, clock)
            elif algorithm == "costa":
                self._solver = costa(self._promise, epsilon, walk or Walk())
            if self._basis is not None and self._solver is not None:
                factors = self._solver.at_eigenvalues(self._basis.values)
                self._basis = replace(self._basis, factors=factors)
        emulation = Emulation(mode=mode, basis=self._basis, epsilon=epsilon)
        self._execution: Execution = execution or emulation

    @property
    def residual_limit(self) -> float:
        """Largest ‖A·x - b‖/‖b‖ that ε allows, where the promise is held.

        It is ε for QSVT, and otherwise 2κ_be·ε, half at most: an error of the state may lie along
        A's largest eigenvector.
        """
        if self._kind.bounds_residual:
            return self._epsilon
        return max(self._epsilon, min(0.5, 2.0 * self._promise.kappa * self._epsilon))

    def solve(
        self, rhs: Tensor, readout: Readout | None = None, norm: float | None = None
    ) -> QuantumSolution:
        """Return what the solver outputs for one right-hand side.

        Args:
            rhs: b, shape [N], not zero.
            readout: How the state is measured; ``None`` for the ideal read-out.
            norm: ``dalzell``: a guess of ‖A⁻¹rhs‖.

        Raises:
            ValueError: As :func:`emulate`.
        """
        posed = self.posed(rhs, norm)
        with self._units():
            solution = self._solution(posed, readout)
        dtype, epsilon = self._operator.dtype, self._epsilon
        direction = put_back(solution.direction, posed.exponent, dtype, epsilon)
        alpha = shifted_number(solution.alpha, self._exponent)
        return replace(solution, direction=direction, alpha=alpha)

    def posed(self, rhs: Tensor, norm: float | None = None) -> Posed:
        """Return the algorithm, A and b as :meth:`solve` takes them, scaled into range.

        Args:
            rhs: b, shape [N], not zero.
            norm: ``dalzell``: a guess of ‖A⁻¹rhs‖.

        Raises:
            ValueError: As :func:`emulate`.
        """
        check_rhs(self._operator, rhs)
        near, down = near_rhs(rhs)
        if norm is not None:
            norm = shifted_number(norm, self._exponent - down)
        length = float(near.norm())
        solver = self._solver or dalzell(self._promise, self._epsilon, norm, length)
        exponent = down - self._exponent
        return Posed(solver=solver, operator=self._working, rhs=near, exponent=exponent)

    def _solution(self, posed: Posed, readout: Readout | None) -> QuantumSolution:
        """Return what the output state and its reading amount to, for the scaled A and b."""
        solver, rhs, promise = posed.solver, posed.rhs, self._promise
        self._execution.check_readout(readout)
        executed = self._execution.run(posed)
        found = executed.applied
        # |P|/max|P| ≤ 1 bounds p; rounding alone can put it a few ulps above.
        probability = min(1.0, found.chances.success)
        if not probability > 0.0:
            message = "the output state has length zero; no attempt can succeed"
            raise SystemRefused(Outcome.NO_SUCCESS, message)
        state = found.image / found.image.norm()
        measurement = None
        if readout is not None:
            outcomes = executed.outcomes(np.random.default_rng(readout.seed))
            measurement = read(outcomes, state, readout)
        direction, along = solver.solution(found.image, float(rhs.norm())), state
        if measurement is not None:
            direction, along = None, measurement.vector
        if direction is None:
            # What is known to be indefinite has no minimum along a line.
            bound = None if promise.definite is False else promise.kappa
            direction = scaled_along(self._working, along, rhs, bound)
        expected = solver.expected_queries(replace(found.chances, success=probability))
        return QuantumSolution(
            direction=direction,
            state=state,
            success_probability=probability,
            queries=solver.queries,
            state_preparations=solver.state_preparations,
            expected_queries=expected,
            amplified_queries=min(expected, amplified_queries(solver.queries, probability)),
            degree=solver.queries,
            alpha=promise.alpha,
            kappa=promise.kappa,
            epsilon=self._epsilon,
            error_bound=None if promise.held is False else solver.error_bound,
            promise_held=promise.held,
            resolved=found.resolved,
            algorithm=solver.name,
            mode=found.mode,
            products=found.products,
            measurement=measurement,
            readout=None if measurement is None else measurement.method,
            shots=None if measurement is None else measurement.shots,
            execution=self._execution.name,
        )

    @contextmanager
    def _units(self) -> Iterator[None]:
        """Say in a refusal that its numbers are those of the scaled matrix, where it is scaled."""
        try:
            yield
        except SystemRefused as refusal:
            if self._exponent == 0:
                raise
            units = f"{refusal} (numbers of A in units of 2**{self._exponent})"
            raise SystemRefused(refusal.outcome, units, refusal.detail) from refusal


def put_back(x: Tensor, exponent: int, dtype: torch.dtype, epsilon: float) -> Tensor:
    """Return x·2^exponent in the matrix's dtype; refuse what that cannot hold."""
    stored = scaled(x, exponent).to(dtype)
    name, limits = dtype_name(dtype), torch.finfo(dtype)
    if not torch.isfinite(stored).all():
        message = f"the solution has entries above {limits.max:.3g}, the largest {name}"
        message += "; scale the right-hand side down, or the matrix up"
        raise SystemRefused(Outcome.OVERFLOW, message, name)
    small = largest(stored) < limits.tiny
    if small and norm_ratio(scaled(stored.double(), -exponent) - x, x) > epsilon:
        message = f"the solution is below {limits.tiny:.3g}, where {name} loses its digits"
        message += "; scale the right-hand side up, or the matrix down"
        raise SystemRefused(Outcome.UNDERFLOW, message, name)
    return stored


def _check_request(algorithm: str, mode: str, polynomial: str) -> None:
    asked = {"algorithm": (algorithm, ALGORITHMS), "mode": (mode, get_args(Mode))}
    asked["polynomial"] = (polynomial, get_args(Family))
    for what, (value, known) in asked.items():
        if value not in known:
            raise ValueError(f"{what} {value!r} is not known; known: {', '.join(known)}")


def _working(
    operator: SymmetricOperator, alpha: float | None, mode: Mode
) -> tuple[SymmetricOperator, int]:
    """Return 2^-e·A in float64 and e, found of a matrix-free one by α or by one product."""
    large = operator.n > promises.EXACT_LIMIT and mode != "eigen"
    if not large or operator.dtype != torch.float64 or isinstance(operator, DenseOperator):
        return float64_entries(operator)
    ranged = RangedOperator(operator)
    if alpha is not None:
        ranged.fix(excess(alpha, torch.float64))
    else:
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(operator.n, generator=generator, dtype=torch.float64)
        _ = ranged @ probe.to(operator.device)
    return (ranged, ranged.exponent) if ranged.exponent else (operator, 0)


def _prepared(
    working: SymmetricOperator,
    alpha: float | None,
    kappa: float | None,
    mode: Mode,
    dtype: torch.dtype,
) -> tuple[Promise, Eigenbasis | None]:
    """Return the promise, and A's eigenpairs where mode ``eigen`` asks for them."""
    if working.n > promises.EXACT_LIMIT and mode != "eigen":
        return promises.estimated_promise(working, alpha, kappa), None
    if mode == "eigen":
        values, vectors = torch.linalg.eigh(working.dense())
        return promises.exact_promise(values, alpha, kappa, dtype), Eigenbasis(values, vectors)
    promise = None
    if alpha is not None and kappa is not None:
        promise = promises.certified_promise(working.dense(), alpha, kappa)
    if promise is None:
        values = torch.linalg.eigvalsh(working.dense())
        promise = promises.exact_promise(values, alpha, kappa, dtype)
    return promise, None
