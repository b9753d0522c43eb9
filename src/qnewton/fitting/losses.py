"""Robust losses: ρ(z) of squared residuals z = (f/C)², and least squares made of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor


class Rho(NamedTuple):
    """A loss and its first two derivatives, each of shape [M]."""

    value: Tensor
    first: Tensor
    second: Tensor


class Loss(Protocol):
    """What is summed over the residuals, and the least squares problem that stands for it."""

    @property
    def robust(self) -> bool:
        """Whether it is another than the sum of squares."""
        ...

    def cost(self, residuals: Tensor) -> float:
        """Return ½ Σ C²·ρ((f/C)²)."""
        ...

    def weigh(self, residuals: Tensor, transposed: Tensor) -> tuple[Tensor, Tensor]:
        """Return f̃ and J̃ᵀ with the gradient J̃ᵀf̃, and a J̃ᵀJ̃ that steps can trust."""
        ...

    def curved(self, residuals: Tensor, transposed: Tensor) -> Tensor:
        """Return J̃ᵀ with J̃ᵀJ̃ near the Hessian, for what is said of the minimum."""
        ...


class Linear:
    """ρ(z) = z: least squares as they are."""

    robust = False

    def cost(self, residuals: Tensor) -> float:
        """Return ½‖f‖², summed in float64."""
        if residuals.dtype == torch.float64 and residuals.device.type == "cpu":
            found = residuals.numpy()
            with np.errstate(over="ignore"):
                return 0.5 * float(found.dot(found))
        wide = residuals.double()
        return 0.5 * float(wide.dot(wide))

    def weigh(self, residuals: Tensor, transposed: Tensor) -> tuple[Tensor, Tensor]:
        """Return both as they are."""
        return residuals, transposed

    def curved(self, residuals: Tensor, transposed: Tensor) -> Tensor:
        """Return the Jacobian as it is."""
        return transposed


@dataclass(frozen=True)
class Robust:
    """A loss that grows slower than the square: outliers beyond the scale C pull less."""

    rho: Callable[[Tensor], Rho]
    scale: float
    robust: bool = True

    def cost(self, residuals: Tensor) -> float:
        """Return ½ Σ C²·ρ((f/C)²), summed in float64."""
        z = (residuals.double() / self.scale).square()
        return 0.5 * self.scale**2 * float(self.rho(z).value.sum())

    def weigh(self, residuals: Tensor, transposed: Tensor) -> tuple[Tensor, Tensor]:
        """Reweigh each residual and its row by √ρ' (Holland and Welsch 1977).

        ρ is concave in z for each loss here, so that this model lies above the cost as far as f is
        linear, and the step goes down. It lacks ρ'', which the fit learns with the second
        derivatives of f. To scale by the Hessian's own weight instead, as SciPy does, makes
        rows of outliers nearly vanish and took up to twice the evaluations.
        """
        root = self.rho((residuals / self.scale).square()).first.sqrt()
        return residuals * root, transposed * root

    def curved(self, residuals: Tensor, transposed: Tensor) -> Tensor:
        """Scale each row by the root of ρ' + 2ρ''z, the Hessian's weight without f''.

        Where that is negative, a tiny one stands for it, as in SciPy (Triggs et al. 2000, 4.3).
        """
        z = (residuals / self.scale).square()
        rho = self.rho(z)
        weight = rho.first + 2 * rho.second * z
        return transposed * weight.clamp(min=torch.finfo(z.dtype).eps).sqrt()


def _soft_l1(z: Tensor) -> Rho:
    """ρ = 2(√(1+z) - 1)."""
    t = 1 + z
    return Rho(2 * z / (1 + t.sqrt()), t**-0.5, -0.5 * t**-1.5)


def _huber(z: Tensor) -> Rho:
    """ρ = z up to 1, 2√z - 1 beyond."""
    inner = z <= 1
    safe = torch.where(inner, torch.ones_like(z), z)
    root = safe.sqrt()
    return Rho(
        torch.where(inner, z, 2 * root - 1),
        torch.where(inner, torch.ones_like(z), 1 / root),
        torch.where(inner, torch.zeros_like(z), -0.5 * safe**-1.5),
    )


def _cauchy(z: Tensor) -> Rho:
    """ρ = ln(1 + z)."""
    t = 1 + z
    return Rho(torch.log1p(z), 1 / t, -1 / t.square())


def _arctan(z: Tensor) -> Rho:
    """ρ = arctan z."""
    t = 1 + z.square()
    return Rho(torch.arctan(z), 1 / t, -2 * z / t.square())


ROBUST: dict[str, Callable[[Tensor], Rho]] = {
    "soft_l1": _soft_l1,
    "huber": _huber,
    "cauchy": _cauchy,
    "arctan": _arctan,
}


def loss_of(loss: str | Callable[[Tensor], Any], scale: float) -> Loss:
    """Return a loss by its name, or from a function as SciPy takes one.

    Raises:
        ValueError: For another name, or a scale that is not positive.
    """
    if not 0 < scale < float("inf"):
        raise ValueError(f"f_scale is {scale}, and a positive number is needed")
    if callable(loss):
        return Robust(_checked(loss), float(scale))
    table = {"linear": None, **ROBUST}
    if loss not in table:
        raise ValueError(
            f"loss is {loss!r}; choose from {', '.join(table)}, or pass a function of z = (f/C)² "
            "that returns ρ, ρ' and ρ''"
        )
    rho = table[loss]
    return Linear() if rho is None else Robust(rho, float(scale))


def _checked(loss: Callable[[Tensor], Any]) -> Callable[[Tensor], Rho]:
    def rho(z: Tensor) -> Rho:
        found = loss(z)
        if len(found) != 3 or any(len(part) != len(z) for part in found):
            raise ValueError(
                f"loss must return ρ, ρ' and ρ'' of {len(z)} numbers each, shape [3, {len(z)}]"
            )
        return Rho(*(torch.as_tensor(part).to(z) for part in found))

    return rho
