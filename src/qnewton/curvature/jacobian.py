"""Products with the Jacobian of the model's output, and the Gauss-Newton products made of them."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, grad_with_graph
from qnewton.curvature.output_loss import OutputLoss


class JacobianGraph:
    """J = ∂f/∂θ by its products; no entry is formed.

    Jᵀu is one backward pass. Being linear in u, it is differentiated once more for
    J v = ∂/∂u (vᵀJᵀu), without forward-mode rules (the double-vjp trick).

    Args:
        output: f, with its graph.
        parameters: All parameters whose blocks will be asked for.

    Attributes:
        parameters: The same.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> graph = JacobianGraph(x**2, [x])
        >>> graph.forward([x], torch.eye(2)), graph.backward([x], torch.ones(1, 2))
        (tensor([[2., 0.],
                [0., 4.]]), tensor([[2., 4.]]))
    """

    def __init__(self, output: Tensor, parameters: Sequence[Tensor]) -> None:
        self._output = output
        self.parameters = tuple(parameters)

    @cached_property
    def _transposed(self) -> tuple[Tensor, dict[int, Tensor | None]]:
        """A placeholder u, and Jᵀu of every parameter as a function of it."""
        placeholder = torch.zeros_like(self._output, requires_grad=True)
        pulled = grad_with_graph(self._output, self.parameters, placeholder)
        return placeholder, {id(p): w for p, w in zip(self.parameters, pulled, strict=True)}

    def forward(self, parameters: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return J v, shape [K, *f.shape], for K vectors over ``parameters``, shape [K, n].

        Raises:
            ValueError: If the network cannot be differentiated twice.

        Cost: about one backward pass a vector, and once a backward pass with a graph.
        """
        placeholder, pulled = self._transposed
        pieces = vectors.split([p.numel() for p in parameters], dim=1)
        outputs, cotangents = [], []
        for parameter, piece in zip(parameters, pieces, strict=True):
            transposed = pulled[id(parameter)]
            if transposed is not None:
                outputs.append(transposed)
                cotangents.append(piece.reshape(-1, *parameter.shape))
        found = batched_grad(outputs, [placeholder], cotangents)[0] if outputs else None
        if found is None:
            return vectors.new_zeros((vectors.shape[0], *self._output.shape))
        return found.to(vectors.dtype)

    def backward(self, parameters: Sequence[Tensor], cotangents: Tensor) -> Tensor:
        """Return Jᵀu over ``parameters``, shape [K, n], for K cotangents, [K, *f.shape].

        Cost: K backward passes.
        """
        found = batched_grad([self._output], parameters, [cotangents.to(self._output.dtype)])
        return torch.cat(
            [
                cotangents.new_zeros((cotangents.shape[0], parameter.numel()))
                if part is None
                else part.reshape(len(cotangents), -1)
                for part, parameter in zip(found, parameters, strict=True)
            ],
            dim=1,
        )


class GaussNewtonGraph:
    """G = Jᵀ (∂²L/∂f²) J, product by product.

    Args:
        loss: The loss as a function of the output.
        jacobian: J.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> f = x**2
        >>> loss = OutputLoss((f**2).sum() / 2, f, torch.float32)
        >>> GaussNewtonGraph(loss, JacobianGraph(f, [x])).products([x], torch.eye(2))
        tensor([[ 4.,  0.],
                [ 0., 16.]])
    """

    # J v and Jᵀu take two thirds of a forward and backward pass each.
    passes = 4 / 3

    def __init__(self, loss: OutputLoss, jacobian: JacobianGraph) -> None:
        self._loss = loss
        self._jacobian = jacobian

    def products(self, parameters: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V G for the diagonal block G of ``parameters`` and V of shape [K, n].

        Cost: about 4K/3 forward and backward passes of the network, K double backwards of the loss.
        """
        return self.rows(parameters, parameters, vectors)

    def rows(self, of: Sequence[Tensor], at: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V G for the rows of parameters ``of`` and the columns of parameters ``at``."""
        moved = self._jacobian.forward(of, vectors)
        return self._jacobian.backward(at, self._loss.products(moved))
