"""Random images and a network of two convolutions for them."""

import torch
from torch import nn


def record(system):
    assert system.curvature is not None
    return system.curvature


def images(samples, *shape, classes=3):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, *shape, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, classes, (samples,), generator=generator)


def stack(activation, pool):
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        activation(),
        pool(),
        nn.Conv2d(2, 3, 2),
        activation(),
        nn.Flatten(),
        nn.Linear(12, 3),
    )
