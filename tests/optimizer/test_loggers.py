"""Steps reach loggers: those of users, TensorBoard, W&B, MLflow, Lightning and the Trainer.

TensorBoard, W&B and MLflow are not among this project's dependencies. Their tests run offline where
they are installed. Stand-ins with the same signatures, which those tests compare, run everywhere.
"""

import copy
import csv
import inspect
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from qnewton import QNewton
from qnewton.optimizer import (
    to_lightning,
    to_mlflow,
    to_tensorboard,
    to_trainer,
    to_wandb,
)
from qnewton.records import scalars
from tests.cases import newton

STEPS = 3


def run(optimizer: QNewton, steps: int = STEPS) -> list[float]:
    """Take steps on ‖w‖⁴, and return the losses."""
    [w] = optimizer.param_groups[0]["params"]
    return [float(optimizer.step(lambda: w.square().sum().square())) for _ in range(steps)]


@pytest.fixture
def optimizer() -> QNewton:
    return newton([nn.Parameter(torch.tensor([3.0, -2.0]))])


class Writer:
    """A stand-in for ``torch.utils.tensorboard.SummaryWriter``."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float, int]] = []

    def add_scalar(
        self,
        tag: str,
        scalar_value: float,
        global_step: int = 0,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        self.seen.append((tag, scalar_value, global_step))


class Run:
    """A stand-in for what ``wandb.init`` returns."""

    def __init__(self) -> None:
        self.axes: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []

    def define_metric(
        self,
        name: str,
        step_metric: str | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        overwrite: bool | None = None,
    ) -> None:
        self.axes[name] = step_metric

    def log(
        self, data: dict[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        self.seen.append(data)


class MLflow:
    """A stand-in for the module ``mlflow``."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, float], int | None]] = []

    def log_metrics(
        self,
        metrics: dict[str, float],
        step: int | None = None,
        synchronous: bool | None = None,
        run_id: str | None = None,
        timestamp: int | None = None,
    ) -> None:
        self.seen.append((metrics, step))


# What every logger gets.


def test_every_step_is_sent_with_its_numbers_and_its_health(optimizer: QNewton) -> None:
    seen: list[tuple[dict[str, float], int]] = []
    optimizer.log(lambda values, step: seen.append((values, step)))
    losses = run(optimizer)
    assert [step for _, step in seen] == [0, 1, 2]
    assert [values["qnewton/loss"] for values, _ in seen] == losses
    assert seen[-1][0] == scalars(optimizer.records[-1], optimizer.health)
    assert seen[-1][0]["qnewton/health/wrong/loss"] == 0.0


def test_every_so_many_steps_and_until_it_is_removed(optimizer: QNewton) -> None:
    seen: list[int] = []
    run(optimizer, 2)
    handle = optimizer.log(lambda _, step: seen.append(step), every=3)
    run(optimizer, 6)
    handle.remove()
    run(optimizer, 6)
    assert seen == [3, 6]
    with pytest.raises(ValueError, match="every is 0; it must be at least 1"):
        optimizer.log(lambda _, step: None, every=0)


def test_a_step_without_a_record_sends_nothing(optimizer: QNewton) -> None:
    seen: list[int] = []
    run(optimizer, 1)
    optimizer.log(lambda _, step: seen.append(step))
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()
    assert seen == []
    run(optimizer, 1)
    assert seen == [2]


def test_a_copy_does_not_log(optimizer: QNewton) -> None:
    seen: list[int] = []
    optimizer.log(lambda _, step: seen.append(step))
    run(copy.deepcopy(optimizer))
    assert seen == []


def test_a_logger_that_fails_ends_no_step_half_way(optimizer: QNewton) -> None:
    def full(values: dict[str, float], step: int) -> None:
        raise OSError("no space left on device")

    handle = optimizer.log(full)
    [w] = optimizer.param_groups[0]["params"]
    before = w.detach().clone()
    with pytest.raises(OSError, match="no space"):
        run(optimizer, 1)
    assert len(optimizer.records) == optimizer.counters["step"] == 1
    assert not torch.equal(w, before)
    handle.remove()
    run(optimizer, 1)
    assert [record.step for record in optimizer.records] == [0, 1]


# Adapters.


def test_tensorboards_stand_in(optimizer: QNewton) -> None:
    writer = Writer()
    optimizer.log(to_tensorboard(writer))
    losses = run(optimizer)
    told = [(value, step) for name, value, step in writer.seen if name == "qnewton/loss"]
    assert told == list(zip(losses, range(STEPS), strict=True))


def test_wandbs_stand_in(optimizer: QNewton) -> None:
    stand_in = Run()
    optimizer.log(to_wandb(stand_in))
    losses = run(optimizer)
    assert stand_in.axes == {"qnewton/step": None, "qnewton/*": "qnewton/step"}
    assert [values["qnewton/loss"] for values in stand_in.seen] == losses
    assert [values["qnewton/step"] for values in stand_in.seen] == [0, 1, 2]


