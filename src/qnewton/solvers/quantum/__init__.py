"""Quantum linear solvers: the polynomials they apply, and emulation of what they output."""

from qnewton.solvers.quantum.amplification import amplified_queries
from qnewton.solvers.quantum.emulate import ALGORITHMS, QuantumSolution, emulate
from qnewton.solvers.quantum.polynomials import (
    InversePolynomial,
    inverse_degree,
    inverse_polynomial,
)
from qnewton.solvers.quantum.promise import SystemRefused

__all__ = [
    "ALGORITHMS",
    "InversePolynomial",
    "QuantumSolution",
    "SystemRefused",
    "amplified_queries",
    "emulate",
    "inverse_degree",
    "inverse_polynomial",
]
