"""Trainings that must not depend on over how many processes their batch is spread.

Run as a process, it saves the parameters of its model after each scenario to ``FOLDER/RANK.pt``;
imported, :func:`run_all` gives those of one process with the whole batch.

    python scenarios.py FOLDER RANK SIZE
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from qnewton import Classical, Damping, QNewton
from qnewton.cost import nominal_calibration
from qnewton.optimizer import Warmup

STEPS = 3


class Share:
    """This process's equal share of 24 samples, and a network that is the same on all."""

    def __init__(self) -> None:
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if spread() else (0, 1)
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(24, 4, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 3, (24,), generator=generator)
        self.whole = x, y
        self.x, self.y = x.chunk(self.size)[self.rank], y.chunk(self.size)[self.rank]
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()

    def wrapped(self) -> nn.Module:
        return DistributedDataParallel(self.net) if spread() else self.net

    def loss(self, model: Callable[[Tensor], Tensor]) -> Tensor:
        return nn.functional.cross_entropy(model(self.x), self.y)


def spread() -> bool:
    return dist.is_available() and dist.is_initialized()


def build(params: Any, **settings: Any) -> QNewton:
    settings = {"damping": 1.0, **settings}
    return QNewton(params, classical=Classical(calibration=nominal_calibration()), **settings)


def returned_loss(share: Share) -> None:
    """No wrapper: nobody else averages the gradient."""
    optimizer = build(share.net, blocks="full")
    for _ in range(STEPS):
        optimizer.step(lambda: share.loss(share.net))


def wrapped_backward(share: Share) -> None:
    """DistributedDataParallel has averaged the gradient before QNewton does."""
    model = share.wrapped()
    optimizer = build(model, blocks="full")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = share.loss(model)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)


def generic_route(share: Share) -> None:
    """Parameters alone, with settings by group."""
    first, last = share.net[0], share.net[2]
    optimizer = build(
        [{"params": first.parameters(), "damping": 2.0}, {"params": last.parameters(), "prune": 4}]
    )
    for _ in range(STEPS):
        optimizer.step(lambda: share.loss(share.net))


def surveyed(share: Share) -> None:
    """The end of the warm-up and the solver hang on what is measured of the averaged system."""
    warmup = Warmup(mode="auto", survey_every=1, budget_seconds=1e9)
    optimizer = build(share.net, policy="paper", quantum="attosecond", warmup=warmup)
    for _ in range(STEPS):
        optimizer.step(lambda: share.loss(share.net))
    assert [record.phase for record in optimizer.records] == ["first-order", "newton", "newton"]


def attached(share: Share) -> None:
    """A loop without closures, around the wrapper."""

    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = share.net

        def forward(self) -> dict[str, Tensor]:
            return {"loss": share.loss(self.net)}

    inner = WithLoss()
    model = DistributedDataParallel(inner) if spread() else inner
    optimizer = build(inner)
    optimizer.attach(inner, lambda output: output["loss"])
    for _ in range(STEPS):
        optimizer.zero_grad()
        model()["loss"].backward()
        optimizer.step()


