"""What a solver's circuit leaves: with perfect gates, and with the noise of a machine's gates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, QubitProperties
from qiskit.transpiler import InstructionProperties
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qnewton.solvers.quantum.circuits import SolverCircuit, named_backend

DEVICE = "fake_sherbrooke"

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class OnSuccess:
    """What an attempt leaves.

    Attributes:
        fidelity: ⟨x|ρ|x⟩, x the exact solution of unit length and ρ the state on success.
        success_probability: That of the attempt.
    """

    fidelity: float
    success_probability: float


def machine(factor: float) -> BackendV2:
    """Return the device with errors that many times smaller, and T1 and T2 that many times longer.

    Above 1 it is a hypothetical machine. A gate that the device marks as broken, with an error of
    1, stays broken.
    """
    device = named_backend(DEVICE)
    target: Any = device.target
    for name in target.operation_names:
        for qubits, properties in target[name].items():
            if properties is None or properties.error is None or properties.error >= 1.0:
                continue
            better = InstructionProperties(properties.duration, properties.error / factor)
            target.update_instruction_properties(name, qubits, better)
    target.qubit_properties = [
        QubitProperties(t1=each.t1 * factor, t2=each.t2 * factor, frequency=each.frequency)
        for each in target.qubit_properties
    ]
    return device


def median_error(device: BackendV2) -> float:
    """Return the median error of the gates on two qubits, broken ones included."""
    target: Any = device.target
    gates = {name: target.operation_from_name(name) for name in target.operation_names}
    names = [name for name, gate in gates.items() if getattr(gate, "num_qubits", None) == 2]
    return float(np.median([each.error for name in names for each in target[name].values()]))


def perfect(attempt: SolverCircuit, exact: Array) -> OnSuccess:
    """Return what perfect gates leave."""
    success = float(attempt.image @ attempt.image)
    fidelity = float(attempt.image @ exact) ** 2 / success
    return OnSuccess(fidelity=fidelity, success_probability=success)


def noisy(
    attempt: SolverCircuit, on_machine: QuantumCircuit, noise: NoiseModel, exact: Array
) -> OnSuccess:
    """Return what a machine leaves, from the density matrix of all qubits of the attempt.

    Idle qubits lose nothing in it, and nothing is read out: a machine leaves less.

    Args:
        attempt: The circuit.
        on_machine: The same one, transpiled.
        noise: The errors of the machine's gates.
        exact: x, of unit length.

    Cost: 4^q numbers per gate.
    """
    assert on_machine.layout is not None
    kept = on_machine.copy()
    places = on_machine.layout.final_index_layout()
    kept.save_density_matrix(places, label="state")  # pyright: ignore[reportAttributeAccessIssue]
    simulator = AerSimulator(method="density_matrix", noise_model=noise)
    state = np.asarray(simulator.run(kept).result().data()["state"])
    number = np.arange(len(state), dtype=np.complex128)
    places = attempt.on_success(number).real.astype(np.int64)[: attempt.n]
    block = state[np.ix_(places, places)]
    success = float(np.trace(block).real)
    fidelity = float((exact @ block @ exact).real) / success
    return OnSuccess(fidelity=fidelity, success_probability=success)
