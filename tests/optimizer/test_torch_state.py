"""PyTorch's own checks of an optimizer's state and hooks, under their names."""

import copy
import io
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from qnewton import QNewton
from tests.optimizer.torch_suite import Affine, build, each_setting


@pytest.mark.slow
@pytest.mark.parametrize("named", list(itertools.product([False, True], repeat=2)))
@each_setting
def test_state_dict_deterministic(settings: Any, named: tuple[bool, bool]) -> None:
    problem = Affine()
    optimizer = build(problem.named(named[0]), settings)
    for _ in range(3):
        optimizer.step(problem.closure(optimizer))
    twin = problem.copy()
    again = build(twin.named(named[1]), settings)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        optimizer.step(problem.closure(optimizer))
        again.step(twin.closure(again))
        assert torch.equal(problem.weight, twin.weight)
        assert torch.equal(problem.bias, twin.bias)
    assert without_names(optimizer.state_dict()) == without_names(again.state_dict())
    assert [r.phase for r in again.records] == [r.phase for r in list(optimizer.records)[3:]]
    again.param_groups.extend(again.param_groups)
    repeated = without_names(again.state_dict())["param_groups"][-1]
    assert without_names(optimizer.state_dict())["param_groups"][-1] == repeated


def without_names(state_dict: dict[str, Any]) -> dict[str, Any]:
    state_dict = copy.deepcopy(state_dict)
    for group in state_dict["param_groups"]:
        group.pop("param_names", None)
    return state_dict


@each_setting
def test_can_load_older_state_dict(settings: Any) -> None:
    problem = Affine()
    optimizer = build(problem.parameters, settings)
    for _ in range(3):
        optimizer.step(problem.closure(optimizer))
    old = copy.deepcopy(optimizer.state_dict())
    for group in old["param_groups"]:
        for name in ("maximize", "first_order_lr", "damping_scale", "prune", "weight_decay"):
            del group[name]
    # Version 0.1 kept the counters under the first parameter alone, as tensors.
    old["state"] = {0: {"step": torch.tensor(3), "newton": torch.tensor(False)}}
    optimizer.load_state_dict(old)
    optimizer.step(problem.closure(optimizer))
    assert [record.step for record in optimizer.records] == [0, 1, 2, 3]


@pytest.mark.parametrize("named", list(itertools.product([False, True], repeat=2)))
def test_can_load_from_to_named_state_dict(named: tuple[bool, bool]) -> None:
    problem = Affine()
    optimizer = build(problem.named(named[0]))
    optimizer.step(problem.closure(optimizer))
    again = build(problem.named(named[1]))
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    again.step(problem.closure(again))
    assert again.records[-1].step == 1
    if any(named):
        assert again.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


@pytest.mark.parametrize("named", [False, True])
@each_setting
def test_save_load_equality_with_weights_only(settings: Any, named: bool) -> None:
    problem = Affine()
    optimizer = build(problem.named(named), settings)
    for _ in range(3):
        optimizer.step(problem.closure(optimizer))
    state_dict = optimizer.state_dict()
    for weights_only in (True, False):
        file = io.BytesIO()
        torch.save(state_dict, file)
        file.seek(0)
        assert torch.load(file, weights_only=weights_only) == state_dict


@each_setting
def test_load_nontensor_step(settings: Any) -> None:
    problem = Affine()
    optimizer = build(problem.parameters, settings)
    for _ in range(3):
        optimizer.step(problem.closure(optimizer))
    for form in (int, float, torch.tensor):
        state_dict = copy.deepcopy(optimizer.state_dict())
        for state in state_dict["state"].values():
            state["step"] = form(3)
        optimizer.load_state_dict(state_dict)
        optimizer.step(problem.closure(optimizer))
        assert optimizer.records[-1].step == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_state_dict_with_cuda_params() -> None:
    problem, twin = Affine(), Affine()
    twin.weight = nn.Parameter(twin.weight.detach().cuda())
    twin.bias = nn.Parameter(twin.bias.detach().cuda())
    twin.x = twin.x.cuda()
    optimizer = build(problem.parameters)
    optimizer.step(problem.closure(optimizer))
    state_dict = copy.deepcopy(optimizer.state_dict())
    kept = copy.deepcopy(state_dict)
    on_device = build(twin.parameters)
    on_device.load_state_dict(state_dict)
    assert state_dict == kept
    for _ in range(3):
        on_device.step(twin.closure(on_device))
    assert on_device.records[-1].step == 3
    assert on_device.records[-1].skipped is None


