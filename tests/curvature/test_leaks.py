"""Steps leave nothing behind, by reference counting alone: no tensor, no graph, no memory."""

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton import Classical, QNewton
from qnewton.cost import nominal_calibration
from qnewton.curvature import Curvature
from qnewton.operators import LowRankOperator

every_kind = pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])


class Marker(torch.autograd.Function):
    """The square, with a node that Python can see: as many are alive as graphs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * gradients[0]


class Marked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Marker.apply(x)


def make(network: str, samples: int):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    # Layer normalisation sends its block, and samples few or many the others, down every route.
    between = [nn.LayerNorm(5)] if network == "normalised" else []
    net = nn.Sequential(nn.Linear(6, 5), *between, nn.Tanh(), Marked(), nn.Linear(5, 3))
    x = torch.randn(samples, 6, generator=generator)
    y = torch.randint(0, 3, (samples,), generator=generator)

    def closure() -> Tensor:
        net.zero_grad()
        loss = cross_entropy(net(x), y)
        loss.backward()
        return loss

    return net, closure


def alive() -> tuple[int, int]:
    """Return how many tensors and how many graphs are alive."""
    kinds = [type(thing) for thing in gc.get_objects()]
    return (
        sum(issubclass(kind, Tensor) for kind in kinds),
        sum(issubclass(kind, torch.autograd.function.BackwardCFunction) for kind in kinds),
    )


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("network", ["linear", "normalised"])
@pytest.mark.parametrize("samples", [3, 40])
def test_steps_leave_no_tensor_and_no_graph(kind, network, samples):
    net, closure = make(network, samples)
    optimizer = QNewton(
        net, curvature=kind, damping=10.0, classical=Classical(calibration=nominal_calibration())
    )
    for _ in range(3):
        optimizer.step(closure)
    gc.collect()
    gc.disable()  # cycles would pile up between collections
    try:
        before = alive()
        for _ in range(10):
            optimizer.step(closure)
        assert alive() == before
    finally:
        gc.enable()
    assert all(record.skipped is None for record in optimizer.records)


def test_a_graph_kept_is_seen():
    _, closure = make("linear", 3)
    before = alive()[1]
    kept = [closure() for _ in range(4)]
    assert alive()[1] == before + len(kept)


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_a_low_rank_operator_keeps_no_graph(kind):
    net, closure = make("linear", 3)
    before = alive()[1]
    curvature = Curvature(net, kind, "full")
    evaluation = curvature.evaluate(closure)
    [system] = curvature.systems(evaluation)
    assert isinstance(system.operator, LowRankOperator)
    assert alive()[1] == before + 1
    evaluation.release()
    assert alive()[1] == before
    assert system.operator.dense().any()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@every_kind
def test_a_thousand_evaluations_take_no_memory(kind):
    """Activations and factors are over 100 kB at each, 100 MB if all were kept."""
    net, closure = make("linear", 1000)
    curvature = Curvature(net, kind)

    def look() -> None:
        for system in curvature.systems(curvature.evaluate(closure)):
            assert torch.isfinite(system.operator @ system.rhs).all()
            system.operator.dense()

    for _ in range(50):
        look()
    gc.collect()
    before, resident = alive(), resident_bytes()
    for _ in range(1000):
        look()
    gc.collect()
    assert alive() == before
    assert resident_bytes() - resident < 30e6
