"""Solvers of a symmetric system A·x = b, classical and quantum, behind one ``Solution``."""

from qnewton.solvers.options import SolveOptions
from qnewton.solvers.solution import Solution, SolveStats
from qnewton.solvers.solve import FACTORIZATIONS, SOLVERS, factorize, solve

__all__ = [
    "FACTORIZATIONS",
    "SOLVERS",
    "Solution",
    "SolveOptions",
    "SolveStats",
    "factorize",
    "solve",
]
