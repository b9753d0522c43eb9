"""What a symmetric matrix can be, and the linear system around it."""

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.dense import DenseOperator, as_operator
from qnewton.operators.matrix_free import MatrixFreeOperator
from qnewton.operators.sparse import SparseOperator
from qnewton.operators.system import LinearSystem

__all__ = [
    "DenseOperator",
    "LinearSystem",
    "MatrixFreeOperator",
    "SparseOperator",
    "SymmetricOperator",
    "as_operator",
]
