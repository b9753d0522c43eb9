"""QNewton in the place of another optimizer: groups, freezing, copies, checkpoints, refusals."""

import copy
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from qnewton import Classical, Damping
from qnewton.cost import nominal_calibration
from tests.cases import newton

CLASSICAL = Classical(calibration=nominal_calibration())


class Problem:
    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(seed)
        self.first, self.last = nn.Linear(4, 5, dtype=dtype), nn.Linear(5, 3, dtype=dtype)
        self.net = nn.Sequential(self.first, nn.Tanh(), self.last)
        self.x = torch.randn(20, 4, dtype=dtype)
        self.y = torch.randint(0, 3, (20,))

    def loss(self) -> Tensor:
        return nn.functional.cross_entropy(self.net(self.x), self.y)

    def flat(self) -> Tensor:
        return nn.utils.parameters_to_vector(self.net.parameters()).detach().clone()


def close(found: Tensor, expected: Tensor) -> bool:
    # The same float64 system, of condition below 100, formed and solved in two ways.
    return torch.allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("settings", [{}, {"prune": 6}, {"damping": Damping(3.0, scale="max-abs")}])
@pytest.mark.parametrize("warmup", [0, 1])
def test_maximizing_is_minimizing_the_negative(settings: dict[str, Any], warmup: int) -> None:
    up, down = Problem(), Problem()
    chosen = {"damping": 3.0, "warmup": warmup} | settings
    climber = newton(up.net, maximize=True, **chosen)
    descender = newton(down.net, **chosen)
    for _ in range(2):
        climber.step(up.loss)
        descender.step(lambda: -down.loss())
        # Negation rounds nothing, so the two agree to the bit.
        assert torch.equal(up.flat(), down.flat())
        above, below = climber.records[-1], descender.records[-1]
        assert above.loss == -below.loss
        assert above.cosine == below.cosine
    assert up.loss() > climber.records[0].loss


def test_maximize_is_a_setting_of_a_group() -> None:
    x, y = (nn.Parameter(torch.tensor([2.0], dtype=torch.float64)) for _ in range(2))
    optimizer = newton([{"params": [x]}, {"params": [y], "maximize": True}], damping=0.0)
    optimizer.step(lambda: ((x - 1) ** 2 - (y + 3) ** 2).sum())
    assert (x.item(), y.item()) == (1.0, -3.0)


def test_groups_of_a_module_keep_their_settings_and_its_closed_form() -> None:
    problem, twin = Problem(), Problem()
    first, last = problem.first.parameters(), problem.last.parameters()
    optimizer = newton(
        [
            {"params": list(first), "damping": 2.0, "prune": 4},
            {"params": list(last), "lr": 0.5},
        ],
        model=problem.net,
        damping=1.0,
    )
    optimizer.step(problem.loss)
    blocks = optimizer.records[-1].blocks
    assert [block.curvature.route for block in blocks] == ["closed-form", "closed-form"]
    assert [block.treatment.damping for block in blocks] == [2.0, 1.0]
    assert [block.treatment.max_per_row for block in blocks] == [4, None]
    newton(twin.net, damping=1.0, blocks="layer").step(twin.loss)
    start = Problem()
    moved = problem.last.weight - start.last.weight
    full = twin.last.weight - start.last.weight
    assert close(moved, 0.5 * full)


def test_parameters_of_a_module_that_no_group_holds_stay_as_they_are() -> None:
    problem = Problem()
    before = problem.first.weight.detach().clone()
    optimizer = newton(problem.last.parameters(), model=problem.net, blocks="layer")
    optimizer.step(problem.loss)
    assert [block.name for block in optimizer.records[-1].blocks] == ["2"]
    assert torch.equal(problem.first.weight, before)


def test_a_cap_above_a_small_block_keeps_all_of_it() -> None:
    problem, twin = Problem(), Problem()
    newton(problem.net, prune=1000).step(problem.loss)
    newton(twin.net).step(twin.loss)
    assert close(problem.flat(), twin.flat())


def test_a_group_added_later_is_trained() -> None:
    problem, twin = Problem(), Problem()
    optimizer = newton(problem.first.parameters(), model=problem.net, damping=1.0)
    optimizer.step(problem.loss)
    problem.net.load_state_dict(twin.net.state_dict())
    optimizer.add_param_group({"params": problem.last.parameters()})
    optimizer.step(problem.loss)
    newton(twin.net, damping=1.0).step(twin.loss)
    assert close(problem.flat(), twin.flat())
    assert set(optimizer.state) == set(problem.net.parameters())


@pytest.mark.parametrize(
    ("group", "says"),
    [
        ({"damping": -1.0}, "damping is -1.0"),
        ({"lr": torch.ones(2)}, "Tensor lr must be 1-element, found 2"),
        ({"first_order_lr": -0.1}, "first_order_lr is -0.1"),
        ({"fused": True}, "no fused=True"),
    ],
)
def test_a_bad_group_is_refused_and_not_kept(group: dict[str, Any], says: str) -> None:
    problem = Problem()
    optimizer = newton(problem.first.parameters())
    with pytest.raises(ValueError, match=says):
        optimizer.add_param_group({"params": problem.last.parameters(), **group})
    assert len(optimizer.param_groups) == 1
    optimizer.step(problem.loss)


def test_parameters_outside_the_module_are_refused() -> None:
    with pytest.raises(ValueError, match="not in the module QNewton was built for"):
        newton([nn.Parameter(torch.zeros(2))], model=nn.Linear(2, 2))


