"""Near a loss of 0, in float32, rounding is not taken for samples that interact."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import Curvature, RouteMemory
from qnewton.curvature.blocks import Partition
from qnewton.curvature.curvature import Kind
from qnewton.operators import LinearSystem


def fitted(sharpness: float) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a network that is the surer of its labels, the larger ``sharpness`` is."""
    torch.manual_seed(0)
    labels = torch.arange(60) % 4
    x = torch.eye(4)[labels] + 0.05 * torch.randn(60, 4)
    first, last = nn.Linear(4, 8), nn.Linear(8, 4)
    with torch.no_grad():
        first.weight.copy_(torch.eye(4).repeat(2, 1))
        last.weight.copy_(sharpness * torch.eye(4).repeat(1, 2))
    return nn.Sequential(first, nn.Tanh(), last), x, labels


def reasons(kind: Kind, memory: RouteMemory, blocks: Partition = "full") -> list[str]:
    """Return routes and their reasons of a run that ends in rounding."""
    found = []
    for sharpness in (0.1, 1.0, 4.0, 8.0, 10.0, 12.0):
        net, x, labels = fitted(sharpness)
        curvature = Curvature(net, kind, blocks)
        evaluation = curvature.evaluate(
            lambda net=net, x=x, labels=labels: cross_entropy(net(x), labels)
        )
        systems: list[LinearSystem] = curvature.systems(evaluation, memory=memory)
        for system in systems:
            assert system.curvature is not None
            found.append(f"{system.curvature.route}: {system.curvature.reason}")
    assert evaluation.loss < 1e-7
    return found


@pytest.mark.parametrize("blocks", ["full", "layer"])
@pytest.mark.parametrize("kind", ["ggn", "hessian", "fisher"])
def test_what_agreed_before_is_not_diagnosed_by_rounding(kind: Kind, blocks: Partition) -> None:
    for reason in reasons(kind, RouteMemory({}), blocks):
        assert "generic" not in reason
        assert "not block diagonal" not in reason
        assert "samples interact" not in reason.replace("no samples interact", "")
        assert "negative eigenvalues" not in reason


def test_samples_that_interact_are_found_as_before() -> None:
    memory = RouteMemory({})
    reasons("ggn", memory)
    net, x, labels = fitted(4.0)
    curvature = Curvature(net, "ggn", "full")

    def coupled() -> Tensor:
        output = net(x)
        return cross_entropy(output, labels) + 1e-3 * output.mean(0).square().sum()

    evaluation = curvature.evaluate(coupled)
    [system] = curvature.systems(evaluation, memory=memory)
    assert system.curvature is not None
    assert "not block diagonal" in system.curvature.reason
