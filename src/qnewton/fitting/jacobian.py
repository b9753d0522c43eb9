"""Jacobians of a function of a vector: ways to make one, each from what an evaluation left.

A route evaluates the function so that its Jacobian can follow, and makes the transposed Jacobian
from the trace. Most evaluations of a fit become the next point, so the graph is seldom in vain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from qnewton.fitting.residuals import Residuals
from qnewton.fitting.result import JacobianKind

# Entries of a batch of products: 64 MiB of float64.
_BATCH_ENTRIES = 1 << 23


@dataclass(frozen=True)
class Trace:
    """An evaluation.

    Attributes:
        leaf: The parameters as the function got them.
        output: What it returned.
        residuals: The residuals, shape [M].
        rounding: Of the coarser of the dtypes of parameters and residuals.
    """

    leaf: Tensor
    output: Tensor
    residuals: Tensor
    rounding: float


class Route(Protocol):
    """One way to a Jacobian."""

    @property
    def kind(self) -> JacobianKind:
        """How the result names it."""
        ...

    def evaluate(self, x: Tensor) -> Trace:
        """Return the residuals at ``x``, shape [M], with what the Jacobian is made from."""
        ...

    def transposed(self, trace: Trace) -> Tensor:
        """Return Jᵀ, shape [N, M]."""
        ...


@dataclass(frozen=True)
class Rows:
    """One product uᵀJ per residual, in batches: for fewer residuals than parameters."""

    residuals: Residuals
    kind: JacobianKind = JacobianKind.ROWS

    def evaluate(self, x: Tensor) -> Trace:
        """Evaluate with a graph."""
        return graphed(self.residuals, x)

    def transposed(self, trace: Trace) -> Tensor:
        """Return Jᵀ from M backward products."""
        return _products(trace.output, trace.leaf, len(trace.leaf)).T


@dataclass(frozen=True)
class Columns:
    """One product J·v per parameter, as the derivative of Jᵀu, which is linear in u, along v.

    Needs no forward mode, so that functions with their own calls of ``autograd.grad`` are served.
    """

    residuals: Residuals
    kind: JacobianKind = JacobianKind.COLUMNS

    def evaluate(self, x: Tensor) -> Trace:
        """Evaluate with a graph."""
        return graphed(self.residuals, x)

    def transposed(self, trace: Trace) -> Tensor:
        """Return Jᵀ from N products through the graph of the gradient."""
        weights = torch.zeros_like(trace.output).requires_grad_()
        [gradient] = torch.autograd.grad(
            trace.output, trace.leaf, weights, create_graph=True, materialize_grads=True
        )
        return _products(gradient, weights, len(trace.output))


@dataclass(frozen=True)
class Given:
    """The Jacobian that the user's function returns, shape [M, N]."""

    residuals: Residuals
    jacobian: Residuals
    kind: JacobianKind = JacobianKind.GIVEN

    def evaluate(self, x: Tensor) -> Trace:
        """Evaluate without a graph."""
        return ungraphed(self.residuals, x)

    def transposed(self, trace: Trace) -> Tensor:
        """Return Jᵀ.

        Raises:
            ValueError: If its shape is another.
        """
        return checked(self.jacobian(trace.leaf), len(trace.residuals), len(trace.leaf)).T


