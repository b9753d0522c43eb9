"""Model, loss and batch to Newton systems: the exact Hessian, in blocks.

The Hessian of the loss L at parameters θ is H = ∂²L/∂θ². For networks of linear and convolution
layers it has a closed form of derivatives through activations and matrix products (``layered``);
for everything else it comes from double backward (``generic``), if need be of single rows only
(``mixed``). Which one a block uses is decided at every step by comparing one random product
(``probe``), and recorded.
"""

from qnewton.curvature.blocks import Block, Partition, partition
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.curvature import Curvature, Kind, systems
from qnewton.curvature.hessian import HessianOperator

__all__ = [
    "Block",
    "Curvature",
    "Evaluation",
    "HessianOperator",
    "Kind",
    "Partition",
    "partition",
    "systems",
]
