"""Quantum linear solvers gate by gate, in Qiskit: their oracles, phases, circuits and read-out."""

from qnewton.solvers.quantum.circuits.amplification import amplified
from qnewton.solvers.quantum.circuits.backends import check_fits, named_backend
from qnewton.solvers.quantum.circuits.block_encoding import (
    BlockEncoding,
    DenseDilation,
    Encoder,
    LowRank,
    SparseAccess,
)
from qnewton.solvers.quantum.circuits.boxes import with_boxes
from qnewton.solvers.quantum.circuits.build import (
    ENCODERS,
    Plan,
    attempts,
    planned,
    solver_circuit,
)
from qnewton.solvers.quantum.circuits.counts import CircuitCounts, counted
from qnewton.solvers.quantum.circuits.drawing import check_drawing, drawn
from qnewton.solvers.quantum.circuits.exporting import exported
from qnewton.solvers.quantum.circuits.gate_by_gate import GateByGate
from qnewton.solvers.quantum.circuits.interference import ReadoutCircuit, interfered, swap_test
from qnewton.solvers.quantum.circuits.limits import MAX_UNKNOWNS
from qnewton.solvers.quantum.circuits.measured import distribution
from qnewton.solvers.quantum.circuits.on_machine import OnMachine
from qnewton.solvers.quantum.circuits.phases import Phases, inverse_phases, kernel_phases
from qnewton.solvers.quantum.circuits.sampling import Samples, sampled
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.circuits.transpiling import check_gates, transpiled

__all__ = ["ENCODERS", "BlockEncoding", "CircuitCounts", "DenseDilation", "Encoder", "GateByGate"]
__all__ += ["LowRank", "OnMachine", "Phases", "Plan", "ReadoutCircuit", "Samples", "SolverCircuit"]
__all__ += ["SparseAccess", "amplified", "attempts", "check_drawing", "check_fits", "counted"]
__all__ += ["distribution", "drawn", "exported", "interfered", "inverse_phases", "kernel_phases"]
__all__ += ["named_backend", "planned", "sampled", "solver_circuit", "swap_test", "transpiled"]
__all__ += ["MAX_UNKNOWNS", "check_gates", "with_boxes"]
