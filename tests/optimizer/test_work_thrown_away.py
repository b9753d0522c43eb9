"""Nothing that was rejected is computed twice, and the cheapest route is the one taken."""

import copy
import io
import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from qnewton import Limits, QNewton
from qnewton.curvature import autograd
from qnewton.curvature.fisher import OnePassFisher
from qnewton.records import StepRecord

SAMPLES, CLASSES = 64, 10
USERS = ("layers", "generic", "output_loss", "columns", "directions", "autograd")


@pytest.fixture
def passes(monkeypatch) -> Counter[str]:
    """Count the backward passes of each module of the curvature, one for every cotangent."""
    counted: Counter[str] = Counter()
    batched_grad = autograd.batched_grad

    def counting(user: str):
        def count(outputs, inputs, cotangents):
            counted[user] += len(cotangents[0])
            return batched_grad(outputs, inputs, cotangents)

        return count

    for user in USERS:
        monkeypatch.setattr(f"qnewton.curvature.{user}.batched_grad", counting(user))
    return counted


def convolutional(normalised: bool = True) -> nn.Module:
    torch.manual_seed(0)
    between = [nn.BatchNorm2d(8)] if normalised else []
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        *between,
        nn.Tanh(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(128, CLASSES),
    )


def classification(net: nn.Module, *shape: int) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, *shape, generator=generator)
    labels = torch.randint(0, CLASSES, (SAMPLES,), generator=generator)
    return lambda: cross_entropy(net(inputs), labels)


def last(optimizer: QNewton) -> StepRecord:
    return optimizer.records[-1]


def products_of(record: StepRecord) -> int:
    return sum(attempt.products for block in record.blocks for attempt in block.attempts)


@pytest.mark.slow
@pytest.mark.parametrize("curvature", ["ggn", "hessian"])
@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_batch_norm_takes_no_backward_pass_a_sample_and_class(passes, curvature, blocks):
    net = convolutional()
    closure = classification(net, 1, 8, 8)
    optimizer = QNewton(net, curvature=curvature, blocks=blocks)
    for _ in range(3):
        passes.clear()
        optimizer.step(closure)
        # 640 for the columns of the factor, and 1,000 or more for the entries, before.
        assert passes.total() < 300
    assert last(optimizer).skipped is None


def test_a_small_normalised_layer_is_still_formed_where_that_is_cheaper(passes):
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Tanh(), nn.Linear(2, 1)).double()
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).double()
    optimizer = QNewton(net, curvature="ggn", damping=1e-3, blocks="full")
    optimizer.step(lambda: mse_loss(net(x), x[:, :1].sin()))
    assert last(optimizer).blocks[0].solver in ("cholesky", "lu", "lu_inverse")
    assert passes["generic"] + passes["autograd"] < 100


def test_samples_that_interact_are_found_once(passes):
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16, affine=False), nn.Linear(16, CLASSES))
    closure = classification(net, 8)
    optimizer = QNewton(net, curvature="ggn", damping=1.0, blocks="full")
    reasons = []
    for _ in range(3):
        passes.clear()
        optimizer.step(closure)
        reasons.append(last(optimizer).blocks[0].curvature.reason)
        assert last(optimizer).blocks[0].curvature.route == "generic"
    assert "is off by" in reasons[0]
    assert "as step 0 found" in reasons[1]
    # No signal of any layer, and no comparison, is computed again.
    assert passes["columns"] == 0


def test_a_closed_form_that_does_not_hold_is_not_computed_again(passes):
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16, affine=False), nn.Linear(16, CLASSES))
    optimizer = QNewton(net, damping=1.0, blocks="full")
    closure = classification(net, 8)
    optimizer.step(closure)
    assert passes["layers"] > 0
    passes.clear()
    optimizer.step(closure)
    assert passes["layers"] == 0
    assert "as step 0 found" in last(optimizer).blocks[0].curvature.reason


def test_columns_of_the_fisher_that_do_not_hold_are_not_made_again(passes, monkeypatch):
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16, affine=False), nn.Linear(16, CLASSES))
    optimizer = QNewton(net, curvature="fisher", damping=1.0, blocks="full")
    closure = classification(net, 8)
    looked = []
    verdict = OnePassFisher._verdict
    monkeypatch.setattr(OnePassFisher, "_verdict", lambda *a: looked.append(0) or verdict(*a))
    for _ in range(3):
        passes.clear()
        optimizer.step(closure)
        assert passes["generic"] == SAMPLES
        assert last(optimizer).blocks[0].curvature.route == "generic"
    assert len(looked) == 1


def test_a_rejection_holds_for_its_graph_alone(passes):
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16, affine=False), nn.Linear(16, CLASSES))
    closure = classification(net, 8)
    optimizer = QNewton(net, curvature="ggn", damping=1.0, blocks="full")
    optimizer.step(closure)
    normalised = net[1]
    net[1] = nn.Tanh()  # samples no longer interact
    optimizer.step(closure)
    assert last(optimizer).blocks[0].curvature.route != "generic"
    net[1] = normalised
    passes.clear()
    optimizer.step(closure)
    assert passes["columns"] == 0


