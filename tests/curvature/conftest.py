"""Slow and certain: the Hessian by torch.func, and small models."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn


def _func_hessian(model: nn.Module, loss: Callable[[Callable[..., Tensor]], Tensor]) -> Tensor:
    """Return the Hessian of ``loss(forward)`` in the trainable parameters, by torch.func."""
    trainable = {k: p.detach() for k, p in model.named_parameters() if p.requires_grad}
    frozen = {k: p.detach() for k, p in model.named_parameters() if not p.requires_grad}
    buffers = {k: b.clone() for k, b in model.named_buffers()}
    sizes = [p.numel() for p in trainable.values()]

    def of_flat(flat: Tensor) -> Tensor:
        pieces = flat.split(sizes)
        values = {
            k: piece.view(p.shape) for (k, p), piece in zip(trainable.items(), pieces, strict=True)
        }

        def forward(*inputs: Tensor) -> Tensor:
            return torch.func.functional_call(model, {**values, **frozen, **buffers}, inputs)

        forward.values = values  # type: ignore[attr-defined]
        return loss(forward)

    flat = torch.cat([p.flatten() for p in trainable.values()])
    return torch.func.hessian(of_flat)(flat)


@pytest.fixture
def func_hessian():
    return _func_hessian


def _mlp(
    sizes: tuple[int, ...],
    activation: Callable[[], nn.Module] = nn.ReLU,
    bias: bool = True,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        if index:
            modules.append(activation())
        modules.append(nn.Linear(inputs, outputs, bias=bias, dtype=dtype))
    net = nn.Sequential(*modules)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=dtype) / 2)
    return net


@pytest.fixture
def mlp():
    return _mlp


def _data(samples: int, inputs: int, classes: int, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, inputs, generator=generator, dtype=dtype)
    return x, torch.randint(0, classes, (samples,), generator=generator)


@pytest.fixture
def data():
    return _data
