"""Quantum linear solvers gate by gate, in Qiskit: their oracles, phases, circuits and read-out."""

from qnewton.solvers.quantum.circuits.amplification import amplified
from qnewton.solvers.quantum.circuits.block_encoding import (
    BlockEncoding,
    DenseDilation,
    Encoder,
    LowRank,
    SparseAccess,
)
from qnewton.solvers.quantum.circuits.build import ENCODERS, attempts, solver_circuit
from qnewton.solvers.quantum.circuits.gate_by_gate import GateByGate
from qnewton.solvers.quantum.circuits.interference import ReadoutCircuit, interfered, swap_test
from qnewton.solvers.quantum.circuits.measured import distribution
from qnewton.solvers.quantum.circuits.phases import Phases, inverse_phases, kernel_phases
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit

__all__ = ["ENCODERS", "BlockEncoding", "DenseDilation", "Encoder", "GateByGate", "LowRank"]
__all__ += ["Phases", "ReadoutCircuit", "SolverCircuit", "SparseAccess", "amplified", "attempts"]
__all__ += ["distribution", "interfered", "inverse_phases", "kernel_phases", "solver_circuit"]
__all__ += ["swap_test"]
