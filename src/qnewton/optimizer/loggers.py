"""Where a run's numbers go: thin adapters around loggers that somebody else has made.

Each turns a logger into a function of numbers by name and of a step, which is what
:meth:`~qnewton.QNewton.log` calls. No logger is imported here.
"""

from collections.abc import Callable
from typing import Any

Send = Callable[[dict[str, float], int], object]
"""Takes the numbers of a step by their names, and the step."""


def to_tensorboard(writer: Any) -> Send:
    """Return what sends numbers to a ``torch.utils.tensorboard.SummaryWriter``."""

    def send(values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return send


def to_wandb(run: Any) -> Send:
    """Return what sends numbers to the run that ``wandb.init`` returned.

    They have an axis of their own, ``qnewton/step``, since a run's steps may only grow, and others
    log to it as well.
    """
    run.define_metric("qnewton/step", hidden=True)
    run.define_metric("qnewton/*", step_metric="qnewton/step")
    return lambda values, step: run.log(values | {"qnewton/step": step})


def to_mlflow(mlflow: Any) -> Send:
    """Return what sends numbers to the active run of the module ``mlflow``."""
    return lambda values, step: mlflow.log_metrics(values, step=step)


def to_lightning(module: Any) -> Send:
    """Return what logs numbers as a ``LightningModule`` does, by its ``log_dict``.

    They reach the trainer's logger, and callbacks may monitor them; the trainer counts the steps
    and chooses which are written (``log_every_n_steps``).
    """
    return lambda values, step: module.log_dict(values)


def to_trainer(trainer: Any) -> Send:
    """Return what logs numbers as a ``transformers.Trainer`` does, by its ``log``.

    They reach all that its ``report_to`` names, and ``trainer.state.log_history``; the trainer
    counts the steps.
    """
    return lambda values, step: trainer.log(values)
