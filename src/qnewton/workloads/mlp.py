"""The paper's DNN: two hidden layers of 16 units with ReLU."""

import math

import torch
from torch import nn


def build_mlp(widths: tuple[int, ...], seed: int) -> nn.Sequential:
    """Return a ReLU network of linear layers with PyTorch's default initialisation.

    Args:
        widths: Input width, hidden widths, output width.
        seed: Seeds the weights; the global generator is left alone.

    Example:
        >>> sum(p.numel() for p in build_mlp((64, 16, 16, 10), seed=0).parameters())
        1482
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:], strict=True):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        bound = 1 / math.sqrt(fan_in)
        with torch.no_grad():
            linear.weight.uniform_(-bound, bound, generator=generator)
            linear.bias.uniform_(-bound, bound, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
