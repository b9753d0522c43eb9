"""The block the paper's DNN is measured on: the first weight of 784-16-16-10, N = 12,544.

MNIST's first 2,048 training images, standardised by one mean and one deviation, and PyTorch's own
initialisation from seed 0: κ = 4.47 at λ = 1 and 35.7 at λ = 0.1.
"""

import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import systems
from qnewton.workloads.idx import read_idx
from qnewton.workloads.mnist import MD5

BATCH = 2048
_MEAN, _DEVIATION = 0.1307, 0.3081


def mnist_block() -> Tensor:
    """Return the undamped Hessian of the first weight, float32, shape [12544, 12544].

    Raises:
        ValueError: If QNEWTON_DATA names no folder with MNIST.
    """
    images = torch.from_numpy(_read("train-images-idx3-ubyte")[:BATCH].reshape(BATCH, -1).copy())
    labels = torch.from_numpy(_read("train-labels-idx1-ubyte")[:BATCH].reshape(-1).copy()).long()
    inputs = (images.float() / 255 - _MEAN) / _DEVIATION
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)
        )
    first = systems(model, lambda: cross_entropy(model(inputs), labels), blocks="tensor")[0]
    return first.operator.dense()


def damped_block(strength: float) -> Tensor:
    """Return the block with ``strength`` on its diagonal."""
    matrix = mnist_block()
    matrix.diagonal().add_(strength)
    return matrix


def _read(name: str):
    folder = os.environ.get("QNEWTON_DATA")
    if not folder:
        raise ValueError("this benchmark needs MNIST; pass --data-dir or set QNEWTON_DATA")
    root = Path(folder) / "mnist" if (Path(folder) / "mnist").is_dir() else Path(folder)
    path = next((p for p in (root / name, root / f"{name}.gz") if p.exists()), None)
    if path is None:
        raise ValueError(f"no {name} or {name}.gz in {root.name}; see the data page of MNIST")
    return read_idx(path, MD5[name])
