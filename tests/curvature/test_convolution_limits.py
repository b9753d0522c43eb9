"""The Hessian of convolutions in lower precision, at the limits of memory, and in its record."""

import gc
import weakref

import pytest
import torch
from torch import nn

from qnewton.curvature import Curvature, systems
from tests.curvature.images import images, record, stack
from tests.oracles import func_hessian

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


def test_a_block_is_formed_without_any_other(monkeypatch):
    """Blocks of layers pair no two layers, whatever route they take."""
    paired = []
    monkeypatch.setattr(
        "qnewton.curvature.directions.LayerRows.fill",
        lambda rows, matrix: paired.append((matrix.shape[0], rows.layer, list(rows.others))),
    )
    net = stack(nn.Tanh, lambda: nn.AvgPool2d(2)).double()
    x, y = images(4, 1, 8, 8)
    found = systems(net, lambda: nn.functional.cross_entropy(net(x), y), blocks="layer")
    for system in found[:2]:
        system.operator.dense()
    assert paired == [(20, 0, []), (27, 1, [])]
    assert found[2].operator._entries is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_steps_leave_no_graph_behind(blocks):
    net = stack(nn.Tanh, lambda: nn.AvgPool2d(2)).double()
    x, y = images(2, 1, 8, 8)
    curvature = Curvature(net, blocks=blocks)

    def step():
        evaluation = curvature.evaluate(lambda: nn.functional.cross_entropy(net(x), y))
        for system in curvature.systems(evaluation):
            system.operator.dense()
        assert evaluation.root is not None
        return weakref.ref(evaluation.root)

    gc.collect()
    gc.disable()  # reference counting alone must do it
    try:
        roots = [step() for _ in range(5)]
        assert sum(root() is not None for root in roots) == 0
    finally:
        gc.enable()


def test_float32_on_images_stays_float32():
    torch.manual_seed(0)
    net = stack(nn.Tanh, lambda: nn.MaxPool2d(2)).double()
    x, y = images(20, 1, 8, 8)
    expected = func_hessian(net, lambda f: nn.functional.cross_entropy(f(x), y))
    net.float()
    [system] = systems(net, lambda: nn.functional.cross_entropy(net(x.float()), y), blocks="full")
    found = system.operator.dense()
    assert found.dtype == torch.float32
    assert record(system).route == "closed-form"
    assert torch.equal(found, found.mT)
    # Float32 rounding of sums over 20 samples and 36 positions, relative to the largest entry.
    assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


def test_what_is_too_large_to_hold_takes_the_generic_route(monkeypatch):
    monkeypatch.setattr("qnewton.curvature.hessian._MAX_ENTRIES", 10)
    net = stack(nn.Tanh, lambda: nn.AvgPool2d(2)).double()
    x, y = images(2, 1, 8, 8)
    [system] = systems(net, lambda: nn.functional.cross_entropy(net(x), y), blocks="full")
    assert record(system).route == "generic"
    assert "limit 10" in record(system).reason


def test_the_record_counts_products_and_passes():
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = images(5, 1, 6)
    first, last = systems(net, lambda: nn.functional.cross_entropy(net(x), y), blocks="layer")
    # 8 directions: half of 2·n·T·in·out for the own block, and 4·n·in·out in the later layer.
    assert record(first).forming_flops == 8 * (5 * 4 * 3 * 2 + 4 * 5 * 8 * 3)
    assert record(last).forming_flops == 2 * 5 * 8**2 * 6 + 5 * 3**2
    assert record(first).batch == 5
