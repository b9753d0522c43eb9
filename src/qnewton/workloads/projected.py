"""Three of scikit-learn's digits behind a random projection: blocks small enough for circuits."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qnewton.workloads.base import NewtonDefaults, Workload, standardise
from qnewton.workloads.mlp import build_mlp

CLASSES = 3
FEATURES = 5
TEST_SAMPLES = 107


def load_projected_digits_workload(seed: int) -> Workload:
    """Return the workload ``projected-digits``: a 5-3-3 ReLU network, N = 30 in float64.

    The 537 images of a 0, 1 or 2 are projected on five directions that ``seed`` draws, and split
    into 430 for training and 107 for the test. Block by tensor, Newton's systems have 3, 9 and 15
    unknowns.

    Example:
        >>> workload = load_projected_digits_workload(seed=0)
        >>> [p.numel() for p in workload.build_model(0).parameters()]
        [15, 3, 9, 3]
    """
    # Imported here: scikit-learn takes half a second that no other workload should pay.
    from sklearn.datasets import load_digits

    images, labels = load_digits(n_class=CLASSES, return_X_y=True)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    projected = images @ generator.standard_normal((images.shape[1], FEATURES))
    inputs = torch.from_numpy(projected[order])
    targets = torch.from_numpy(labels[order].astype(np.int64))
    test_inputs, inputs = inputs[:TEST_SAMPLES], inputs[TEST_SAMPLES:]
    test_targets, targets = targets[:TEST_SAMPLES], targets[TEST_SAMPLES:]
    inputs, test_inputs = standardise(inputs, test_inputs)
    return Workload(
        name="projected-digits",
        title="scikit-learn digits 0 to 2 on 5 random directions, ReLU network 5-3-3",
        train_inputs=inputs,
        train_targets=targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        build_model=_build,
        loss=cross_entropy,
        target_accuracy=0.85,
        batch_size=None,
        evaluate_every=1,
        newton_lr=2.0,
        sgd_learning_rates=(0.01, 0.03, 0.1, 0.3, 1.0),
        source="sklearn.datasets.load_digits",
        newton=NewtonDefaults(blocks="tensor"),
    )


def _build(seed: int) -> nn.Module:
    # In float64 two runs differ by their solvers alone, not by rounding.
    return build_mlp((FEATURES, 3, CLASSES), seed, "lecun").double()
