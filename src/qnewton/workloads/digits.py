"""Scikit-learn's 1,797 handwritten digits of 8×8 pixels: real data that needs no download."""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qnewton.workloads.base import Workload, standardise
from qnewton.workloads.mlp import build_mlp

TEST_SAMPLES = 360


def load_digits_workload(seed: int) -> Workload:
    """Return the workload ``digits``: a 64-16-16-10 ReLU network, N = 1,482 parameters.

    The split (1,437 training and 360 test images) is drawn from ``seed``; inputs are
    standardised by the training split's mean and deviation.

    Reference: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998,
    as bundled with scikit-learn.

    Example:
        >>> load_digits_workload(seed=0).train_inputs.shape
        torch.Size([1437, 64])
    """
    # Imported here: scikit-learn takes half a second that no other workload should pay.
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    test, train = order[:TEST_SAMPLES], order[TEST_SAMPLES:]
    inputs = torch.from_numpy(images.astype(np.float32))
    targets = torch.from_numpy(labels.astype(np.int64))
    train_inputs, test_inputs = standardise(inputs[train], inputs[test])
    return Workload(
        name="digits",
        title="scikit-learn digits (1,797 images of 8×8), ReLU network 64-16-16-10",
        train_inputs=train_inputs,
        train_targets=targets[train],
        test_inputs=test_inputs,
        test_targets=targets[test],
        build_model=partial(build_mlp, (64, 16, 16, 10), initialisation="lecun"),
        loss=cross_entropy,
        target_accuracy=0.95,
        batch_size=None,
        evaluate_every=1,
        # At damping 1 most curvature is far below λ, so a step of length β moves those directions
        # as gradient descent of rate β does; β h/(1+h) < 2 keeps it stable up to curvature 20.
        newton_lr=2.1,
        sgd_learning_rates=(0.01, 0.03, 0.1, 0.3, 1.0),
        source="sklearn.datasets.load_digits",
    )
