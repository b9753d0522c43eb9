"""Blocks too large to be formed: known from shapes, solved by products, never allocated."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from qnewton import Classical, Damping, Limits, QNewton, Warmup
from qnewton.cost import nominal_calibration
from qnewton.optimizer.block_plan import bytes_text
from qnewton.records import Basis


def wide_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 1))


def closure_of(net: nn.Module):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 6, generator=generator)
    y = x.sum(1, keepdim=True).sin()
    return lambda: mse_loss(net(x), y)


def test_the_plan_lists_every_block_from_shapes_alone():
    optimizer = QNewton(wide_net(), blocks="layer", limits=Limits(max_dense=100))
    assert [(p.name, p.n, p.formed, p.dense_bytes) for p in optimizer.plan] == [
        ("0", 280, False, 4 * 280**2),
        ("2", 41, True, 4 * 41**2),
    ]


@pytest.mark.parametrize("curvature", ["hessian", "ggn", "fisher"])
def test_a_block_solved_by_products_takes_the_same_step(curvature):
    formed, free = wide_net(), wide_net()
    for net, limit in ((formed, 20_000), (free, 0)):
        optimizer = QNewton(net, curvature=curvature, damping=1.0, limits=Limits(max_dense=limit))
        optimizer.step(closure_of(net))
        solvers = {block.solver for block in optimizer.records[-1].blocks}
        # A factor is solved as it is, whatever may be formed.
        assert limit > 0 or solvers <= {"cg", "woodbury"}
        assert all(block.first_order is None for block in optimizer.records[-1].blocks)
    for one, other in zip(formed.parameters(), free.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_block_that_products_cannot_solve_descends_and_says_so():
    # A concave direction in one block: CG refuses it; the other block keeps its Newton step.
    saddle = nn.Parameter(torch.tensor([1.0, 1.0]))
    bowl = nn.Parameter(torch.tensor([3.0]))

    def closure():
        return saddle[0] ** 2 - 2 * saddle[1] ** 2 + 5 * (bowl - 1).square().sum()

    optimizer = QNewton(
        [saddle, bowl], damping=0.0, limits=Limits(max_dense=1), warmup=Warmup(first_order_lr=0.1)
    )
    optimizer.step(closure)
    first, second = optimizer.records[-1].blocks
    assert first.first_order is not None
    assert "not positive definite" in first.first_order
    assert saddle.tolist() == pytest.approx([1 - 0.1 * 2, 1 + 0.1 * 4])
    assert second.first_order is None
    assert bowl.item() == pytest.approx(1.0)
    assert optimizer.records[-1].skipped is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"prune": 3}, "prune=3 needs its entries"),
        ({"damping": Damping(1.0, scale="max-abs")}, "damping_scale='max-abs' needs its entries"),
        ({"policy": "classical-only"}, "policy='classical-only' needs its entries"),
    ],
)
def test_what_reads_entries_is_refused_before_anything_is_allocated(settings, says):
    with pytest.raises(ValueError, match=says) as caught:
        QNewton(nn.Linear(3000, 1000), **settings)
    assert "N = 3,001,000 unknowns" in str(caught.value)
    assert "a matrix of 36 TB" in str(caught.value)


@pytest.mark.slow
def test_ten_million_parameters_allocate_no_dense_block():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1000, 3000), nn.ReLU(), nn.Linear(3000, 2300), nn.ReLU())
    net.append(nn.Linear(2300, 10))
    assert sum(p.numel() for p in net.parameters()) > 9.9e6
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16, 1000, generator=generator)
    y = torch.randint(0, 10, (16,), generator=generator)
    optimizer = QNewton(net)
    assert not any(plan.formed for plan in optimizer.plan)
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss = optimizer.step(lambda: nn.functional.cross_entropy(net(x), y))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # Ten million float32 are 40 MB; the smallest block alone would take 2.1 GB as a matrix.
    assert grown < 1_000_000  # kB
    assert optimizer.records[-1].skipped is None
    with torch.no_grad():
        assert nn.functional.cross_entropy(net(x), y) < loss


def test_sizes_in_words():
    assert [bytes_text(n) for n in (0, 999, 1000, 10**18)] == ["0 B", "999 B", "1 kB", "1e+03 PB"]


@pytest.mark.parametrize(
    "treated", [{"prune": 0.9, "damping": 1.0}, {"damping": Damping(1.0, scale="max-abs")}]
)
def test_a_block_that_has_to_be_formed_gets_tries_and_learns_from_them_too(treated):
    net = wide_net()
    # Slow factorisations, so that a try of CG can afford some products.
    slow = nominal_calibration()
    fits = tuple(
        replace(fit, seconds_per_unit=1e3 * fit.seconds_per_unit)
        if fit.kernel in ("lu", "lu_inverse", "cholesky", "ldl")
        else fit
        for fit in slow.fits
    )
    optimizer = QNewton(
        net, curvature="ggn", classical=Classical(calibration=replace(slow, fits=fits)), **treated
    )
    closure = closure_of(net)
    optimizer.step(closure)
    (first, *_) = optimizer.records[-1].blocks
    assert first.facts.held.KIND in ("formed", "sparse")
    quote = first.decision.quote("cg") or first.decision.quote("sparse_cg")
    assert quote is not None
    assert quote.basis is Basis.TRIAL
    optimizer.step(closure)
    (second, *_) = optimizer.records[-1].blocks
    assert second.facts.earlier is not None
    assert second.facts.earlier.cg.products == first.attempts[0].products
    again = second.decision.quote(first.attempts[0].solver)
    assert again is not None
    assert again.products == first.attempts[0].products
    assert again.basis is Basis.FACTS
