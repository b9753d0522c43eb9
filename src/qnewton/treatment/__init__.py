"""What is done to a curvature before it is solved: A = prune(H + λI)."""

from qnewton.treatment.damping import DampedOperator, damp
from qnewton.treatment.entries import largest_entry, mass_sparsity, row_blocks
from qnewton.treatment.pruning import prune

__all__ = ["DampedOperator", "damp", "largest_entry", "mass_sparsity", "prune", "row_blocks"]
