"""The block the paper's DNN is measured on: the first weight of 784-16-16-10, N = 12,544.

MNIST's first 2,048 training images, standardised by one mean and one deviation, and PyTorch's own
initialisation from seed 0: κ = 4.47 at λ = 1 and 35.7 at λ = 0.1. Without MNIST the inputs are
random, and so is κ.
"""

import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import systems
from qnewton.workloads.mnist import MD5, read_idx

BATCH = 2048
_MEAN, _DEVIATION = 0.1307, 0.3081
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


def damped_block(strength: float) -> Tensor:
    """Return H + λI, float32, shape [12544, 12544]."""
    inputs, labels = _batch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)
        )
    first = systems(model, lambda: cross_entropy(model(inputs), labels), blocks="tensor")[0]
    matrix = first.operator.dense()
    matrix.diagonal().add_(strength)
    return matrix


def block_name() -> str:
    """Return the block in words, with what its inputs are."""
    return "MNIST block" if _paths() else "first-layer block on random inputs"


def _batch() -> tuple[Tensor, Tensor]:
    paths = _paths()
    if not paths:
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(0, 10, (BATCH,), generator=generator)
        return torch.randn(BATCH, 784, generator=generator), labels
    images, labels = (
        torch.from_numpy(read_idx(path, MD5[name])[:BATCH].reshape(BATCH, -1).copy())
        for path, name in zip(paths, _FILES, strict=True)
    )
    return (images.float() / 255 - _MEAN) / _DEVIATION, labels.squeeze(1).long()


def _paths() -> list[Path]:
    folder = Path(os.environ.get("QNEWTON_DATA") or "no-data")
    folder = folder / "mnist" if (folder / "mnist").is_dir() else folder
    found = [p for name in _FILES for p in (folder / name, folder / f"{name}.gz") if p.exists()]
    return found if len(found) == len(_FILES) else []