def test_mlflows_stand_in(optimizer: QNewton) -> None:
    stand_in = MLflow()
    optimizer.log(to_mlflow(stand_in))
    losses = run(optimizer)
    assert [values["qnewton/loss"] for values, _ in stand_in.seen] == losses
    assert [step for _, step in stand_in.seen] == [0, 1, 2]


def check_signature(stand_in: Any, real: Any) -> None:
    names = list(inspect.signature(stand_in).parameters)
    assert list(inspect.signature(real).parameters)[: len(names)] == names


@pytest.mark.slow
def test_tensorboard(optimizer: QNewton, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import (  # pyright: ignore[reportMissingImports]
        EventAccumulator,
    )
    from torch.utils.tensorboard import SummaryWriter

    check_signature(Writer.add_scalar, SummaryWriter.add_scalar)
    with SummaryWriter(str(tmp_path)) as writer:
        optimizer.log(to_tensorboard(writer))
        losses = run(optimizer)
        to_tensorboard(writer)({"qnewton/loss": math.nan}, STEPS)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    told = events.Scalars("qnewton/loss")
    assert [event.step for event in told] == [*range(STEPS + 1)]
    assert [event.value for event in told[:-1]] == pytest.approx(losses)
    assert math.isnan(told[-1].value)


@pytest.mark.slow
def test_wandb(optimizer: QNewton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(mode="offline", dir=str(tmp_path), project="qnewton") as real:
        check_signature(Run.log, type(real).log)
        check_signature(Run.define_metric, type(real).define_metric)
        optimizer.log(to_wandb(real))
        losses = run(optimizer)
        real.log({"other": 1.0})  # has steps of its own
        told = dict(real.summary)
    assert told["qnewton/loss"] == pytest.approx(losses[-1])
    assert (told["qnewton/step"], told["other"]) == (STEPS - 1, 1.0)


@pytest.mark.slow
def test_mlflow(optimizer: QNewton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_signature(MLflow().log_metrics, mlflow.log_metrics)
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    with mlflow.start_run() as active:
        optimizer.log(to_mlflow(mlflow))
        losses = run(optimizer)
        to_mlflow(mlflow)({"qnewton/loss": math.nan}, STEPS)
    history = mlflow.tracking.MlflowClient().get_metric_history(active.info.run_id, "qnewton/loss")
    assert [(metric.step, metric.value) for metric in history[:-1]] == list(enumerate(losses))


def make_data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (32,), generator=generator)
    return TensorDataset(torch.randn(32, 4, generator=generator), labels)


@pytest.mark.slow
def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.loggers import CSVLogger

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 3)

        def training_step(self, batch: Any, index: int) -> Tensor:
            inputs, targets = batch
            return cross_entropy(self.net(inputs), targets)

        def configure_optimizers(self) -> Any:
            optimizer = newton(self)
            optimizer.log(to_lightning(self))
            return optimizer

    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        accumulate_grad_batches=2,
        log_every_n_steps=1,
        default_root_dir=tmp_path,
        logger=CSVLogger(tmp_path),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about data loader workers
        trainer.fit(Module(), DataLoader(make_data(), batch_size=8))
    records = trainer.optimizers[0].records
    assert len(records) == 4
    [file] = tmp_path.rglob("metrics.csv")
    told = list(csv.DictReader(file.open()))
    losses = [float(row["qnewton/loss"]) for row in told]
    assert losses == pytest.approx([record.loss for record in records])
    assert [int(row["step"]) for row in told] == [record.step for record in records]
    assert trainer.callback_metrics["qnewton/loss"] == pytest.approx(records[-1].loss)
    assert trainer.callback_metrics["qnewton/health/wrong/refused"] == 0.0


@pytest.mark.slow
def test_the_trainer(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 3)

        def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"loss": cross_entropy(self.net(inputs), labels)}

    class Listener(transformers.TrainerCallback):
        """What reports to a logger of ``report_to``."""

        def __init__(self) -> None:
            self.seen: list[tuple[int, float]] = []

        def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
            if "qnewton/loss" in logs:
                self.seen.append((state.global_step, logs["qnewton/loss"]))

    model, listener = Model(), Listener()
    optimizer = newton(model)
    optimizer.attach(model, lambda output: output["loss"])
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            output_dir=str(tmp_path),
            use_cpu=True,
            max_steps=4,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=2,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=[{"inputs": x, "labels": y} for x, y in make_data()],
        optimizers=(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)),
        callbacks=[listener],
    )
    optimizer.log(to_trainer(trainer), every=2)
    trainer.train()
    told = [(record.step, record.loss) for record in optimizer.records if record.step % 2 == 0]
    assert listener.seen == told
    assert len(told) == 2
    history = [entry for entry in trainer.state.log_history if "qnewton/loss" in entry]
    assert [(entry["step"], entry["qnewton/loss"]) for entry in history] == told
