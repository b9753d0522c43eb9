"""Standardising inputs by the training split."""

from torch import Tensor


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Return both splits with the training split's mean removed and deviation divided out.

    A feature that never varies in the training split is only centred.

    Args:
        train: Shape [n_train, features].
        test: Shape [n_test, features].
    """
    mean, deviation = train.mean(dim=0), train.std(dim=0)
    scale = deviation.where(deviation > 0, 1.0)
    return (train - mean) / scale, (test - mean) / scale