def test_frozen_parameters_wait_until_they_are_unfrozen() -> None:
    problem, twin = Problem(), Problem()
    problem.first.requires_grad_(False)
    optimizer = newton(problem.net, damping=1.0)
    before = problem.first.weight.clone()
    optimizer.step(problem.loss)
    assert torch.equal(problem.first.weight, before)
    assert optimizer.records[-1].parameters == 18
    problem.net.load_state_dict(twin.net.state_dict())
    problem.net.requires_grad_(True)
    optimizer.step(problem.loss)
    newton(twin.net, damping=1.0).step(twin.loss)
    assert close(problem.flat(), twin.flat())


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_clears(set_to_none: bool) -> None:
    problem = Problem()
    optimizer = newton(problem.net)
    optimizer.step(problem.loss)
    optimizer.zero_grad(set_to_none=set_to_none)
    gradients = [parameter.grad for parameter in problem.net.parameters()]
    assert all(g is None if set_to_none else g is not None and not g.any() for g in gradients)


def test_a_step_returns_the_loss_without_its_graph() -> None:
    problem = Problem()
    optimizer = newton(problem.net)
    expected = problem.loss().item()
    loss = optimizer.step(problem.loss)
    assert loss.item() == expected
    assert not loss.requires_grad

    def closure() -> float:
        optimizer.zero_grad()
        loss = problem.loss()
        loss.backward()
        return loss.item()

    assert isinstance(optimizer.step(closure), float)


def test_copies_and_pickles_go_on_alike() -> None:
    problem = Problem()
    optimizer = newton(problem.net, warmup=2)
    optimizer.register_stage_hook(lambda step, stage: None)
    optimizer.step(problem.loss)
    copies = [copy.deepcopy((problem, optimizer)), pickle.loads(pickle.dumps((problem, optimizer)))]
    for _ in range(2):
        optimizer.step(problem.loss)
    for twin, again in copies:
        for _ in range(2):
            again.step(twin.loss)
        assert torch.equal(twin.flat(), problem.flat())
        assert [record.phase for record in again.records][-1] == "newton"


@pytest.mark.parametrize("stepped", [False, True])
def test_a_distributed_checkpoint_reads_and_restores_it(stepped: bool) -> None:
    from torch.distributed.checkpoint import state_dict as checkpoint

    problem, twin = Problem(), Problem()
    optimizer = newton(problem.net, warmup=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*without a closure")  # it steps bare, at lr 0
        if stepped:
            optimizer.step(problem.loss)
        before = problem.flat()
        saved = checkpoint.get_optimizer_state_dict(problem.net, optimizer)
        assert torch.equal(problem.flat(), before)
        again = newton(twin.net, warmup=1)
        checkpoint.set_optimizer_state_dict(twin.net, again, saved)
    assert again.counters == optimizer.counters
    again.step(twin.loss)
    assert again.records[-1].phase == "newton"


def test_an_update_that_overflows_changes_nothing() -> None:
    parameter = nn.Parameter(torch.tensor([3.3e38]))  # the largest float32 is 3.40e38
    optimizer = newton([parameter], warmup=9)
    for rate, skipped in ((1e36, None), (3e38, "the update is not finite")):
        optimizer.param_groups[0]["first_order_lr"] = rate
        optimizer.step(lambda: -0.1 * parameter.sum())
        assert optimizer.records[-1].skipped == skipped
        assert parameter.item() == pytest.approx(3.301e38, rel=1e-6)


# Refusals.


def test_gradients_scaled_for_float16_are_refused() -> None:
    problem = Problem(dtype=torch.float32)
    optimizer = newton(problem.net)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(problem.loss()).backward()
    with pytest.raises(ValueError, match=r"float16: .*; autocast to torch\.bfloat16"):
        scaler.step(optimizer)
    torch.amp.GradScaler("cpu", enabled=False).step(optimizer, problem.loss)
    assert optimizer.records[-1].skipped is None


def test_a_closure_that_runs_in_float16_is_refused() -> None:
    problem = Problem(dtype=torch.float32)
    before = problem.flat()

    def closure() -> Tensor:
        with torch.autocast("cpu", torch.float16):
            return problem.loss()

    with pytest.raises(ValueError, match=r"does not train in float16"):
        newton(problem.net).step(closure)
    assert torch.equal(problem.flat(), before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["auto", "hessian", "ggn", "fisher"])
def test_a_compiled_model_takes_the_steps_of_the_model_below(kind: str) -> None:
    ended = []
    for compiled in (False, True):
        problem = Problem(dtype=torch.float64)
        model = torch.compile(problem.net, backend="aot_eager") if compiled else problem.net
        optimizer = newton(model, curvature=kind)
        for _ in range(3):
            optimizer.step(lambda: nn.functional.cross_entropy(model(problem.x), problem.y))  # noqa: B023
        ended.append(problem.flat())
    torch.testing.assert_close(ended[1], ended[0], rtol=1e-9, atol=1e-12)


@pytest.fixture
def one_process() -> Iterator[None]:
    store = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]
    dist.init_process_group("gloo", rank=0, world_size=1, store=store)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("version", [1, 2])
def test_sharded_parameters_are_refused(version: int) -> None:
    net: nn.Module = Problem(dtype=torch.float32).net
    if version == 1:
        from torch.distributed.fsdp import FullyShardedDataParallel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a world of one process
            net = FullyShardedDataParallel(net, device_id=torch.device("cpu"))
    else:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        fully_shard(net, mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(ValueError, match="FSDP and tensor parallelism shard; use Distributed"):
        newton(net)
