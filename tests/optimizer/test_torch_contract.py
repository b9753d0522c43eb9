"""PyTorch's own optimizer suite, ported: one test for every check of it that applies to QNewton.

The tests carry the names they have in ``TestOptimRenewed`` of PyTorch's test/test_optim.py, and
check what those check. Where the suite passes a dummy closure whose loss has no graph, which
QNewton refuses, they pass the problem's own. What is in ``INAPPLICABLE`` stays out, each for the
reason given; the last tests show that what is declined is refused. Checks of state and hooks are in
``test_torch_state.py``; ``python benchmarks/torch_contract.py`` runs both and prints the table.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from qnewton import QNewton
from tests.optimizer.torch_suite import Affine, build, each_setting

INAPPLICABLE = {
    "test_optim_infos_do_not_specify_global_cliquey_kwargs": "checks PyTorch's list of optimizers",
    "test_forloop_goes_right_direction_multigpu": "parameters on several devices are refused",
    "test_mixed_device_dtype": "parameters of several devices or dtypes are refused",
    "test_complex": "complex parameters are refused",
    "test_complex_2d": "complex parameters are refused",
    "test_rosenbrock_sparse": "sparse gradients are refused",
    "test_foreach_matches_forloop": "foreach is declined",
    "test_foreach_large_tensor": "foreach is declined",
    "test_peak_memory_foreach": "foreach is declined",
    "test_defaults_changed_to_foreach": "foreach is declined",
    "test_set_default_dtype_works_with_foreach": "foreach is declined",
    "test_fused_matches_forloop": "fused is declined",
    "test_fused_large_tensor": "fused is declined",
    "test_fused_error_on_params_on_meta": "fused is declined",
    "test_fused_does_not_step_if_foundinf": "fused is declined, and so is loss scaling",
    "test_fused_cpu_matches_cuda": "fused is declined",
    "test_cpu_load_state_dict": "fused and capturable are declined",
    "TestDifferentiableOptimizer": "differentiable is declined",
    "test_graph_optims (CUDA graphs)": "capturable is declined",
}


@pytest.fixture(scope="module")
def info() -> Any:
    """PyTorch's description of an optimizer under test, for QNewton; private, so imported late."""
    pytest.importorskip("expecttest", reason="PyTorch's test tools need expecttest")
    from torch.testing._internal import common_optimizers as common

    sgd = next(known for known in common.optim_db if known.optim_cls is torch.optim.SGD)
    return common.OptimizerInfo(
        QNewton,  # pyright: ignore[reportArgumentType]  # annotated as an instance, used as a class
        optim_inputs_func=lambda device: [],
        optim_error_inputs_func=common.get_error_inputs_for_all_optims,
        scheduler_inputs=sgd.scheduler_inputs,
        supported_impls=(),
        supports_complex=False,
        step_requires_closure=True,
        supports_multiple_devices=False,
    )


def advance(schedulers: list[Any], loss: Any) -> None:
    for scheduler in schedulers:
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(loss)
        else:
            scheduler.step()


@pytest.mark.slow
def test_errors(info: Any) -> None:
    for case in info.optim_error_inputs_func("cpu", torch.float32):
        params = case.optimizer_error_input.params
        params = [nn.Parameter(torch.randn(1))] if params is None else params
        expected = pytest.warns if issubclass(case.error_type, Warning) else pytest.raises
        with expected(case.error_type, match=case.error_regex):
            build(params, **case.optimizer_error_input.kwargs)


@pytest.mark.slow
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("scheduled", [False, True])
@each_setting
def test_forloop_goes_right_direction(
    info: Any, settings: Any, contiguous: bool, scheduled: bool
) -> None:
    for constructors in info.scheduler_inputs if scheduled else [()]:
        problem = Affine(contiguous=contiguous)
        optimizer = build(problem.parameters, settings)
        schedulers = [constructor(optimizer) for constructor in constructors]
        before = problem.loss().item()
        for _ in range(20):
            loss = optimizer.step(problem.closure(optimizer))
            advance(schedulers, loss)
        after = problem.loss().item()
        assert after > before if settings().get("maximize") else after < before


@each_setting
def test_param_groups_weight_decay(settings: Any) -> None:
    problem = Affine()
    weight: dict[str, Any] = {"params": [problem.weight], "weight_decay": 0.01}
    optimizer = build([weight, {"params": [problem.bias], "weight_decay": 0.0}], settings)
    before = problem.loss().item()
    for _ in range(20):
        optimizer.step(problem.closure(optimizer))
    after = problem.loss().item()
    assert after > before if settings().get("maximize") else after < before


def test_param_group_with_lrscheduler_goes_right_direction(info: Any) -> None:
    for constructors in info.scheduler_inputs:
        problem = Affine()
        optimizer = build([{"params": [problem.weight]}, {"params": [problem.bias], "lr": 0.01}])
        schedulers = [constructor(optimizer) for constructor in constructors]
        before = problem.loss().item()
        for _ in range(20):
            advance(schedulers, optimizer.step(problem.closure(optimizer)))
        assert problem.loss().item() < before


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [0, 1, 2])
@each_setting
def test_tensor_lr(settings: Any, dimensions: int) -> None:
    problem, twin = Affine(), Affine()
    plain = build(problem.parameters, lambda: settings() | {"lr": 0.5})
    tensor = build(
        twin.parameters, lambda: settings() | {"lr": torch.tensor(0.5).reshape([1] * dimensions)}
    )
    for _ in range(5):
        plain.step(problem.closure(plain))
        tensor.step(twin.closure(tensor))
    assert torch.equal(problem.weight, twin.weight)
    assert torch.equal(problem.bias, twin.bias)


