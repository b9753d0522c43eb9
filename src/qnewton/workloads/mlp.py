"""The paper's DNN: two hidden layers of 16 units with ReLU."""

import itertools
import math
from typing import Literal

import torch
from torch import nn

Initialisation = Literal["lecun", "pytorch"]


def build_mlp(
    widths: tuple[int, ...], seed: int, initialisation: Initialisation = "pytorch"
) -> nn.Sequential:
    """Return a ReLU network of linear layers.

    Args:
        widths: Input width, hidden widths, output width.
        seed: Seeds the weights; the global generator is left alone.
        initialisation: ``pytorch``: weights and biases uniform on ±1/√fan_in, the default of
            ``nn.Linear``. ``lecun``: normal weights of variance 1/fan_in (three times as much)
            and zero biases, the default of JAX's libraries.

    Example:
        >>> sum(p.numel() for p in build_mlp((64, 16, 16, 10), seed=0).parameters())
        1482
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        bound = 1 / math.sqrt(fan_in)
        weight, bias = linear.parameters()
        if initialisation == "lecun":
            nn.init.normal_(weight, std=bound, generator=generator)
            nn.init.zeros_(bias)
        else:
            nn.init.uniform_(weight, -bound, bound, generator=generator)
            nn.init.uniform_(bias, -bound, bound, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
