"""Matrices, systems and models that the tests of several packages use, the same at every call."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from qnewton import Classical, QNewton
from qnewton.cost import nominal_calibration
from qnewton.operators import DenseFactor, LinearSystem, LowRankOperator
from qnewton.records import Treatment
from qnewton.solvers import RUNNERS
from qnewton.solvers.quantum import QuantumSolution

NOMINAL = nominal_calibration()

OF_FACTORS = ("woodbury", "augmented_qr", "lsmr")
"""Solvers of U Uᵀ + λI alone."""

_HELD_OTHERWISE = (*OF_FACTORS, "pcg_nystrom", "eigenbasis")
ANY_MATRIX = tuple(name for name in RUNNERS if name not in _HELD_OTHERWISE)
"""Solvers that need neither a factor, nor eigenvectors, nor damping on record."""


RESOLVED = 1e-9
"""How far two output states of a quantum solver may be apart where both are resolved."""


def same_output(one: QuantumSolution, other: QuantumSolution, tolerance: float = RESOLVED) -> bool:
    """Return whether two outputs have the same state and the same chance of success."""
    chance = other.success_probability
    near = abs(one.success_probability - chance) <= max(10 * tolerance * chance, 1e-12)
    return float((one.state - other.state).norm()) <= tolerance and near


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return Gaussian numbers; those of a lower precision are the same, rounded."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def labels(*shape: int, classes: int = 3, seed: int = 2) -> Tensor:
    """Return random classes."""
    return torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(seed))


def orthogonal(n: int, seed: int = 0) -> Tensor:
    """Return a random orthogonal matrix, [n, n] in float64."""
    return torch.linalg.qr(draw(n, n, seed=seed))[0]


def with_spectrum(
    eigenvalues: Sequence[float] | Tensor, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return Q diag(eigenvalues) Qᵀ for a random orthogonal Q, symmetric to the bit."""
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    basis = orthogonal(len(values), seed)
    matrix = (basis * values) @ basis.mT
    return ((matrix + matrix.mT) / 2).to(dtype)


def geometric(n: int, kappa: float, *, indefinite: bool = False, seed: int = 0) -> Tensor:
    """Return n eigenvalues from 1 down to 1/κ, geometrically; about half negative on request."""
    values = torch.logspace(0.0, -math.log10(kappa), n, dtype=torch.float64)
    if indefinite:
        generator = torch.Generator().manual_seed(seed)
        values = torch.where(torch.rand(n, generator=generator) < 0.5, -values, values)
    return values


def symmetric(n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return M + Mᵀ of a Gaussian M."""
    matrix = draw(n, n, seed=seed, dtype=dtype)
    return matrix + matrix.mT


def definite(n: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return M Mᵀ/n + I/10 of a Gaussian M."""
    factor = draw(n, n, seed=seed, dtype=dtype)
    matrix = factor @ factor.mT / n + 0.1 * torch.eye(n, dtype=dtype)
    return (matrix + matrix.mT) / 2


def low_rank(
    n: int, k: int, shift: float = 0.0, seed: int = 0, dtype: torch.dtype = torch.float64
) -> LowRankOperator:
    """Return U Uᵀ + shift·I of a Gaussian U, [n, k], whose entries have variance 1/k."""
    factor = draw(n, k, seed=seed) / max(k, 1) ** 0.5
    return LowRankOperator(DenseFactor(factor.to(dtype)), shift, Treatment(damping=shift))


def least_squares(
    rows: int, n: int, kappa: float, noise: float = 0.1, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return J, [rows, n] of condition number κ and norm 1, and a target near its range."""
    few = min(rows, n)
    left, right = orthogonal(rows, seed=1)[:, :few], orthogonal(n, seed=2)[:, :few]
    jacobian = (left * geometric(few, kappa)) @ right.mT
    inside = jacobian @ draw(n, seed=3)
    target = inside / inside.norm() + noise * draw(rows, seed=4) / rows**0.5
    return jacobian.to(dtype), target.to(dtype)


def squares(jacobian: Tensor, target: Tensor, shift: float) -> LinearSystem:
    """Return the system of min ‖Jx - t‖² + λ‖x‖², which knows its target."""
    operator = LowRankOperator(DenseFactor(jacobian.mT), shift, Treatment(damping=shift))
    return LinearSystem(operator, jacobian.mT @ target, target=target)


def mlp(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
    bias: bool = True,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Any:  # nn.Sequential, whose items pyright takes for any module
    """Return linear layers of these widths, an activation between them, Gaussian weights."""
    modules: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        modules += [activation()] if index else []
        modules.append(nn.Linear(inputs, outputs, bias=bias, dtype=dtype))
    net = nn.Sequential(*modules)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=dtype) / 2)
    return net


def classification(
    samples: int, inputs: int, classes: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return Gaussian inputs, [samples, inputs], and random classes."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, inputs, generator=generator, dtype=dtype)
    return x, torch.randint(0, classes, (samples,), generator=generator)


def flat(model: nn.Module) -> Tensor:
    """Return a copy of all parameters as one vector."""
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def newton(params: Any, **settings: Any) -> QNewton:
    """Return an optimizer that prices by nominal rates, whatever calibration this machine has."""
    return QNewton(params, classical=Classical(calibration=NOMINAL), **settings)


class OnceRelu(torch.autograd.Function):
    """A ReLU whose backward pass cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # type: ignore[override]
        return gradients[0] * (ctx.saved_tensors[0] > 0)
