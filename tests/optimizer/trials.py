"""What tests of trials share."""

import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton import QNewton

DTYPES = [torch.float32, torch.float64]


class Trace:
    """Everything that a step which raises has to put back."""

    def __init__(self, net: nn.Module, optimizer: QNewton) -> None:
        self._net, self._optimizer = net, optimizer
        self.before = self.now()

    def now(self) -> list[Any]:
        tensors = [*self._net.parameters(), *self._net.buffers()]
        gradients = [p.grad for p in self._net.parameters()]
        return [
            [tensor.detach().clone() for tensor in tensors],
            [None if g is None else (id(g), g.tolist()) for g in gradients],
            torch.get_rng_state().tolist(),
            random.getstate(),
            pickle.dumps(np.random.get_state()),  # noqa: NPY002
            dict(self._optimizer.counters),
            len(self._optimizer.records),
        ]

    def check(self) -> None:
        tensors, *rest = self.before
        now, *others = self.now()
        assert all(torch.equal(a, b) for a, b in zip(tensors, now, strict=True))
        assert rest == others


def noisy(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Callable[[], Tensor]]:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 1)
    ).to(dtype)
    x = torch.randn(20, 3, dtype=dtype)

    def loss() -> Tensor:
        noise = random.gauss(0, 1e-2) + np.random.randn() * 1e-2  # noqa: NPY002
        return mse_loss(net(x), x.sum(1, keepdim=True) + noise)

    return net, loss
