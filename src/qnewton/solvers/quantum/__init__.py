"""Quantum linear solvers: the polynomials they apply, and emulation of what they output."""

from qnewton.queries import amplified_queries, searched_queries
from qnewton.queries.degrees import cks_degree, inverse_degree
from qnewton.queries.polynomials import (
    InversePolynomial,
    inverse_polynomial,
)
from qnewton.solvers.quantum.column_inversion import ColumnInversion, invert_by_columns
from qnewton.solvers.quantum.costa import Walk
from qnewton.solvers.quantum.deflation import solve_deflated
from qnewton.solvers.quantum.emulate import ALGORITHMS, Emulator, emulate
from qnewton.solvers.quantum.gates import circuit, circuits
from qnewton.solvers.quantum.hhl import Clock
from qnewton.solvers.quantum.promise import SystemRefused
from qnewton.solvers.quantum.qsvt import cks_polynomial
from qnewton.solvers.quantum.readout import (
    Measurement,
    QuantumSolution,
    Readout,
    measure,
    scaled_along,
)

__all__ = ["ALGORITHMS", "Clock", "ColumnInversion", "Emulator", "InversePolynomial", "Measurement"]
__all__ += ["circuit", "circuits"]
__all__ += [
    "QuantumSolution",
    "Readout",
    "SystemRefused",
    "Walk",
    "amplified_queries",
    "cks_degree",
]
__all__ += ["cks_polynomial", "emulate", "inverse_degree", "inverse_polynomial"]
__all__ += ["invert_by_columns", "measure", "scaled_along", "searched_queries"]
__all__ += ["solve_deflated"]