def note_before(optimizer: torch.optim.Optimizer) -> None:
    optimizer.state["note"] = 1  # pyright: ignore[reportArgumentType]  # as PyTorch's test does


def note_after(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    state_dict["noted"] = state_dict["state"].pop("note", None) is not None
    return state_dict


def test_state_dict_pre_hook() -> None:
    optimizer = build(Affine().parameters)
    optimizer.register_state_dict_pre_hook(note_before)
    assert optimizer.state_dict()["state"]["note"] == 1


def test_state_dict_post_hook() -> None:
    optimizer = build(Affine().parameters)
    optimizer.register_state_dict_post_hook(note_after)
    assert optimizer.state_dict()["noted"] is False


def test_state_dict_pre_post_hook() -> None:
    optimizer = build(Affine().parameters)
    optimizer.register_state_dict_pre_hook(note_before)
    optimizer.register_state_dict_post_hook(note_after)
    state_dict = optimizer.state_dict()
    assert "note" not in state_dict["state"]
    assert state_dict["noted"] is True


def set_lr_in_place(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> None:
    state_dict["param_groups"][0]["lr"] = 0.002


def set_lr_in_a_copy(
    optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]
) -> dict[str, Any]:
    changed = copy.deepcopy(state_dict)
    changed["param_groups"][0]["lr"] = 0.003
    return changed


def test_load_state_dict_pre_hook_and_prepend() -> None:
    optimizer = build(Affine().parameters)
    state_dict = optimizer.state_dict()
    optimizer.register_load_state_dict_pre_hook(set_lr_in_place)
    optimizer.load_state_dict(state_dict)
    assert optimizer.param_groups[0]["lr"] == 0.002
    optimizer.register_load_state_dict_pre_hook(set_lr_in_a_copy, prepend=True)
    optimizer.load_state_dict(state_dict)
    assert optimizer.param_groups[0]["lr"] == 0.002


def check_load_post_hook(changed_before: bool) -> None:
    optimizer = build(Affine().parameters)
    seen: list[float] = []
    if changed_before:
        optimizer.register_load_state_dict_pre_hook(set_lr_in_a_copy)
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [0.003 if changed_before else 1.0]


def test_load_state_dict_post_hook() -> None:
    check_load_post_hook(changed_before=False)


def test_load_state_dict_pre_post_hook() -> None:
    check_load_post_hook(changed_before=True)


@pytest.fixture
def problem_and_optimizer() -> tuple[Affine, QNewton]:
    problem = Affine()
    return problem, build(problem.parameters)


def test_step_post_hook(problem_and_optimizer: tuple[Affine, QNewton]) -> None:
    problem, optimizer = problem_and_optimizer
    closure, seen = problem.closure(optimizer), []
    handle = optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(args))
    optimizer.step(closure)
    optimizer.step(closure)
    handle.remove()
    optimizer.step(closure)
    assert len(seen) == 2


def test_step_pre_hook(problem_and_optimizer: tuple[Affine, QNewton]) -> None:
    problem, optimizer = problem_and_optimizer
    closure, losses = problem.closure(optimizer), []
    handle = optimizer.register_step_pre_hook(
        lambda o, args, kwargs: losses.append(problem.loss().item())
    )
    optimizer.step(closure)
    optimizer.step(closure)
    handle.remove()
    optimizer.step(closure)
    assert losses == [pytest.approx(r.loss) for r in list(optimizer.records)[:2]]


def test_step_all_hooks(problem_and_optimizer: tuple[Affine, QNewton]) -> None:
    problem, optimizer = problem_and_optimizer
    order: list[str] = []

    def say(word: str) -> Callable[..., None]:
        return lambda *_: order.append(word)

    handles = [
        register_optimizer_step_pre_hook(say("all pre")),
        register_optimizer_step_post_hook(say("all post")),
        optimizer.register_step_pre_hook(say("own pre")),
        optimizer.register_step_post_hook(say("own post")),
    ]
    optimizer.step(problem.closure(optimizer))
    for handle in handles:
        handle.remove()
    optimizer.step(problem.closure(optimizer))
    assert order == ["all pre", "own pre", "own post", "all post"]
