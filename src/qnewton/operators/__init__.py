"""What a symmetric matrix can be, and the linear system around it."""

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.dense import DenseOperator, as_operator
from qnewton.operators.factor import DenseFactor, Factor, StackedFactor
from qnewton.operators.khatri_rao import KhatriRaoFactor
from qnewton.operators.low_rank import LowRankOperator
from qnewton.operators.matrix_free import MatrixFreeOperator
from qnewton.operators.negated import NegatedOperator
from qnewton.operators.scaling import RangedOperator
from qnewton.operators.sparse import SparseOperator
from qnewton.operators.system import LinearSystem
from qnewton.operators.weighted_sum import WeightedSumOperator, weighted_sum
from qnewton.operators.wrapped import WrappedOperator

__all__ = [
    "DenseFactor",
    "DenseOperator",
    "Factor",
    "KhatriRaoFactor",
    "LinearSystem",
    "LowRankOperator",
    "MatrixFreeOperator",
    "NegatedOperator",
    "RangedOperator",
    "SparseOperator",
    "StackedFactor",
    "SymmetricOperator",
    "WeightedSumOperator",
    "WrappedOperator",
    "as_operator",
    "weighted_sum",
]
