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

from qnewton import Limits, QNewton
from tests.cases import flat, newton

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


@pytest.fixture
def plain() -> tuple[Tensor, list[float]]:
    """Return the parameters and losses of a plain loop: clipped, its rate decaying."""
    net, (inputs, targets) = make_net(), make_data().tensors
    optimizer = newton(net)
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
            optimizer = newton(self)
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
    optimizer = newton(model)
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
    optimizer = newton(net)
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


def tiny_bert() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=3,
        attn_implementation="eager",
    )
    return transformers.BertForSequenceClassification(config)


def smoothed_trainer(model: nn.Module, optimizer: QNewton, folder: Path, **options: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 20, (16, 6), generator=generator)
    labels = torch.randint(0, 3, (16,), generator=generator)
    return transformers.Trainer(
        model,
        transformers.TrainingArguments(
            output_dir=str(folder),
            use_cpu=True,
            max_steps=3,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=2,
            label_smoothing_factor=0.1,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **options,
        ),
        train_dataset=[{"input_ids": x, "labels": y} for x, y in zip(tokens, labels, strict=True)],
        optimizers=(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)),
    )


@pytest.mark.slow
def test_label_smoothing_of_the_trainer_is_refused_with_the_way_out(tmp_path: Path) -> None:
    model = tiny_bert()
    optimizer = newton(model)
    optimizer.attach(model, lambda output: output.loss)
    before = flat(model)
    with pytest.raises(ValueError, match=r"label_smoothing_factor.*compute_loss = .*repeatable"):
        smoothed_trainer(model, optimizer, tmp_path).train()
    assert torch.equal(flat(model), before)


@pytest.mark.slow
@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_label_smoothing_of_the_trainer(tmp_path: Path, clip: float) -> None:
    model, twin = tiny_bert(), tiny_bert()
    # What is averaged divides gradients by their size, and small ones are rounding.
    free = Limits(budget=math.inf)
    optimizer, reference = newton(model, limits=free), newton(twin, limits=free)
    trainer = smoothed_trainer(model, optimizer, tmp_path, max_grad_norm=clip)
    trainer.compute_loss = optimizer.repeatable(trainer.compute_loss)
    trainer.train()
    examples = trainer.train_dataset
    tokens = torch.stack([example["input_ids"] for example in examples])
    labels = torch.stack([example["labels"] for example in examples])

    def closure() -> Tensor:
        reference.zero_grad()
        logits = twin(input_ids=tokens).logits
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(twin.parameters(), clip)
        return loss

    for _ in range(3):
        reference.step(closure)
    losses = [record.loss for record in reference.records]
    assert [record.loss for record in optimizer.records] == pytest.approx(losses, rel=1e-4)
    assert torch.allclose(flat(model), flat(twin), rtol=0, atol=1e-4)
    assert optimizer.records[-1].loss < optimizer.records[0].loss
