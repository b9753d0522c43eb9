"""Micro-batches: curvature, right-hand side and judged loss speak of the same samples."""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from qnewton import QNewton
from tests.cases import flat, newton

DTYPES = [torch.float32, torch.float64]
EVEN, UNEVEN = [12, 12, 12], [6, 18, 12]


def make(dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)


def data(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(36, 4, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.randint(0, 3, (36,), generator=generator)


def whole_batch(steps: int = 3, **settings: Any) -> tuple[nn.Module, QNewton]:
    """Return what a plain loop with one closure over the whole batch ends with."""
    net, (x, y) = make(), data()
    optimizer = newton(net, **settings)
    for _ in range(steps):
        optimizer.step(lambda: cross_entropy(net(x), y))
    return net, optimizer


SETTINGS = [
    {},
    {"curvature": "ggn"},
    {"curvature": "fisher"},
    {"blocks": "layer"},
    {"curvature": "ggn", "blocks": "tensor"},
    {"damping": 0.1},
    {"damping": 0.1, "curvature": "fisher"},
    {"damping": 0.1, "curvature": "fisher", "blocks": "full"},
    {"warmup": 1},
]


def check(net: nn.Module, optimizer: QNewton, reference: tuple[nn.Module, QNewton]) -> None:
    twin, whole = reference
    assert torch.allclose(flat(net), flat(twin), rtol=0, atol=1e-9)
    for mine, its in zip(optimizer.records, whole.records, strict=True):
        assert mine.loss == pytest.approx(its.loss, rel=1e-10)
        assert mine.gradient_norm == pytest.approx(its.gradient_norm, rel=1e-8)
        assert mine.phase == its.phase
        if mine.damping is not None and its.damping is not None:
            assert mine.damping.strength == pytest.approx(its.damping.strength, rel=1e-8)
            assert mine.damping.ratio == pytest.approx(its.damping.ratio, rel=1e-4)


# Plain loops


@pytest.mark.slow
@pytest.mark.parametrize("none", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, {"damping": 0.1}, {"warmup": 3}])
@pytest.mark.parametrize("given", ["module", "parameters"])
def test_a_closure_that_adds_to_earlier_micro_batches_is_refused_before_anything_moves(
    given: str, settings: dict[str, Any], dtype: torch.dtype, none: bool
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).to(dtype)
    x, y = data(dtype)
    optimizer = newton(net if given == "module" else net.parameters(), **settings)
    optimizer.zero_grad(set_to_none=none)
    parts = list(zip(x.split(EVEN), y.split(EVEN), strict=True))
    for a, b in parts[:-1]:
        (cross_entropy(net(a), b) / 3).backward()

    def closure() -> Tensor:
        loss = cross_entropy(net(parts[-1][0]), parts[-1][1]) / 3
        loss.backward()
        return loss

    before = flat(net), [p.grad.clone() for p in net.parameters() if p.grad is not None]
    buffers = [buffer.clone() for buffer in net.buffers()]
    with pytest.raises(
        ValueError, match=r"^the closure added to a \.grad .*inside it.*$"
    ) as refused:
        optimizer.step(closure)
    assert "\n" not in str(refused.value)
    assert torch.equal(flat(net), before[0])
    for parameter, gradient in zip(net.parameters(), before[1], strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)
    if given == "module" or "warmup" not in settings:
        for buffer, values in zip(net.buffers(), buffers, strict=True):
            assert torch.equal(buffer, values)
    assert not optimizer.records


def test_gradients_of_the_last_step_that_nobody_clears_are_refused() -> None:
    net, (x, y) = make(), data()
    optimizer = newton(net)

    def closure() -> Tensor:
        loss = cross_entropy(net(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    with pytest.raises(ValueError, match="had not cleared"):
        optimizer.step(closure)
    for set_to_none in (True, False):
        optimizer.zero_grad(set_to_none)
        optimizer.step(closure)
    attached = newton(net)
    attached.zero_grad()
    loss_of = attached.repeatable(lambda: cross_entropy(net(x), y))
    loss_of().backward()
    attached.step()
    loss_of().backward()
    with pytest.raises(ValueError, match="had not cleared after the last step"):
        attached.step()


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [EVEN, UNEVEN])
@pytest.mark.parametrize("settings", SETTINGS)
def test_micro_batches_inside_the_closure_are_the_whole_batch(
    settings: dict[str, Any], sizes: list[int]
) -> None:
    net, (x, y) = make(), data()
    optimizer = newton(net, **settings)

    def closure() -> float:
        optimizer.zero_grad()
        total = 0.0
        for a, b in zip(x.split(sizes), y.split(sizes), strict=True):
            loss = cross_entropy(net(a), b) * (len(a) / len(x))
            loss.backward()
            total += loss.item()
        return total

    for _ in range(3):
        optimizer.step(closure)
    check(net, optimizer, whole_batch(**settings))


@pytest.mark.slow
@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("sizes", [EVEN, UNEVEN])
@pytest.mark.parametrize("settings", SETTINGS)
def test_micro_batches_before_the_step_are_repeated(
    settings: dict[str, Any], sizes: list[int], bare: bool
) -> None:
    net, (x, y) = make(), data()
    optimizer = newton(net, **settings)
    loss_of = optimizer.repeatable(lambda a, b: cross_entropy(net(a), b))
    for _ in range(3):
        optimizer.zero_grad()
        parts = list(zip(x.split(sizes), y.split(sizes), strict=True))
        for a, b in parts if bare else parts[:-1]:
            (loss_of(a, b) * (len(a) / len(x))).backward()
        if bare:
            optimizer.step()
            continue

        def closure(parts: Any = parts) -> Tensor:
            loss = loss_of(*parts[-1]) * (len(parts[-1][0]) / len(x))
            loss.backward()
            return loss

        returned = optimizer.step(closure)
        assert returned is not None
    check(net, optimizer, whole_batch(**settings))


def test_linear_regression_in_four_micro_batches_reaches_its_optimum() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64) + 0.3
    net = nn.Linear(3, 1).double()
    optimizer = newton(net, damping=0.0)
    loss_of = optimizer.repeatable(lambda a, b: mse_loss(net(a), b))
    parts = list(zip(x.chunk(4), y.chunk(4), strict=True))
    for a, b in parts[:-1]:
        (loss_of(a, b) / 4).backward()

    def closure() -> Tensor:
        loss = loss_of(*parts[-1]) / 4
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(mse_loss(net(x), y).detach()) < 1e-20


def test_passes_whose_gradients_were_cleared_do_not_count() -> None:
    net, (x, y) = make(), data()
    optimizer = newton(net)
    loss_of = optimizer.repeatable(lambda a, b: cross_entropy(net(a), b))
    loss_of(x[:5], y[:5]).backward()
    optimizer.zero_grad()
    loss = loss_of(x, y)
    optimizer.zero_grad()  # between a pass and its backward, as Lightning does
    loss.backward()
    optimizer.step()
    check(net, optimizer, whole_batch(1))


def test_a_closure_that_clears_begins_anew_beside_an_attachment() -> None:
    net, (x, y) = make(), data()
    optimizer = newton(net)
    loss_of = optimizer.repeatable(lambda a, b: cross_entropy(net(a), b))
    loss_of(x[:5], y[:5]).backward()

    def closure() -> Tensor:
        net.zero_grad()
        loss = cross_entropy(net(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    check(net, optimizer, whole_batch(1))


def test_a_closure_whose_own_pass_is_not_watched_is_refused_beside_earlier_ones() -> None:
    net, (x, y) = make(), data()
    optimizer = newton(net)
    loss_of = optimizer.repeatable(lambda a, b: cross_entropy(net(a), b))
    loss_of(x[:5], y[:5]).backward()
    before = [p.grad.clone() for p in net.parameters() if p.grad is not None]

    def closure() -> Tensor:
        loss = cross_entropy(net(x), y)
        loss.backward()
        return loss

    with pytest.raises(ValueError, match="backward never reached"):
        optimizer.step(closure)
    for parameter, gradient in zip(net.parameters(), before, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)


# Accelerate


@pytest.mark.slow
@pytest.mark.parametrize("how", ["attach", "repeatable"])
def test_accelerate_accumulates(how: str) -> None:
    accelerate = pytest.importorskip("accelerate")

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make()

        def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
            return {"loss": cross_entropy(self.net(x), y)}

    # Its state is one per process, and other tests, with other settings, may have run before.
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()
    model = Classifier()
    optimizer = newton(model)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    prepared, prepared_optimizer = accelerator.prepare(model, optimizer)
    if how == "attach":
        optimizer.attach(model, lambda output: output["loss"])
    loss_of: Callable[..., Any] = lambda a, b: prepared(a, b)["loss"]  # noqa: E731
    if how == "repeatable":
        loss_of = optimizer.repeatable(loss_of)
    x, y = data()
    for _ in range(3):
        for a, b in zip(x.split(EVEN), y.split(EVEN), strict=True):
            with accelerator.accumulate(prepared):
                accelerator.backward(loss_of(a, b))
                prepared_optimizer.step()
                prepared_optimizer.zero_grad()
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()
    check(model, optimizer, whole_batch())


# Lightning


def fit(params_of: Callable[[Any], Any], tmp_path: Path, **options: Any) -> tuple[Any, QNewton]:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = make()
            self.seen = 0

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            inputs, targets = batch
            loss = cross_entropy(self.net(inputs), targets)
            self.log("loss", loss, on_step=True)
            self.seen += 1
            return loss

        def configure_optimizers(self) -> Any:
            return params_of(self)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **options,
    )
    x, y = data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about data loader workers
        trainer.fit(module, DataLoader(TensorDataset(x, y), batch_size=12))
    return module, trainer.optimizers[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "params_of",
    [
        lambda module: newton(module, damping="auto"),
        lambda module: newton(module.net.parameters(), model=module, blocks="full"),
    ],
    ids=["itself", "parameters"],
)
def test_lightning_accumulates(params_of: Callable[[Any], Any], tmp_path: Path) -> None:
    module, optimizer = fit(params_of, tmp_path, accumulate_grad_batches=3)
    # The reference has no Gauss-Newton matrix either: training_step never calls the module.
    net, (x, y) = make(), data()
    reference = newton(net.parameters(), blocks="full")
    for _ in range(3):
        reference.step(lambda: cross_entropy(net(x), y))
    check(module, optimizer, (net, reference))
    assert float(module.trainer.callback_metrics["loss"]) < optimizer.records[0].loss


@pytest.mark.slow
def test_lightning_accumulates_with_clipping_and_a_short_last_window(tmp_path: Path) -> None:
    options = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.05}
    module, optimizer = fit(lambda m: newton(m), tmp_path, **options)
    net, (x, y) = make(), data()
    reference = newton(net.parameters(), blocks="full")

    def closure(parts: list[tuple[Tensor, Tensor]]) -> float:
        reference.zero_grad()
        total = 0.0
        for a, b in parts:
            loss = cross_entropy(net(a), b) / 2
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(net.parameters(), 0.05)
        return total

    parts = list(zip(x.split(EVEN), y.split(EVEN), strict=True))
    for _ in range(3):
        reference.step(lambda: closure(parts[:2]))
        reference.step(lambda: closure(parts[2:]))
    check(module, optimizer, (net, reference))


@pytest.mark.slow
def test_lightning_without_the_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"under Lightning QNewton\(self\)"):
        fit(lambda m: newton(m.parameters()), tmp_path, accumulate_grad_batches=3)


@pytest.mark.slow
def test_a_lightning_module_stays_its_own(tmp_path: Path) -> None:
    module, optimizer = fit(lambda m: newton(m), tmp_path)
    assert optimizer._attachment is not None
    assert not optimizer._attachment.has_passes
    module.log = lambda *_, **__: None  # outside of a trainer's control flow
    copied = copy.deepcopy(module)
    with torch.no_grad():
        next(copied.parameters()).zero_()
    x, y = data()
    mine, its = module.training_step((x, y), 0), copied.training_step((x, y), 0)
    assert mine.item() != its.item()
    assert copied.seen == module.seen
    newton(module)  # another optimizer takes over
    assert not optimizer._attachment.has_passes
