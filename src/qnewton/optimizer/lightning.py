"""Micro-batches under Lightning, whose closures run outside of the optimizer's step."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from qnewton.optimizer.attachment import Attachment

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")
_LOGS = ("log", "log_dict")


def is_lightning_module(module: nn.Module | None) -> bool:
    """Return whether a module is a ``LightningModule``, of either package."""
    loaded = [sys.modules[name] for name in _PACKAGES if name in sys.modules]
    return any(isinstance(module, package.LightningModule) for package in loaded)


def watch_training_step(module: Any, attachment: Attachment) -> None:
    """Let an attachment repeat the training steps of the batches that a trainer accumulates.

    Args:
        module: A ``LightningModule``; its ``training_step`` is replaced by one that is watched
            while ``accumulate_grad_batches`` is above 1 and optimization automatic.
        attachment: Remembers the training steps.
    """
    plain = module.training_step
    if isinstance(plain, _TrainingStep):  # of an optimizer made before
        plain = plain.plain
    module.training_step = _TrainingStep(module, plain, attachment)


class _TrainingStep:
    """A ``training_step`` that is watched where its trainer accumulates."""

    def __init__(self, module: Any, plain: Callable[..., Any], attachment: Attachment) -> None:
        functools.update_wrapper(self, plain)
        self._module = module
        self.plain = plain
        self._attachment = attachment

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._accumulates():
            return self.plain(*args, **kwargs)
        return self._attachment.remember(self.plain, args, kwargs, self._unlogged)

    def _accumulates(self) -> bool:
        try:
            trainer = self._module.trainer
        except RuntimeError:  # there is none
            return False
        batches = getattr(trainer, "accumulate_grad_batches", 1)
        return self._module.automatic_optimization and batches > 1

    def _unlogged(self, *args: Any, **kwargs: Any) -> Any:
        with _silent(self._module):
            return self.plain(*args, **kwargs)


@contextmanager
def _silent(module: Any) -> Iterator[None]:
    """Log nothing: the batch was logged when it was first seen."""
    own = {name: module.__dict__[name] for name in _LOGS if name in module.__dict__}
    module.__dict__.update(dict.fromkeys(_LOGS, _nothing))
    try:
        yield
    finally:
        for name in _LOGS:
            del module.__dict__[name]
        module.__dict__.update(own)


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""
