"""The way to the circuits, whose libraries are an extra that not everybody installs."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from qnewton.operators import SymmetricOperator

if TYPE_CHECKING:
    from types import ModuleType

    from qiskit import QuantumCircuit

INSTALL = "pip install 'qnewton[quantum]'"


def circuits() -> "ModuleType":
    """Return the package :mod:`qnewton.solvers.quantum.circuits`.

    Raises:
        ValueError: One line that says what to install, where a circuit library is missing.
    """
    try:
        import qnewton.solvers.quantum.circuits as package
    except ImportError as error:
        raise ValueError(f"circuits need {error.name}; {INSTALL}") from None
    return package


def circuit(
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    algorithm: str = "qsvt",
    epsilon: float = 1e-6,
    **options: Any,
) -> "QuantumCircuit":
    """Return the gates that solve A·x = rhs, as a Qiskit circuit without measurements.

    What it leaves on success, and how its qubits are to be read, is told by
    :func:`qnewton.solvers.quantum.circuits.solver_circuit`, which takes the same arguments.

    Args:
        matrix: A, symmetric, shape [N, N], N ≤ 256.
        rhs: b, shape [N], not zero.
        algorithm: ``qsvt``, ``dalzell`` or ``hhl``.
        epsilon: Error, in (0, 1).
        options: As ``solver_circuit`` takes them.

    Raises:
        ValueError: As ``solver_circuit``, and where the extra ``quantum`` is not installed.

    Example:
        >>> import torch
        >>> matrix = torch.tensor([[2.0, 1.0], [1.0, -3.0]])
        >>> circuit(matrix, torch.tensor([3.0, -2.0]), epsilon=0.1).count_ops()["block_encoding"]
        2
    """
    return circuits().solver_circuit(matrix, rhs, algorithm, epsilon, **options).circuit
