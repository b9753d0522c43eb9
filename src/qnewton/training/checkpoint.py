"""Everything a resumed run needs to go on exactly where the interrupted one was."""

import io

import torch
from torch import nn

from qnewton.runs import RunWriter
from qnewton.training.steppers import Stepper


def save_checkpoint(writer: RunWriter, steps: int, model: nn.Module, stepper: Stepper) -> None:
    """Store model, optimizer and random state after ``steps`` steps, atomically."""
    buffer = io.BytesIO()
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": stepper.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        },
        buffer,
    )
    writer.save_checkpoint(steps, buffer.getvalue())


def load_checkpoint(data: bytes, model: nn.Module, stepper: Stepper) -> None:
    """Restore what :func:`save_checkpoint` stored; only plain tensors are unpickled."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    model.load_state_dict(state["model"])
    stepper.optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
