"""Classical solvers: factorisations to solve with again and again, and conjugate gradients."""

from qnewton.solvers.classical.cg import conjugate_gradients
from qnewton.solvers.classical.cholesky import CholeskyFactorization
from qnewton.solvers.classical.factorization import Factorization
from qnewton.solvers.classical.lu import LUFactorization, LUInverse
from qnewton.solvers.classical.refinement import judge, relative_residual, residual_vector

__all__ = [
    "CholeskyFactorization",
    "Factorization",
    "LUFactorization",
    "LUInverse",
    "conjugate_gradients",
    "judge",
    "relative_residual",
    "residual_vector",
]
