"""Six full-batch problems with finite, isolated minimisers, small enough for a dense Hessian.

Each has weight decay in its loss, written as its users write it, which makes the minimiser finite
and its Hessian positive definite. All are float64: a gradient of norm 1e-8 is out of float32's
reach.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

SEED = 0


@dataclass(frozen=True)
class FullBatchProblem:
    """A model and a deterministic loss of its parameters.

    Attributes:
        name: What the table calls it.
        title: Data, model and weight decay in one line.
        model: At its starting point; float64.
        loss: The loss at the model's parameters, with its graph.
    """

    name: str
    title: str
    model: nn.Module
    loss: Callable[[], Tensor]

    @property
    def n(self) -> int:
        """Number of parameters N."""
        return sum(p.numel() for p in self.model.parameters())


def logistic_regression() -> FullBatchProblem:
    """Return even digits against odd ones, strongly regularised: N = 65, κ in the hundreds.

    The home ground of quasi-Newton methods, here so that the table has a problem on which second
    order has nothing to win.
    """
    inputs, labels = _digits()
    even = (labels % 2 == 0).double()
    model = _seeded(lambda: nn.Linear(64, 1))
    decay = 1e-2

    def loss() -> Tensor:
        fit = binary_cross_entropy_with_logits(model(inputs).squeeze(1), even)
        return fit + decay / 2 * _squares(model)

    return FullBatchProblem(
        "logistic regression", f"digits, even or odd, L2 {decay:g}", model, loss
    )


def unscaled_logistic_regression() -> FullBatchProblem:
    """Return breast cancer from thirty measurements as they come: N = 31, κ above 1e6.

    Areas are in the thousands and fractal dimensions in the hundredths. It is the problem behind
    scikit-learn's "lbfgs failed to converge": scaling the inputs would mend this one, but nobody
    scales the hidden layers of a network, where the same happens.
    """
    measurements, labels = load_breast_cancer(return_X_y=True)
    inputs, benign = torch.from_numpy(measurements), torch.from_numpy(labels).double()
    model = _seeded(lambda: nn.Linear(30, 1))
    decay = 1e-4

    def loss() -> Tensor:
        fit = binary_cross_entropy_with_logits(model(inputs).squeeze(1), benign)
        return fit + decay / 2 * _squares(model)

    return FullBatchProblem(
        "unscaled logistic regression", f"breast cancer, raw inputs, L2 {decay:g}", model, loss
    )


def polynomial_regression() -> FullBatchProblem:
    """Return least squares on all cubic monomials of ten measurements: N = 286, κ above 1e6.

    The loss is quadratic, so that conditioning is all there is to it. Monomials of correlated
    measurements are nearly collinear, and a few (of the binary one) exactly.
    """
    inputs, targets = _diabetes()
    features = PolynomialFeatures(degree=3, include_bias=False).fit_transform(inputs.numpy())
    design = _standardised(torch.from_numpy(features))
    model = _seeded(lambda: nn.Linear(design.shape[1], 1))
    decay = 1e-6

    def loss() -> Tensor:
        return _half_mean_square(model(design) - targets) + decay / 2 * _squares(model)

    return FullBatchProblem(
        "polynomial regression", f"diabetes, cubic monomials, L2 {decay:g}", model, loss
    )


def poisson_pinn() -> FullBatchProblem:
    """Return a physics-informed network for u'' = f on [0, 1]: 1-10-10-1 tanh, N = 141.

    The loss holds second derivatives in x, whose square makes it stiff: κ is far above 1e6, and
    first-order training of such networks is known to stall (Krishnapriyan et al., NeurIPS 2021).
    The solution is u = sin(πx) + sin(4πx)/4 with u(0) = u(1) = 0.
    """
    model = _seeded(lambda: _tanh_network(1, 10, 10, 1))
    points = torch.linspace(0, 1, 64, dtype=torch.float64).unsqueeze(1)
    edge = points[[0, -1]]
    force = -(math.pi**2) * (torch.sin(math.pi * points) + 4 * torch.sin(4 * math.pi * points))
    decay = 1e-4

    def loss() -> Tensor:
        x = points.clone().requires_grad_()
        [slope] = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        [bend] = torch.autograd.grad(slope.sum(), x, create_graph=True)
        inside = _half_mean_square((bend - force) / math.pi**2)
        return inside + _half_mean_square(model(edge)) + decay / 2 * _squares(model)

    return FullBatchProblem("Poisson PINN", f"1-10-10-1 tanh, 64 points, L2 {decay:g}", model, loss)


def digit_autoencoder() -> FullBatchProblem:
    """Return a tanh autoencoder of 400 digits through two units: 64-2-64, N = 322, κ near 1e4.

    The decay alone settles how units are scaled against the decoder and rotated into each other.
    Of the six it is the one whose Hessian costs most gradients, 322, so that each step has to
    save hundreds of evaluations.
    """
    images, _ = _digits()
    inputs = images[:400]
    model = _seeded(lambda: _tanh_network(64, 2, 64))
    decay = 1e-4

    def loss() -> Tensor:
        return _half_mean_square(model(inputs) - inputs) + decay / 2 * _squares(model)

    return FullBatchProblem(
        "digit autoencoder", f"400 digits, 64-2-64 tanh, L2 {decay:g}", model, loss
    )


def diabetes_network() -> FullBatchProblem:
    """Return the progression of diabetes from ten measurements: 10-8-1 tanh, N = 97.

    A regression as textbooks have it: non-convex, with κ near 1e4 at its minimisers.
    """
    inputs, targets = _diabetes()
    model = _seeded(lambda: _tanh_network(10, 8, 1))
    decay = 1e-3

    def loss() -> Tensor:
        return _half_mean_square(model(inputs) - targets) + decay / 2 * _squares(model)

    return FullBatchProblem("diabetes network", f"10-8-1 tanh, L2 {decay:g}", model, loss)


PROBLEMS: tuple[Callable[[], FullBatchProblem], ...] = (
    logistic_regression,
    unscaled_logistic_regression,
    polynomial_regression,
    poisson_pinn,
    digit_autoencoder,
    diabetes_network,
)


def _digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images) / 16, torch.from_numpy(labels)


def _diabetes() -> tuple[Tensor, Tensor]:
    measurements, progression = load_diabetes(return_X_y=True)
    targets = torch.from_numpy(progression).unsqueeze(1)
    return _standardised(torch.from_numpy(measurements)), _standardised(targets)


def _standardised(columns: Tensor) -> Tensor:
    return (columns - columns.mean(dim=0)) / columns.std(dim=0)


def _half_mean_square(residual: Tensor) -> Tensor:
    return residual.square().mean() / 2


def _squares(model: nn.Module) -> Tensor:
    return torch.stack([p.square().sum() for p in model.parameters()]).sum()


def _tanh_network(*widths: int) -> nn.Module:
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _seeded(build: Callable[[], nn.Module]) -> nn.Module:
    # The default initialisation draws from the global generator, which is put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return build().double()
