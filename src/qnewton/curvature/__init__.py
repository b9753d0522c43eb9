"""Model, loss and batch to Newton systems: Hessian, Gauss-Newton or Fisher, in blocks.

With L the loss, θ the parameters, f the model's output and J = ∂f/∂θ:

* ``hessian``: H = ∂²L/∂θ²;
* ``ggn``: G = Jᵀ (∂²L/∂f²) J, what is left of H when the network is linearised;
* ``fisher``: F = (1/n) Σ g_i g_iᵀ, with g_i the gradient of one sample's loss, n those counted.

Networks of linear and convolution layers have closed forms of derivatives through activations
and matrix products (``layered``); everything else comes from automatic differentiation
(``generic``), if need be of single rows only. Which route a block takes is decided
at every step by comparing one random product (``routes``), and recorded; routes that were rejected
are remembered.
"""

from qnewton.curvature.autograd import twice_differentiable
from qnewton.curvature.blocks import Block, BlockLimits, Partition, partition, pieces_of
from qnewton.curvature.curvature import Curvature, Kind, systems
from qnewton.curvature.evaluation import Evaluation, evaluate_plainly, loss_value
from qnewton.curvature.generic import HessianOperator
from qnewton.curvature.parts import together
from qnewton.curvature.random_state import RandomState
from qnewton.curvature.rerun import (
    NUMERICAL,
    KeptBuffer,
    Repeatable,
    Reruns,
    SeenBuffers,
    lent,
    summing,
)
from qnewton.curvature.residual_change import ResidualChange
from qnewton.curvature.residuals import Residuals, count_squares, with_loss
from qnewton.curvature.routes import RouteMemory, graph_size
from qnewton.curvature.sample_mean import Reduction

__all__ = [
    "NUMERICAL",
    "Block",
    "BlockLimits",
    "Curvature",
    "Evaluation",
    "HessianOperator",
    "KeptBuffer",
    "Kind",
    "Partition",
    "RandomState",
    "Reduction",
    "Repeatable",
    "Reruns",
    "ResidualChange",
    "Residuals",
    "RouteMemory",
    "SeenBuffers",
    "count_squares",
    "evaluate_plainly",
    "graph_size",
    "lent",
    "loss_value",
    "partition",
    "pieces_of",
    "summing",
    "systems",
    "together",
    "twice_differentiable",
    "with_loss",
]
