"""Slow and certain answers to compare with: they share no code with the library."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import torch
from torch import Tensor, nn


def condition_number(matrix: Tensor) -> float:
    """Return max|λ|/min|λ| from all eigenvalues in float64."""
    sizes = torch.linalg.eigvalsh(matrix.double()).abs()
    return float(sizes.max() / sizes.min())


def gradient(value: Tensor, parameters: Sequence[Tensor], keep: bool = False) -> Tensor:
    """Return ∂value/∂θ as one vector; zero where nothing depends on a parameter."""
    found = torch.autograd.grad(
        value,
        list(parameters),
        create_graph=keep,
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return torch.cat([piece.reshape(-1) for piece in found])


def hessian(loss: Callable[[], Tensor], parameters: Sequence[Tensor]) -> Tensor:
    """Return the N × N Hessian of ``loss()`` row by row, by double backward."""
    rows = [gradient(entry, parameters) for entry in gradient(loss(), parameters, keep=True)]
    return torch.stack(rows).detach()


def func_hessian(model: nn.Module, loss: Callable[[Any], Tensor]) -> Tensor:
    """Return the Hessian of ``loss(forward)`` in the trainable parameters, by torch.func."""
    trainable = {k: p.detach() for k, p in model.named_parameters() if p.requires_grad}
    frozen = {k: p.detach() for k, p in model.named_parameters() if not p.requires_grad}
    buffers = {k: b.clone() for k, b in model.named_buffers()}
    sizes = [p.numel() for p in trainable.values()]

    def of_flat(flat: Tensor) -> Tensor:
        pieces = flat.split(sizes)
        values = {
            k: piece.view(p.shape) for (k, p), piece in zip(trainable.items(), pieces, strict=True)
        }

        def forward(*inputs: Tensor) -> Tensor:
            return torch.func.functional_call(model, {**values, **frozen, **buffers}, inputs)

        forward.values = values  # type: ignore[attr-defined]
        return loss(forward)

    flat = torch.cat([p.flatten() for p in trainable.values()])
    return torch.func.hessian(of_flat)(flat)


def gauss_newton(model: nn.Module, loss: Callable[[Tensor], Tensor], *inputs: Tensor) -> Tensor:
    """Return Jᵀ (∂²L/∂f²) J with the whole ∂²L/∂f², whatever interacts in it, by torch.func."""
    values = {k: p.detach() for k, p in model.named_parameters()}
    sizes = [p.numel() for p in values.values()]

    def output(flat: Tensor) -> Tensor:
        pieces = zip(values.items(), flat.split(sizes), strict=True)
        named = {k: piece.view(p.shape) for (k, p), piece in pieces}
        return torch.func.functional_call(model, named, inputs)

    flat = torch.cat([p.flatten() for p in values.values()])
    f = output(flat)
    jacobian = torch.func.jacrev(output)(flat).reshape(f.numel(), -1)
    outer = torch.func.hessian(loss)(f).reshape(f.numel(), f.numel())
    return jacobian.mT @ outer @ jacobian


def sample_gradients(
    model: nn.Module, loss: Callable[[Tensor, int], Tensor], inputs: Tensor
) -> Tensor:
    """Return [g_1 … g_n]/√n, the gradient of each sample's own loss, one run of the model each."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    columns = [gradient(loss(model(inputs[i : i + 1]), i), parameters) for i in range(len(inputs))]
    return torch.stack(columns, 1) / math.sqrt(len(inputs))


def newton_step(loss: Callable[[], Tensor], parameters: Sequence[Tensor], damping: float) -> Tensor:
    """Return -(H + λI)⁻¹g by double backward and a dense solve."""
    g = gradient(loss(), parameters)
    damped = hessian(loss, parameters) + damping * torch.eye(len(g), dtype=g.dtype)
    return -torch.linalg.solve(damped, g)


def difference_quotient(
    what: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    step: float = 2e-3,
    restore: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return ∂what/∂θ, [N, *what.shape], by four-point differences.

    ``restore`` is called after each evaluation, for what evaluating changes (running statistics).
    """
    rows = []
    for parameter in parameters:
        entries = parameter.detach().view(-1)
        for index in range(entries.numel()):
            kept, total = entries[index].clone(), torch.zeros(())
            for share, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                entries[index] = kept + share * step
                total = total + weight * what()
                restore()
            entries[index] = kept
            rows.append(total / (12 * step))
    return torch.stack(rows)


def damped_fit(jacobian: Tensor, target: Tensor, shift: float) -> Tensor:
    """Return argmin ‖Jx - t‖² + λ‖x‖² of the given float64 numbers, in 60 digits."""
    with mpmath.workdps(60):
        rows, t = mpmath.matrix(jacobian.double().tolist()), mpmath.matrix(target.double().tolist())
        matrix = rows.T * rows + mpmath.mpf(shift) * mpmath.eye(rows.cols)
        exact = mpmath.lu_solve(matrix, rows.T * t)
        return torch.tensor([float(x) for x in exact], dtype=torch.float64)
