"""Three networks on 10,000 images of MNIST: a classifier, a VAE, a head on a frozen body."""

import functools

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from benchmarks.minibatch.workloads.training import (
    Batch,
    Training,
    Workload,
    accuracy,
    mean_over,
    seeded,
    shuffled,
    supervised,
)
from qnewton.workloads.mnist import MD5, mnist_arrays

_TRAIN, _TEST = 10_000, 2000
_BODY_STEPS = 150


def convolutional(seed: int) -> Training:
    """Return two convolutions with batch normalisation, and dropout before two layers, batch 64."""

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 16, 3),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(32 * 5 * 5, 64),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(64, 10),
        )

    splits = _mnist()
    batches = shuffled(splits[0], 64, seed)
    return supervised(seeded(build, seed), cross_entropy, splits, batches, accuracy)


class _VariationalAutoencoder(nn.Module):
    """784-400-20-400-784; the noise of a code is drawn anew at every pass.

    Reference: D. Kingma, M. Welling, Auto-Encoding Variational Bayes, arXiv:1312.6114.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU())
        self.mean = nn.Linear(400, 20)
        self.log_variance = nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder(pixels)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        code = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return self.decoder(code), mean, log_variance


def variational(seed: int) -> Training:
    """Return the negative evidence bound of images, in nats per image, batch 128."""
    train, test = ((images.flatten(1),) for images, _ in _mnist())
    model = seeded(_VariationalAutoencoder, seed)

    def loss(batch: Batch) -> Tensor:
        (pixels,) = batch
        logits, mean, log_variance = model(pixels)
        told = binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        return (told + divergence) / len(pixels)

    def evaluated(data: Batch) -> float:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return mean_over(model, loss, data)

    return Training(
        model=model,
        batches=shuffled(train, 128, seed),
        loss=loss,
        full_loss=lambda: evaluated(train),
        held_out=lambda: evaluated(test),
    )


def frozen_body(seed: int) -> Training:
    """Return a linear head for the digits 5 to 9, on a body that learned 0 to 4, batch 64."""
    splits = tuple((images[labels >= 5], labels[labels >= 5] - 5) for images, labels in _mnist())
    head = seeded(lambda: nn.Linear(128, 5), seed)
    model = nn.Sequential(_body(), head)
    batches = shuffled(splits[0], 64, seed)
    return supervised(model, cross_entropy, (splits[0], splits[1]), batches, accuracy)


IMAGES = (
    Workload(
        "CNN",
        "10,000 of MNIST, two convolutions with BatchNorm, two layers with Dropout, batch 64",
        "accuracy",
        True,
        convolutional,
    ),
    Workload("VAE", "10,000 of MNIST, 784-400-20-400-784, batch 128", "bound", False, variational),
    Workload(
        "frozen body",
        "digits 5 to 9 of MNIST, a linear head on a convolutional body, batch 64",
        "accuracy",
        True,
        frozen_body,
    ),
)


@functools.cache
def _mnist() -> tuple[Batch, Batch]:
    """Return images [n, 1, 28, 28] in [0, 1] and labels, of both splits."""
    arrays, _ = mnist_arrays(None)
    train, train_labels, test, test_labels = (torch.tensor(arrays[name]) for name in MD5)
    return (
        (train[:_TRAIN, None].float() / 255, train_labels[:_TRAIN].long()),
        (test[:_TEST, None].float() / 255, test_labels[:_TEST].long()),
    )


@functools.cache
def _body() -> nn.Module:
    """Return a body of 128 outputs, trained by Adam on the digits 0 to 4, and frozen."""

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 16, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 5 * 5, 128),
            nn.ReLU(),
        )

    (images, labels), _ = _mnist()
    body = seeded(build, 0)
    network = nn.Sequential(body, seeded(lambda: nn.Linear(128, 5), 0))
    adam = torch.optim.Adam(network.parameters())
    batches = shuffled((images[labels < 5], labels[labels < 5]), 64, 0)
    for _ in range(_BODY_STEPS):
        inputs, targets = next(batches)
        adam.zero_grad()
        cross_entropy(network(inputs), targets).backward()
        adam.step()
    return body.requires_grad_(False)
