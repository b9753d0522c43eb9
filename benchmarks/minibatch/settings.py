"""The optimizers: QNewton with nothing set, and five peers at three learning rates each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.harness import missing_peers
from qnewton import QNewton

Build = Callable[..., torch.optim.Optimizer]


@dataclass(frozen=True)
class Setting:
    """An optimizer with all that is set.

    Attributes:
        family: The optimizer.
        name: The optimizer and its learning rate.
        make: Builds it for a model.
    """

    family: str
    name: str
    make: Callable[[nn.Module], torch.optim.Optimizer]


OURS = Setting("QNewton", "QNewton", QNewton)
ADAM = "Adam"


def peers() -> tuple[Setting, ...]:
    """Return the peers; SOAP is among them where the extra ``bench`` is installed."""
    families: dict[str, tuple[Build, tuple[float, ...]]] = {
        ADAM: (torch.optim.Adam, (1e-3, 3e-3, 1e-2)),
        "AdamW": (torch.optim.AdamW, (1e-3, 3e-3, 1e-2)),
        "SGD with momentum": (_momentum, (0.01, 0.03, 0.1)),
        "SOAP": (_soap, (1e-3, 3e-3, 1e-2)),
        "L-BFGS": (_lbfgs, (0.1, 0.3, 1.0)),
    }
    if missing_peers("pytorch_optimizer"):
        del families["SOAP"]
    return tuple(
        Setting(family, f"{family}, {rate:g}", _of_model(build, rate))
        for family, (build, rates) in families.items()
        for rate in rates
    )


def _of_model(build: Build, rate: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: build([p for p in model.parameters() if p.requires_grad], lr=rate)


def _momentum(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def _soap(parameters: Any, lr: float) -> torch.optim.Optimizer:
    from pytorch_optimizer import SOAP  # pyright: ignore[reportMissingImports]  # extra

    return SOAP(parameters, lr=lr, weight_decay=0.0)


def _lbfgs(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(parameters, lr=lr, line_search_fn="strong_wolfe")
