"""Solvers of a symmetric system A·x = b, classical and quantum, behind one ``Solution``."""

from qnewton.solvers.solution import Solution, SolveOptions, SolveStats
from qnewton.solvers.solve import FACTORIZATIONS, RUNNERS, factorize, solve

__all__ = ["FACTORIZATIONS", "RUNNERS", "Solution", "SolveOptions", "SolveStats", "factorize"]
__all__ += ["solve"]
