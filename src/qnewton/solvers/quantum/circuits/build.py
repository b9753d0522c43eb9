"""From a system to the circuit of a solver."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatch
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator
from qnewton.solvers.quantum.algorithm import Algorithm, Posed
from qnewton.solvers.quantum.circuits.block_encoding import (
    DenseDilation,
    Encoder,
    LowRank,
    SparseAccess,
)
from qnewton.solvers.quantum.circuits.dalzell_circuit import dalzell_circuit
from qnewton.solvers.quantum.circuits.hhl_circuit import hhl_circuit
from qnewton.solvers.quantum.circuits.limits import (
    check_attempt,
    check_calls,
    check_simulation,
    check_unknowns,
)
from qnewton.solvers.quantum.circuits.preparation import system_qubits
from qnewton.solvers.quantum.circuits.qsvt_circuit import qsvt_circuit
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.dalzell import Dalzell
from qnewton.solvers.quantum.emulate import Emulator
from qnewton.solvers.quantum.hhl import HHL, Clock
from qnewton.solvers.quantum.qsvt import QSVT, Family

Array = NDArray[np.float64]
Circuits = Iterator[SolverCircuit]

ENCODERS: Mapping[str, Callable[[], Encoder]] = MappingProxyType(
    {"dense": DenseDilation, "sparse": SparseAccess, "low_rank": LowRank}
)
"""The block-encodings, by the names that :func:`solver_circuit` takes."""


def solver_circuit(
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    algorithm: str = "qsvt",
    epsilon: float = 1e-6,
    kappa: float | None = None,
    norm: float | None = None,
    *,
    encoding: str | None = None,
    polynomial: Family = "optimal",
    clock: Clock | None = None,
) -> SolverCircuit:
    """Return the circuit of a quantum linear solver for A·x = rhs, and what it leaves on success.

    Every number that :func:`~qnewton.solvers.quantum.emulate` finds for the same arguments is the
    circuit's: α, κ_be, the polynomial, the clock.

    Args:
        matrix: A, symmetric, shape [N, N], N ≤ 256.
        rhs: b, shape [N], not zero.
        algorithm: ``qsvt``, ``dalzell`` or ``hhl``.
        epsilon: Error, in (0, 1), as ``emulate`` takes it.
        kappa: κ_be ≥ 1; by default α/σ_min.
        norm: ``dalzell``: a guess of ‖A⁻¹rhs‖; without one, the first guess of the grid is taken.
        encoding: ``dense``, ``sparse`` or ``low_rank``: how U_A is built; ``None`` for ``dense``.
            HHL's evolutions are exact gates with ``None``, and called from U_A with ``dense``.
        polynomial: ``qsvt``: ``optimal`` or ``cks``.
        clock: ``hhl``: its clock register; without one, ε decides.

    Raises:
        ValueError: As ``emulate``, and for a system too large for its circuit.

    Cost: the gates' matrices, and phase angles for as many degrees as there are queries.

    Example:
        >>> import torch
        >>> matrix = torch.tensor([[2.0, 1.0], [1.0, -3.0]]).double()
        >>> found = solver_circuit(matrix, torch.tensor([3.0, -2.0]).double(), epsilon=1e-3)
        >>> found.circuit.num_qubits, found.queries
        (3, 9)
    """
    asked = {"encoding": encoding, "polynomial": polynomial, "clock": clock}
    return next(planned(matrix, rhs, algorithm, epsilon, kappa, norm, **asked).attempts())


@dataclass(frozen=True, eq=False)
class Plan:
    """A circuit that is within all limits, before any of its gates is built.

    Attributes:
        emulator: What the circuit has to agree with.
        posed: The algorithm with every parameter set, A and b.
        encoder: What encodes A; ``None`` for the dilation, and exact evolutions of HHL.
    """

    emulator: Emulator
    posed: Posed
    encoder: Encoder | None

    @property
    def qubits(self) -> int:
        """Qubits that the circuit will have.

        Cost: for a low-rank encoding, A's eigenvalues.
        """
        solver, entries = self.posed.solver, _entries(self.posed.operator)
        system = system_qubits(len(entries))
        if isinstance(solver, HHL):
            walk = 0 if self.encoder is None else 2
            return system + solver.clock_qubits + 1 + walk
        ancillas = (self.encoder or DenseDilation()).ancillas(entries)
        if isinstance(solver, Dalzell):
            filters = 1 if solver.projection is None else 2
            return system + 1 + filters * (ancillas + 3)
        return system + ancillas + 1 + (ancillas > 1)

    def check_simulation(self) -> None:
        """Raise ``ValueError`` where simulating the circuits exactly takes more than a minute."""
        solver, entries = self.posed.solver, _entries(self.posed.operator)
        if isinstance(solver, HHL) and self.encoder is None:
            return
        oracle = system_qubits(len(entries)) + (self.encoder or DenseDilation()).ancillas(entries)
        controls, circuits = 0, 1
        if isinstance(solver, HHL):
            controls = 2
        elif isinstance(solver, Dalzell):
            controls, circuits = 1, len(solver.guesses)
        check_simulation(circuits * solver.queries, oracle + controls, self.qubits)

    def attempts(self) -> Circuits:
        """Build the circuits as they are asked for: one, or one for every guess of the norm."""
        posed = self.posed
        return attempts(posed.solver, posed.operator, posed.unit, self.encoder)


def planned(
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    algorithm: str = "qsvt",
    epsilon: float = 1e-6,
    kappa: float | None = None,
    norm: float | None = None,
    *,
    encoding: str | None = None,
    polynomial: Family = "optimal",
    clock: Clock | None = None,
) -> Plan:
    """Return what :func:`solver_circuit` would build for the same arguments, and build nothing.

    Raises:
        ValueError: As :func:`solver_circuit`.

    Cost: A's eigenvalues, up to 256 of them.

    Example:
        >>> import torch
        >>> matrix, rhs = torch.tensor([[2.0, 1.0], [1.0, -3.0]]), torch.tensor([3.0, -2.0])
        >>> planned(matrix, rhs, "dalzell", 0.1).qubits
        10
    """
    operator = matrix if isinstance(matrix, SymmetricOperator) else DenseOperator(matrix)
    encoder = None if encoding is None else _encoder(encoding)
    check_unknowns(operator.n)
    if algorithm == "hhl" and encoding not in (None, "dense"):
        said = f"HHL's evolutions need an encoding that is its own inverse, and {encoding!r} is not"
        raise ValueError(f"{said}; give 'dense', or none for exact evolutions")
    alpha = None if encoder is None else encoder.alpha(_entries(operator))
    asked = {"mode": "eigen", "polynomial": polynomial, "clock": clock, "for_rhs": rhs}
    emulator = Emulator(operator, algorithm, epsilon, alpha, kappa, **asked)
    posed = emulator.posed(rhs, norm)
    if not isinstance(posed.solver, QSVT | HHL | Dalzell):
        raise no_circuit(posed.solver)
    check_attempt(posed.solver)
    if encoder is not None:
        check_calls(posed.solver)
    return Plan(emulator, posed, encoder)


def attempts(
    solver: Algorithm, operator: SymmetricOperator, unit: Tensor, encoder: Encoder | None = None
) -> Circuits:
    """Build the circuits of a solver's attempts: one, or one for every guess of the norm.

    Without an encoder U_A is the dense dilation, and the evolutions of HHL are exact gates.
    """
    return _attempts(solver, _entries(operator), unit.cpu().numpy(), encoder)


@singledispatch
def _attempts(solver: Algorithm, entries: Array, unit: Array, encoder: Encoder | None) -> Circuits:
    raise no_circuit(solver)


def no_circuit(solver: Algorithm) -> ValueError:
    """Return the error for an algorithm that is emulated alone."""
    return ValueError(f"no circuit is built for {solver.name!r}; choose hhl, qsvt or dalzell")


@_attempts.register
def _(solver: QSVT, entries: Array, unit: Array, encoder: Encoder | None) -> Circuits:
    encoding = (encoder or DenseDilation()).encode(entries, solver.alpha)
    yield qsvt_circuit(solver, encoding, unit)


@_attempts.register
def _(solver: HHL, entries: Array, unit: Array, encoder: Encoder | None) -> Circuits:
    encoding = None if encoder is None else encoder.encode(entries, solver.alpha)
    yield hhl_circuit(solver, entries, unit, encoding)


@_attempts.register
def _(solver: Dalzell, entries: Array, unit: Array, encoder: Encoder | None) -> Circuits:
    encoding = (encoder or DenseDilation()).encode(entries, solver.alpha)
    for t in solver.guesses:
        yield dalzell_circuit(solver, t, encoding, unit)


def _entries(operator: SymmetricOperator) -> Array:
    return operator.dense().double().cpu().numpy()


def _encoder(name: str) -> Encoder:
    if name not in ENCODERS:
        raise ValueError(f"encoding {name!r} is not known; known: {', '.join(ENCODERS)}")
    return ENCODERS[name]()
