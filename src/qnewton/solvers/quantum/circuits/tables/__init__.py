"""Block-encodings of Clifford and Toffoli gates, whose data are read from tables."""

from qnewton.solvers.quantum.circuits.tables.dense import dense_by_tables
from qnewton.solvers.quantum.circuits.tables.eigenbasis import eigenbasis_by_tables
from qnewton.solvers.quantum.circuits.tables.encoding import TableEncoding
from qnewton.solvers.quantum.circuits.tables.kronecker import kronecker_product
from qnewton.solvers.quantum.circuits.tables.low_rank import low_rank_by_tables
from qnewton.solvers.quantum.circuits.tables.preparation import tabled_state
from qnewton.solvers.quantum.circuits.tables.sparse import sparse_by_tables

__all__ = ["TableEncoding", "dense_by_tables", "eigenbasis_by_tables", "kronecker_product"]
__all__ += ["low_rank_by_tables", "sparse_by_tables", "tabled_state"]
