"""Three tables: a small regression, a small classification, a simulated regression with noise."""

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, make_friedman1
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from benchmarks.minibatch.workloads.training import (
    Batch,
    Training,
    Workload,
    accuracy,
    seeded,
    shuffled,
    supervised,
)


def diabetes(seed: int) -> Training:
    """Return the progression of diabetes from ten measurements, batch 32."""
    inputs, targets = load_diabetes(return_X_y=True)
    splits = _split(
        _standardised(torch.tensor(inputs)), _standardised(torch.tensor(targets)[:, None])
    )
    model = seeded(lambda: nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1)), seed)
    return supervised(model, mse_loss, splits, shuffled(splits[0], 32, seed), mse_loss)


def breast_cancer(seed: int) -> Training:
    """Return benign or malignant from thirty measurements, batch 32, labels smoothed."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    splits = _split(_standardised(torch.tensor(inputs)), torch.tensor(labels))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    model = seeded(
        lambda: nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 2)),
        seed,
    )
    return supervised(model, criterion, splits, shuffled(splits[0], 32, seed), accuracy)


def friedman(seed: int) -> Training:
    """Return 5,000 values of Friedman's first function with noise, 10-64-64-1, batch 64.

    Reference: J. Friedman, Multivariate Adaptive Regression Splines, Annals of Statistics 19
    (1991), section 4.3.
    """
    inputs, targets = make_friedman1(6000, noise=1.0, random_state=0)
    splits = _split(
        _standardised(torch.tensor(inputs)), _standardised(torch.tensor(targets)[:, None])
    )
    model = seeded(
        lambda: nn.Sequential(
            nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
        ),
        seed,
    )
    return supervised(model, mse_loss, splits, shuffled(splits[0], 64, seed), mse_loss)


TABULAR = (
    Workload("diabetes", "diabetes, 10-32-1 ReLU, batch 32", "mean square", False, diabetes),
    Workload(
        "breast cancer",
        "breast cancer, 30-64-2 ReLU with dropout, batch 32",
        "accuracy",
        True,
        breast_cancer,
    ),
    Workload(
        "Friedman", "Friedman's function, 10-64-64-1 ReLU, batch 64", "mean square", False, friedman
    ),
)


def _standardised(columns: Tensor) -> Tensor:
    return ((columns - columns.mean(dim=0)) / columns.std(dim=0)).float()


def _split(inputs: Tensor, targets: Tensor) -> tuple[Batch, Batch]:
    """Return five sixths to train on, and the rest; the split is the same for every seed."""
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    cut = len(order) * 5 // 6
    train, test = order[:cut], order[cut:]
    return (inputs[train], targets[train]), (inputs[test], targets[test])
