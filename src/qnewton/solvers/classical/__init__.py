"""Classical solvers: factorisations to solve with again and again, and Krylov methods."""

from qnewton.solvers.classical.cg import conjugate_gradients
from qnewton.solvers.classical.factorization import (
    CholeskyFactorization,
    Factorization,
    LDLFactorization,
    LUFactorization,
    LUInverse,
    solve_absolute,
)
from qnewton.solvers.classical.krylov import MinimumResidual, minimum_residual
from qnewton.solvers.classical.least_squares import AugmentedQR, lsmr
from qnewton.solvers.classical.preconditioner import (
    DiagonalPreconditioner,
    NystromPreconditioner,
    Preconditioner,
)
from qnewton.solvers.classical.refinement import judge, relative_residual, residual_vector
from qnewton.solvers.classical.structured import (
    KeptEigenvectors,
    SparseLUFactorization,
    WoodburyFactorization,
    sparse_conjugate_gradients,
)

__all__ = ["AugmentedQR", "CholeskyFactorization", "DiagonalPreconditioner", "Factorization"]
__all__ += ["KeptEigenvectors", "LDLFactorization"]
__all__ += ["LUFactorization", "LUInverse", "MinimumResidual", "NystromPreconditioner"]
__all__ += ["Preconditioner", "SparseLUFactorization", "WoodburyFactorization"]
__all__ += ["conjugate_gradients", "judge", "lsmr", "minimum_residual", "relative_residual"]
__all__ += ["residual_vector", "solve_absolute", "sparse_conjugate_gradients"]