@each_setting
def test_param_groups_lr(settings: Any) -> None:
    problem, other = Affine(), nn.Parameter(torch.randn(2))
    before, other_before = problem.loss().item(), other.detach().clone()
    rates = {"lr": 1e-28, "first_order_lr": 1e-28}
    own = {"lr": 0.5, "first_order_lr": 0.01} | settings()
    blocks = {"blocks": own.pop("blocks")} if "blocks" in own else {}
    warmup = {"warmup": own.pop("warmup")} if "warmup" in own else {}
    shared = {name: own[name] for name in ("damping", "prune") if name in own}
    shared |= {"maximize": own.get("maximize", False)}
    optimizer = build(
        [{"params": problem.parameters, **own}, {"params": [other], **rates}],
        lambda: shared | blocks | warmup,
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = problem.loss() + other.square().sum()
        loss.backward()
        return loss

    for _ in range(20):
        optimizer.step(closure)
    after = problem.loss().item()
    assert after > before if own.get("maximize") else after < before
    assert torch.equal(other, other_before)


@each_setting
def test_step_is_noop_when_params_have_no_grad(settings: Any) -> None:
    params = [torch.randn(2, 3) for _ in range(2)]
    before = [p.clone() for p in params]
    optimizer = build(params, settings)
    assert optimizer.step(lambda: torch.tensor([1.0])).item() == 1.0
    optimizer.step()
    assert all(map(torch.equal, params, before))


@each_setting
def test_step_is_noop_for_zero_grads(settings: Any) -> None:
    problem = Affine()
    before = [p.detach().clone() for p in problem.parameters]
    # As the suite says, parameters decay even without a slope.
    optimizer = build(problem.parameters, lambda: settings() | {"weight_decay": 0.0})
    optimizer.step(lambda: 0.0 * problem.loss())
    for parameter in problem.parameters:
        parameter.grad = torch.zeros_like(parameter)
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()
    assert all(map(torch.equal, problem.parameters, before))


@each_setting
def test_optimizer_can_be_printed(settings: Any) -> None:
    shown = repr(build(Affine().parameters, settings))
    assert shown.startswith("QNewton (")
    assert "damping: " in shown


@each_setting
def test_deepcopy_copies_all_public_attrs(settings: Any) -> None:
    problem = Affine()
    optimizer = build(problem.parameters, settings)
    for _ in range(3):
        optimizer.step(problem.closure(optimizer))
    twin, again = copy.deepcopy((problem, optimizer))

    def public(thing: object) -> set[str]:
        return {name for name in vars(thing) if not name.startswith("_")}

    assert public(again) == public(optimizer)
    optimizer.step(problem.closure(optimizer))
    again.step(twin.closure(again))
    assert torch.equal(problem.weight, twin.weight)
    assert again.records[-1].step == 3


def test_second_order_optims_return_consistent_types() -> None:
    for warmup in (0, 9):
        problem = Affine()
        optimizer = build(problem.parameters, warmup=warmup)
        returned = optimizer.step(problem.closure(optimizer))
        assert isinstance(returned, Tensor)
        assert not returned.requires_grad


@each_setting
def test_non_empty_state(settings: Any) -> None:
    problem = Affine()
    optimizer = build(problem.parameters, settings)
    optimizer.step(problem.closure(optimizer))
    assert set(optimizer.state) == set(problem.parameters)
    assert all(optimizer.state.values())


# What is declined is refused.


@pytest.mark.parametrize("flag", ["foreach", "fused", "capturable", "differentiable"])
def test_flags_of_pytorch_are_declined_by_name(flag: str) -> None:
    off: dict[str, Any] = {flag: False}
    build(Affine().parameters, **off)
    on: dict[str, Any] = {flag: True}
    with pytest.raises(ValueError, match=f"QNewton has no {flag}=True: .*; leave it out"):
        build(Affine().parameters, **on)
    problem = Affine()
    with pytest.raises(ValueError, match=f"no {flag}=True"):
        build([{"params": problem.parameters, flag: True}])


def test_an_unknown_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no argument 'betas'"):
        build(Affine().parameters, betas=(0.9, 0.999))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float16, torch.bfloat16])
def test_parameters_of_other_dtypes_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"dtype {dtype}; curvature needs float32 or float64"):
        build([nn.Parameter(torch.zeros(2, dtype=dtype))])


def test_parameters_on_several_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mix torch\.float32 on cpu with torch\.float32 on meta"):
        build([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, device="meta"))])


def test_sparse_gradients_are_refused() -> None:
    embedding = nn.Embedding(4, 2, sparse=True)
    optimizer = build(embedding.parameters())
    with pytest.raises(ValueError, match=r"is sparse; .*sparse=False"):
        optimizer.step(lambda: embedding(torch.tensor([1])).sum())
