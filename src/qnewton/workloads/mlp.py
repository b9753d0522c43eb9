"""The paper's DNN: two hidden layers of 16 units with ReLU."""

import itertools
import math

import torch
from torch import nn


def build_mlp(widths: tuple[int, ...], seed: int) -> nn.Sequential:
    """Return a ReLU network of linear layers: LeCun-normal weights, zero biases.

    Weights have variance 1/fan_in, the default of the JAX libraries the paper trained with.

    Args:
        widths: Input width, hidden widths, output width.
        seed: Seeds the weights; the global generator is left alone.

    Example:
        >>> sum(p.numel() for p in build_mlp((64, 16, 16, 10), seed=0).parameters())
        1482
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        weight, bias = linear.parameters()
        nn.init.normal_(weight, std=1 / math.sqrt(fan_in), generator=generator)
        nn.init.zeros_(bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
