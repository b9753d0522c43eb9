"""Levenberg-Marquardt for Poisson 2-D as one writes it by hand, on Jacobians by ``torch.func``.

The residual of one point is a function of the parameters; ``vmap`` of its gradient is the
Jacobian. What a closure hides from an optimizer is known here from the start.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, vmap

_HIGHEST_DAMPING = 1e12


class PoissonByHand:
    """½ Σ r² of Poisson 2-D, and its steps.

    Args:
        model: The network; its parameters follow every step.
        inside: Points with -Δu = 2π² sin(πx) sin(πy), [M, 2].
        edge: Points with u = 0, [E, 2].
    """

    def __init__(self, model: nn.Module, inside: Tensor, edge: Tensor) -> None:
        self._model = model
        self._named = dict(model.named_parameters())
        self._sizes = [parameter.numel() for parameter in self._named.values()]
        self._parts: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor]] = [
            (self._inside, inside),
            (self._edge, edge),
        ]
        self._vector = nn.utils.parameters_to_vector(self._named.values()).detach()
        self._residual = self.residual(self._vector)
        self._damping = 1.0

    @property
    def loss(self) -> float:
        """½ Σ r² at the parameters."""
        return 0.5 * float(self._residual @ self._residual)

    def step(self) -> bool:
        """Take one step that lowers the loss; ``False`` if there is none."""
        rows = self.jacobian(self._vector)
        matrix, gradient = rows.mT @ rows, rows.mT @ self._residual
        loss = self.loss
        eye = torch.eye(len(gradient), dtype=gradient.dtype)
        while self._damping <= _HIGHEST_DAMPING:
            step = torch.linalg.solve(matrix + self._damping * eye, -gradient)
            residual = self.residual(self._vector + step)
            gain = loss - 0.5 * float(residual @ residual)
            if gain > 0:
                expected = -float(gradient @ step + 0.5 * step @ (matrix @ step))
                self._damping /= 5 if gain > 0.75 * expected else 1
                self._vector, self._residual = self._vector + step, residual
                nn.utils.vector_to_parameters(self._vector, self._model.parameters())
                return True
            self._damping *= 4
        return False

    def residual(self, vector: Tensor) -> Tensor:
        """Return r, scaled so that ½ Σ r² is half the mean inside plus half that on the edge."""
        return torch.cat(
            [vmap(at, (None, 0))(vector, x) / math.sqrt(len(x)) for at, x in self._parts]
        ).detach()

    def jacobian(self, vector: Tensor) -> Tensor:
        """Return ∂r/∂θ, [M + E, N]."""
        return torch.cat(
            [vmap(grad(at), (None, 0))(vector, x) / math.sqrt(len(x)) for at, x in self._parts]
        ).detach()

    def _inside(self, vector: Tensor, point: Tensor) -> Tensor:
        bends = hessian(lambda x: self._edge(vector, x))(point)
        return torch.trace(bends) + 2 * math.pi**2 * torch.sin(math.pi * point).prod()

    def _edge(self, vector: Tensor, point: Tensor) -> Tensor:
        return functional_call(self._model, self._tensors(vector), (point[None],)).squeeze()

    def _tensors(self, vector: Tensor) -> dict[str, Tensor]:
        pieces = zip(self._named.items(), vector.split(self._sizes), strict=True)
        return {name: piece.view(parameter.shape) for (name, parameter), piece in pieces}
