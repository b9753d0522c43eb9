"""What a symmetric matrix can be, and the linear system around it."""

from qnewton.operators.base import SymmetricOperator, WrappedOperator
from qnewton.operators.deflated import DeflatedOperator
from qnewton.operators.dense import DenseOperator, OwnedOperator, as_operator
from qnewton.operators.eigenbasis import EigenbasisOperator
from qnewton.operators.factor import DenseFactor, Factor, StackedFactor
from qnewton.operators.khatri_rao import KhatriRaoFactor
from qnewton.operators.lazy import (
    FormedOnce,
    MatrixFreeOperator,
    NegatedOperator,
    WeightedSumOperator,
    weighted_sum,
)
from qnewton.operators.low_rank import LowRankOperator
from qnewton.operators.scaling import RangedOperator
from qnewton.operators.sparse import SparseOperator
from qnewton.operators.system import LinearSystem

__all__ = [
    "DeflatedOperator",
    "DenseFactor",
    "DenseOperator",
    "EigenbasisOperator",
    "Factor",
    "FormedOnce",
    "KhatriRaoFactor",
    "LinearSystem",
    "LowRankOperator",
    "MatrixFreeOperator",
    "NegatedOperator",
    "OwnedOperator",
    "RangedOperator",
    "SparseOperator",
    "StackedFactor",
    "SymmetricOperator",
    "WeightedSumOperator",
    "WrappedOperator",
    "as_operator",
    "weighted_sum",
]
