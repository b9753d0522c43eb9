"""QNewton, a ``torch.optim.Optimizer`` that solves a Newton system at every step."""

from qnewton.optimizer.attachment import Attachment
from qnewton.optimizer.hooks import StageHook
from qnewton.optimizer.loggers import (
    to_lightning,
    to_mlflow,
    to_tensorboard,
    to_trainer,
    to_wandb,
)
from qnewton.optimizer.machine import default_calibration, describe_machine
from qnewton.optimizer.options import Classical, Damping, Limits, Quantum
from qnewton.optimizer.qnewton import QNewton
from qnewton.optimizer.slow_step import SlowStepWarning
from qnewton.optimizer.warmup import Warmup

__all__ = [
    "Attachment",
    "Classical",
    "Damping",
    "Limits",
    "QNewton",
    "Quantum",
    "SlowStepWarning",
    "StageHook",
    "Warmup",
    "default_calibration",
    "describe_machine",
    "to_lightning",
    "to_mlflow",
    "to_tensorboard",
    "to_trainer",
    "to_wandb",
]
