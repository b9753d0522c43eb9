"""The work of a pass, counted from its graph."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from qnewton.cost.kernels import OPERATIONS_A_CALL, ROWS_A_CALL
from qnewton.curvature import Curvature
from qnewton.curvature.generic import CHUNK, GradientGraph
from qnewton.curvature.routes import graph_work


class Physics(nn.Module):
    """A loss that differentiates the network twice."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh())
        self.last = nn.Linear(9, 1)

    def forward(self, x):
        x = x.clone().requires_grad_()
        u = self.last(self.net(x))
        [slope] = torch.autograd.grad(u.sum(), x, create_graph=True)
        [bend] = torch.autograd.grad(slope.sum(), x, create_graph=True)
        return bend + u


MODELS = {
    "dense": lambda: (nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3)), (7, 5)),
    "convolution": lambda: (
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 2)),
        (7, 2, 6, 6),
    ),
    "transposed": lambda: (
        nn.Sequential(nn.Linear(8, 8), nn.Unflatten(1, (2, 4)), nn.ConvTranspose1d(2, 3, 3)),
        (7, 8),
    ),
    "physics": lambda: (Physics(), (7, 2)),
    "attention": lambda: (nn.MultiheadAttention(6, 2), (5, 7, 6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_pass_counts_what_pytorch_counts(name):
    torch.manual_seed(0)
    net, shape = MODELS[name]()
    x = torch.randn(shape)

    def loss():
        if name == "attention":
            return net(x, x, x)[0].square().mean()
        return net(x).square().mean()

    root = loss()
    parameters = list(net.parameters())
    product = GradientGraph(root, parameters)
    vector = torch.ones(1, sum(p.numel() for p in parameters))
    product.products(parameters, vector)
    with FlopCounterMode(display=False) as flops:
        product.products(parameters, vector)
    counted = GradientGraph.passes * graph_work(root).flops
    # Products with a constant are not differentiated both ways.
    assert flops.get_total_flops() <= counted <= 2 * flops.get_total_flops()


def test_a_recurrent_network_counts_every_step_of_a_sequence():
    cell = nn.GRU(8, 16, batch_first=True)
    flops = graph_work(cell(torch.ones(64, 12, 8))[0].sum()).flops
    assert flops == 6 * 64 * 12 * 3 * 16 * (8 + 16)


def test_the_structure_tells_operations_apart_and_not_shapes():
    def structure(activation, samples):
        net = nn.Sequential(nn.Linear(3, 4), activation)
        return graph_work(net(torch.ones(samples, 3)).sum()).structure

    assert structure(nn.Tanh(), 5) == structure(nn.Tanh(), 9)
    assert structure(nn.Tanh(), 5) != structure(nn.Sigmoid(), 5)


def test_the_constants_of_prices_are_those_of_the_curvature():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 10))
    evaluation = Curvature(net, blocks="full").evaluate(
        lambda: net(torch.ones(8, 4)).square().mean()
    )
    assert evaluation.work is not None
    assert evaluation.work.operations == OPERATIONS_A_CALL
    assert CHUNK == ROWS_A_CALL
