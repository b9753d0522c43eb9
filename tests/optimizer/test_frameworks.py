"""Unmodified frameworks train with QNewton, by the very steps of a plain loop with closures."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from qnewton import QNewton
from qnewton.cost import nominal_calibration

STEPS = 4
CLIP = 0.2


def make_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def make_data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(
        torch.randn(32, 4, generator=generator), torch.randint(0, 3, (32,), generator=generator)
    )


def build(params: Any, **settings: Any) -> QNewton:
    return QNewton(params, calibration=nominal_calibration(), **settings)


def flat(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


@pytest.fixture
def plain() -> tuple[Tensor, list[float]]:
    """Return the parameters and losses of a plain loop: clipped, its rate decaying."""
    net, (inputs, targets) = make_net(), make_data().tensors
    optimizer = build(net)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
        scheduler.step()
    assert optimizer.records[0].gradient_norm == pytest.approx(CLIP, rel=1e-3)
    return flat(net), [record.loss for record in optimizer.records]


def check(model: nn.Module, optimizer: QNewton, plain: tuple[Tensor, list[float]]) -> None:
    parameters, losses = plain
    assert [record.phase for record in optimizer.records] == ["newton"] * STEPS
    # float32; frameworks may scale or copy a loss on its way.
    assert [record.loss for record in optimizer.records] == pytest.approx(losses, rel=1e-5)
    assert torch.allclose(flat(model), parameters, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_lightning(plain: tuple[Tensor, list[float]], tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def training_step(self, batch: Any, index: int) -> Tensor:
            inputs, targets = batch
            return nn.functional.cross_entropy(self.net(inputs), targets)

        def configure_optimizers(self) -> Any:
            optimizer = build(self)
            scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
            return [optimizer], [scheduler]

    def fit(**options: Any) -> tuple[nn.Module, QNewton]:
        module = Module()
        trainer = lightning.Trainer(
            max_epochs=STEPS,
            accelerator="cpu",
            gradient_clip_val=CLIP,
            default_root_dir=tmp_path,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about data loader workers
            trainer.fit(module, DataLoader(make_data(), batch_size=32))
        return module, trainer.optimizers[0]

    module, optimizer = fit()
    check(module, optimizer, plain)
    [checkpoint] = tmp_path.rglob("*.ckpt")
    saved = torch.load(checkpoint, weights_only=True)["optimizer_states"][0]
    assert saved["state"][0].items() >= {"step": STEPS, "newton": False}.items()
    assert 0 < saved["state"][0]["damping"] < math.inf
    module, optimizer = fit(precision="bf16-mixed", enable_checkpointing=False)
    assert optimizer.records[-1].loss < optimizer.records[0].loss


@pytest.mark.slow
def test_the_trainer_of_transformers(plain: tuple[Tensor, list[float]], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.net(inputs)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    model = Model()
    optimizer = build(model)
    optimizer.attach(model, lambda output: output["loss"])
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            output_dir=str(tmp_path),
            use_cpu=True,
            max_steps=STEPS,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=2,
            max_grad_norm=CLIP,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=[{"inputs": x, "labels": y} for x, y in make_data()],
        optimizers=(optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*without a closure")
        trainer.train()
    check(model, optimizer, plain)


def accelerate_closure(
    accelerator: Any, model: nn.Module, optimizer: Any, batch: Any
) -> Callable[[], Tensor]:
    inputs, targets = batch

    def closure() -> Tensor:
        optimizer.zero_grad()
        with accelerator.autocast():
            loss = nn.functional.cross_entropy(model(inputs), targets)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), CLIP)
        return loss

    return closure


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate(plain: tuple[Tensor, list[float]], precision: str) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision=precision)
    net = make_net()
    optimizer = build(net)
    model, prepared, loader, scheduler = accelerator.prepare(
        net,
        optimizer,
        DataLoader(make_data(), batch_size=32),
        torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
    )
    for _ in range(STEPS):
        for batch in loader:
            prepared.step(accelerate_closure(accelerator, model, prepared, batch))
            scheduler.step()
    if precision == "no":
        check(net, optimizer, plain)
    else:
        assert optimizer.records[-1].loss < optimizer.records[0].loss
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