def self_damped(share: Share) -> None:
    """Every replica tries the same lengths and judges them by the mean loss."""
    model = share.wrapped()
    optimizer = build(model, damping="auto", lr=1.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = share.loss(model)
        loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
    assert [record.skipped for record in optimizer.records] == [None] * STEPS


def with_momentum(share: Share) -> None:
    """The last step is carried over on the mean of the matrices."""
    optimizer = build(share.net, damping=Damping(momentum=0.5), curvature="ggn")
    for _ in range(STEPS):
        optimizer.step(lambda: share.loss(share.net))
    note = "around the last step"
    assert [note in record.blocks[0].curvature.reason for record in optimizer.records] == [
        False,
        True,
        True,
    ]


def not_finite_on_one(share: Share) -> None:
    """One share's loss is not a number: every process skips the step, and all go on."""
    optimizer = build(share.net)
    for step in range(STEPS):
        spoiled = step == 1 and share.rank == share.size - 1
        optimizer.step(
            lambda spoiled=spoiled: share.loss(share.net) * (float("nan") if spoiled else 1.0)
        )
    assert [record.skipped is None for record in optimizer.records] == [True, False, True]


def reached_on_one(share: Share) -> None:
    """Only the second half's loss depends on the network."""
    optimizer = build(share.net)
    constant = torch.zeros((), dtype=torch.float64, requires_grad=True)
    half = slice(12, 24) if share.size == 1 else slice(0, 12)

    def closure() -> Tensor:
        if share.rank < share.size - 1:
            return 1.0 * constant
        loss = nn.functional.cross_entropy(share.net(share.x[half]), share.y[half])
        return loss / 2 if share.size == 1 else loss

    for _ in range(STEPS):
        optimizer.step(closure)


def in_a_group_of_its_own(share: Share) -> None:
    """Every process has the whole batch and averages with none."""
    groups = [dist.new_group([rank]) for rank in range(share.size)] if spread() else [None]
    own = groups[share.rank]
    assert not isinstance(own, int)
    optimizer = build(share.net, process_group=own)
    share.x, share.y = share.whole
    for _ in range(STEPS):
        optimizer.step(lambda: share.loss(share.net))


def accumulated(share: Share) -> None:
    """Two micro-batches of unequal size, reduced once; the model returns no loss."""
    model = share.wrapped()
    optimizer = build(share.net, damping="auto", blocks="full")

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(x), y)

    watched = optimizer.repeatable(loss_of)
    cuts = [len(share.x) // 3, len(share.x) - len(share.x) // 3]
    parts = list(zip(share.x.split(cuts), share.y.split(cuts), strict=True))

    def backward(part: tuple[Tensor, Tensor]) -> Tensor:
        loss = watched(*part) * (len(part[0]) / len(share.x))
        loss.backward()
        return loss

    for step in range(STEPS):
        optimizer.zero_grad()
        with model.no_sync() if isinstance(model, DistributedDataParallel) else ExitStack():
            backward(parts[0])
        if step == 1:
            backward(parts[1])
            optimizer.step()
        else:
            optimizer.step(lambda: backward(parts[1]))
    assert [record.skipped for record in optimizer.records] == [None] * STEPS


def clipped(share: Share) -> None:
    """The right-hand side is clipped, the slope of the loss is not; both are averaged."""
    model = share.wrapped()
    optimizer = build(model, damping="auto", blocks="layer")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = share.loss(model)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)


def fails_on_one(share: Share) -> None:
    """A trial on one process ends in a numerical error: all refuse that length."""
    optimizer = build(share.net, damping="auto", lr=3.0, blocks="full")
    start = nn.utils.parameters_to_vector(share.net.parameters()).detach().clone()
    limit = 0.1

    def closure() -> Tensor:
        moved = nn.utils.parameters_to_vector(share.net.parameters()).detach() - start
        if share.rank == share.size - 1 and float(moved.norm()) > limit:
            raise torch.linalg.LinAlgError("too far")  # pyright: ignore[reportPrivateImportUsage]
        return share.loss(share.net)

    optimizer.step(closure)
    [record] = optimizer.records
    assert record.damping is not None
    assert record.damping.tries > 1
    assert record.skipped is None