def test_what_was_rejected_survives_a_checkpoint_and_older_ones_load():
    def run(net, state=None, steps=2):
        optimizer = QNewton(net, curvature="ggn")
        if state is not None:
            optimizer.load_state_dict(torch.load(state, weights_only=True))
        for _ in range(steps):
            optimizer.step(classification(net, 1, 8, 8))
        return optimizer

    whole, cut = convolutional(), convolutional()
    one = run(whole, steps=4)
    buffer = io.BytesIO()
    torch.save(run(cut).state_dict(), buffer)
    other = copy.deepcopy(cut)
    buffer.seek(0)
    two = run(cut, buffer)
    for before, after in zip(list(one.records)[2:], two.records, strict=True):
        assert before.blocks[0].curvature == after.blocks[0].curvature
        assert before.blocks[0].decision == after.blocks[0].decision
    assert all(map(torch.equal, whole.parameters(), cut.parameters()))
    # What an older version did not write is found out again.
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    for numbers in state["state"].values():
        for name in [name for name in numbers if ".rejected." in name]:
            del numbers[name]
    old = io.BytesIO()
    torch.save(state, old)
    old.seek(0)
    assert last(run(other, old)).skipped is None


class Viscous(nn.Module):
    """A network for u and a coefficient that no layer owns."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Linear(2, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1)]
        self.u = nn.Sequential(*layers)
        self.viscosity = nn.Parameter(torch.tensor([0.1]))


def burgers(net: Viscous) -> Callable[[], Tensor]:
    points = torch.rand(60, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss() -> Tensor:
        p = points.clone().requires_grad_()
        u = net.u(p)
        [slope] = torch.autograd.grad(u.sum(), p, create_graph=True)
        [bend] = torch.autograd.grad(slope[:, 0].sum(), p, create_graph=True)
        residual = slope[:, 1] + u[:, 0] * slope[:, 0] - net.viscosity * bend[:, 0]
        return residual.square().mean() + (net.u(points)[:, 0] - points[:, 0].sin()).square().mean()

    return loss


def test_a_parameter_outside_layers_does_not_have_the_matrix_formed(passes):
    net = Viscous().double()
    unknowns = sum(p.numel() for p in net.parameters())
    optimizer = QNewton(net, limits=Limits(budget=math.inf))
    for _ in range(4):
        passes.clear()
        optimizer.step(burgers(net))
        record = last(optimizer)
        assert record.forward_backward_flops is not None
        assert passes["generic"] < unknowns / 4
        [block] = record.blocks
        prices = {quote.solver: quote.seconds for quote in block.decision.quotes}
        forming = prices["cholesky"]
        assert forming is not None
        if block.solver == "cg":
            products = prices["cg"]
            assert products is not None
            assert products < forming


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell = nn.GRU(4, 12, batch_first=True)
        self.out = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x)[0][:, -1])


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.queries, self.keys = nn.Linear(4, 8), nn.Linear(4, 8)
        self.scale = nn.LayerNorm(4)
        self.out = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.scale(x)
        weights = (self.queries(x) @ self.keys(x).mT).softmax(2)
        return self.out((weights @ x).mean(1))


@pytest.mark.parametrize("model", [Recurrent, Attentive])
@pytest.mark.parametrize("curvature", ["hessian", "ggn"])
def test_routes_of_models_beyond_layers_have_a_price_and_the_cheapest_is_taken(
    passes, model, curvature
):
    net = model()
    optimizer = QNewton(net, curvature=curvature)
    closure = classification(net, 6, 4)
    for _ in range(3):
        passes.clear()
        optimizer.step(closure)
        for block in last(optimizer).blocks:
            assert block.curvature.forming_flops is not None
            priced = [(q.seconds, q.solver) for q in block.decision.quotes if q.seconds is not None]
            assert block.decision.chosen == min(priced)[1]
        assert passes.total() < SAMPLES * (CLASSES - 1)


def test_a_factor_of_few_columns_is_made_although_each_takes_a_pass(passes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 30), nn.LayerNorm(30), nn.Linear(30, 1))
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    optimizer = QNewton(net, curvature="ggn", damping=1e-2, blocks="full")
    optimizer.step(lambda: mse_loss(net(x), x[:, :1].sin()))
    assert last(optimizer).blocks[0].curvature.route == "sample-space"


def test_policies_that_form_take_columns_rather_than_rows(passes):
    net = Recurrent()
    optimizer = QNewton(net, curvature="ggn", blocks="full", damping=1.0, policy="classical-only")
    optimizer.step(classification(net, 6, 4))
    # 576 columns are fewer than 898 rows.
    assert last(optimizer).blocks[0].curvature.route == "sample-space"
