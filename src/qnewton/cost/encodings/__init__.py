"""Block-encodings: what one call of U_A or U_b costs, for every form that A may be held in."""

from qnewton.cost.encodings.dense import DenseEncoding
from qnewton.cost.encodings.eigenbasis import EigenbasisEncoding
from qnewton.cost.encodings.encoding import Encoding, value_bits
from qnewton.cost.encodings.fitting import encodings
from qnewton.cost.encodings.gates import ROTATION_T, LogicalGates, rotation_t_gates
from qnewton.cost.encodings.kronecker import KroneckerEncoding
from qnewton.cost.encodings.low_rank import LowRankEncoding
from qnewton.cost.encodings.preparation import (
    Preparation,
    angle_bits,
    rotation_tree,
    state_preparation,
)
from qnewton.cost.encodings.sparse import SparseEncoding
from qnewton.cost.encodings.tables import Tables, qroam, qroam_uncompute, read

__all__ = ["ROTATION_T", "DenseEncoding", "EigenbasisEncoding", "Encoding", "KroneckerEncoding"]
__all__ += ["LogicalGates", "LowRankEncoding", "Preparation", "SparseEncoding", "Tables"]
__all__ += ["angle_bits", "encodings", "qroam", "qroam_uncompute", "read", "rotation_t_gates"]
__all__ += ["rotation_tree", "state_preparation", "value_bits"]