@dataclass(frozen=True)
class Differences:
    """Finite differences, for what autograd cannot follow; ``points`` is 2 or 3."""

    residuals: Residuals
    lower: Tensor
    upper: Tensor
    points: int = 2
    kind: JacobianKind = JacobianKind.DIFFERENCES

    def evaluate(self, x: Tensor) -> Trace:
        """Evaluate without a graph."""
        return ungraphed(self.residuals, x)

    def transposed(self, trace: Trace) -> Tensor:
        """Return Jᵀ; steps are relative to each parameter, away from a bound that is too near."""
        # Of the coarser dtype: residuals in float32 do not show a step made for float64.
        share = trace.rounding ** (1 / self.points)
        steps = share * trace.leaf.abs()
        # Also for parameters of zero, as MINPACK does; the dtype decides what is not there.
        steps = torch.where(steps == 0, share, steps)
        rows = [self._row(trace, i, float(step)) for i, step in enumerate(steps)]
        return torch.stack(rows)

    def _row(self, trace: Trace, i: int, step: float) -> Tensor:
        here = float(trace.leaf[i])
        ahead = here + step <= float(self.upper[i])
        behind = here - step >= float(self.lower[i])
        if self.points == 3 and ahead and behind:
            high, low = self._moved(trace, i, step), self._moved(trace, i, -step)
            return (high[0] - low[0]) / (high[1] - low[1])
        moved, there = self._moved(trace, i, step if ahead else -step)
        if self.points == 3:
            # One-sided of second order: the parabola through three points.
            further, beyond = self._moved(trace, i, 2 * (step if ahead else -step))
            near, far = there - here, beyond - here
            slopes = (moved - trace.residuals) / near, (further - trace.residuals) / far
            return (far * slopes[0] - near * slopes[1]) / (far - near)
        return (moved - trace.residuals) / (there - here)

    def _moved(self, trace: Trace, i: int, step: float) -> tuple[Tensor, float]:
        """Return the residuals one step away, and where that is after rounding."""
        moved = trace.leaf.clone()
        moved[i] += step
        return self.residuals.vector(moved).detach(), float(moved[i])


def checked(found: Tensor, residuals: int, parameters: int) -> Tensor:
    """Return a user's Jacobian without its graph.

    Raises:
        ValueError: If its shape is not [M, N].
    """
    if list(found.shape) != [residuals, parameters]:
        raise ValueError(
            f"jac returned shape {list(found.shape)}, and [M, N] = {[residuals, parameters]} is "
            "needed; return one row per residual"
        )
    return found.detach()


def graphed(residuals: Residuals, x: Tensor) -> Trace:
    """Return an evaluation that keeps its graph."""
    leaf = x.detach().requires_grad_()
    found = residuals.rounded_vector(leaf)
    return Trace(leaf, found.values, found.values.detach(), found.rounding)


def ungraphed(residuals: Residuals, x: Tensor) -> Trace:
    """Return an evaluation without a graph."""
    # Not under no_grad: the function may take derivatives of its own.
    found = residuals.rounded_vector(x)
    output = found.values.detach()
    return Trace(x, output, output, found.rounding)


def gradient_product(trace: Trace, weights: Tensor) -> Tensor:
    """Return Jᵀ·weights, shape [N], of an evaluation with a plain graph; the graph stays."""
    [found] = torch.autograd.grad(
        trace.output, trace.leaf, weights, retain_graph=True, materialize_grads=True
    )
    return found


def random_weights(residuals: Tensor) -> Tensor:
    """Return weights like the residuals, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(residuals), generator=generator).to(residuals)


def _products(output: Tensor, leaf: Tensor, width: int) -> Tensor:
    """Return the Jacobian of ``output`` with respect to ``leaf``, row by row in batches."""
    n = len(output)
    batch = max(1, min(n, _BATCH_ENTRIES // max(1, max(width, n))))
    unit = torch.eye(n, dtype=output.dtype, device=output.device)
    parts = [_batch(output, leaf, unit[start : start + batch]) for start in range(0, n, batch)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _batch(output: Tensor, leaf: Tensor, directions: Tensor) -> Tensor:
    product: Callable[..., Any] = torch.autograd.grad
    options = {"retain_graph": True, "materialize_grads": True}
    try:
        [found] = product(output, leaf, directions, is_grads_batched=True, **options)
    except RuntimeError:
        # An operation without a batching rule: one by one.
        found = torch.stack([product(output, leaf, each, **options)[0] for each in directions])
    return found.detach()