class ForgetfulExp(torch.autograd.Function):
    """A right gradient, made of numbers that autograd does not know depend on x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.slope = x.exp().detach()
        return ctx.slope.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad * ctx.slope


def refused_on_one(share: Share) -> None:
    """The last process alone has wrong second derivatives: all refuse, nothing moves; then on."""
    optimizer = build(share.net)

    def closure() -> Tensor:
        f = share.net(share.x)
        if share.rank == share.size - 1:
            f = ForgetfulExp.apply(f)
        assert isinstance(f, Tensor)
        return nn.functional.cross_entropy(f, share.y)

    before = [p.detach().clone() for p in share.net.parameters()]
    says = "ForgetfulExp" if share.rank == share.size - 1 else "another process"
    with pytest.raises(ValueError, match=says):
        optimizer.step(closure)
    assert all(torch.equal(p, b) for p, b in zip(share.net.parameters(), before, strict=True))
    optimizer.step(lambda: share.loss(share.net))


def scalar(share: Share) -> None:
    """A temperature: a parameter without dimensions, beside the others."""
    temperature = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    optimizer = build([*share.net.parameters(), temperature], damping="auto", blocks="tensor")

    def closure() -> Tensor:
        return nn.functional.cross_entropy(share.net(share.x) * temperature.exp(), share.y)

    for _ in range(STEPS):
        optimizer.step(closure)


def with_decay(share: Share) -> None:
    """Where λ sets itself, and in first-order steps before."""
    first_order = Warmup(steps=1, first_order_lr=0.1)
    optimizer = build(share.net, damping="auto", weight_decay=0.1, warmup=first_order)
    for _ in range(STEPS):
        optimizer.step(lambda: share.loss(share.net))


def on_batches(share: Share) -> None:
    """Data that change, so that directions are averaged and the next batch judges the length."""
    optimizer = build(share.net, damping="auto", weight_decay=0.01)
    for step in range(2 * STEPS):
        optimizer.step(lambda s=1.0 + 0.2 * step: share.loss(lambda x: share.net(s * x)))
    assert optimizer.records[-1].averaged is not None


def rounded_on_one(share: Share) -> None:
    """A machine that rounds differently goes on from the first one's averages, now and then."""
    torch.manual_seed(1)
    share.net = nn.Sequential(nn.Linear(4, 50), nn.Tanh(), nn.Linear(50, 3)).double()
    optimizer = build(share.net, damping="auto")
    for step in range(10):
        optimizer.step(lambda s=1.0 + 0.1 * step: share.loss(lambda x: share.net(s * x)))
        for p in share.net.parameters():
            with torch.no_grad():
                p.add_(1e-14 * share.rank if step < 9 else 0.0)
            optimizer.state[p]["mean_square"].mul_(1.0 + 1e-13 * share.rank * (step < 9))
    assert all(record.averaged is not None for record in optimizer.records)


def measured_on_one(share: Share) -> None:
    """No process waits for one whose numbers end a measurement along the step."""
    torch.manual_seed(1)
    share.net = nn.Sequential(nn.Linear(4, 50), nn.Tanh(), nn.Linear(50, 3)).double()
    optimizer, calls = build(share.net, damping="auto"), 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 7 and share.rank == share.size - 1:
            raise FloatingPointError("at the end of the second step")
        return share.loss(lambda x: share.net((1.0 + 0.1 * len(optimizer.records)) * x))

    for _ in range(STEPS):
        optimizer.step(closure)
    assert all(record.averaged is not None for record in optimizer.records)
    assert optimizer.records[-1].step_norm > 0.0


def on_all_data(share: Share) -> None:
    """Averaged steps until the loss of all processes, not of one, came back twice."""
    torch.manual_seed(1)
    share.net = nn.Sequential(nn.Linear(4, 50), nn.Tanh(), nn.Linear(50, 3)).double()
    optimizer = build(share.net, damping="auto")
    for _ in range(STEPS + 1):
        optimizer.step(lambda: share.loss(share.net))
    kinds = [record.averaged is not None for record in optimizer.records]
    assert kinds == [True] * STEPS + [False]


SCENARIOS: tuple[Callable[[Share], None], ...] = (
    returned_loss,
    wrapped_backward,
    generic_route,
    surveyed,
    attached,
    self_damped,
    with_momentum,
    with_decay,
    on_batches,
    rounded_on_one,
    measured_on_one,
    on_all_data,
    not_finite_on_one,
    reached_on_one,
    in_a_group_of_its_own,
    accumulated,
    clipped,
    fails_on_one,
    refused_on_one,
    scalar,
)


def run_all() -> dict[str, Tensor]:
    """Return each scenario's parameters at its end."""
    found = {}
    for scenario in SCENARIOS:
        share = Share()
        scenario(share)
        found[scenario.__name__] = nn.utils.parameters_to_vector(share.net.parameters()).detach()
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, rank, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dist.init_process_group(
        "gloo", init_method=(folder / "store").as_uri(), rank=rank, world_size=size
    )
    torch.save(run_all(), folder / f"{rank}.pt")
    dist.destroy_process_group()
