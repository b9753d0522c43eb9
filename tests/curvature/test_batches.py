"""What an evaluation counts: batches, micro-batches and operations."""

import pytest
import torch
from torch import nn

from qnewton.curvature import Curvature, systems
from tests.cases import classification, mlp


def test_batch_and_flops_come_from_convolutions_too():
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 2)).double()
    x, y = classification(8, 4, 2)
    evaluation = Curvature(net).evaluate(lambda: nn.functional.cross_entropy(net(x[:, None]), y))
    assert evaluation.batch == 8
    assert evaluation.forward_backward_flops == 6 * 8 * (2 * 2 * 3 + 4 * 2)


def test_work_is_counted_from_the_graph_where_layers_do_not_tell_it():
    net = nn.Sequential(nn.ConvTranspose1d(1, 2, 2), nn.Flatten(), nn.Linear(10, 2)).double()
    x, y = classification(8, 4, 2)
    evaluation = Curvature(net).evaluate(lambda: nn.functional.cross_entropy(net(x[:, None]), y))
    assert evaluation.batch == 8
    # A transposed convolution spreads each of its outputs' places, an upper bound where its input
    # is a constant.
    assert evaluation.forward_backward_flops == 6 * 8 * (2 * 5 * 2 * 2 + 10 * 2)
    free = nn.Parameter(torch.ones(2))
    evaluation = Curvature([free], blocks="tensor").evaluate(lambda: (free**2).sum())
    assert (evaluation.batch, evaluation.forward_backward_flops) == (None, 0.0)
    assert evaluation.work is not None
    assert evaluation.work.operations == 3  # a power, a sum, and the copy that is differentiated


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
def test_micro_batches_of_one_closure_are_one_batch(kind):
    net = mlp((4, 3, 2)).double()
    x, y = classification(9, 4, 2)
    x = x.double()

    def whole():
        return nn.functional.cross_entropy(net(x), y)

    def looped():
        net.zero_grad()
        total = 0.0
        for a, b in zip(x.split([2, 7]), y.split([2, 7]), strict=True):
            loss = nn.functional.cross_entropy(net(a), b) * (len(a) / len(x))
            loss.backward()
            total += loss.item()
        return total

    curvature = Curvature(net, kind, blocks="full")
    for _ in range(2):  # the second time no signals are recorded in vain
        [system] = curvature.systems(curvature.evaluate(looped))
        [expected] = systems(net, whole, kind, blocks="full")
        torch.testing.assert_close(system.operator.dense(), expected.operator.dense())
        torch.testing.assert_close(system.rhs, expected.rhs)
        assert system.curvature is not None
        assert system.curvature.batch in (9, None)
