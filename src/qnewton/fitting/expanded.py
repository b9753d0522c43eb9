"""The whole Jacobian in one backward pass: each residual gets parameters of its own.

Let residual i depend on column i of a matrix X [N, M] alone, with every column equal to x. Then
the gradient of Σᵢ rᵢ(X) with respect to column i is ∇rᵢ, and one backward pass makes Jᵀ.

Called with X in place of x, most functions do just that, unmodified. A model of data computes with
``x[0]``, which is now a row of M equal numbers, one per sample. A function that stacks its
residuals returns [M, M], residual i of every column in row i, so that its diagonal is wanted.
Nothing is assumed: a function may also mix the columns. So the route is proven, at the first point
and at the last: equal residuals, and Jᵀu equal to autograd's for a random u. A column that
reaches another residual adds to Jᵀu with a random weight, which only chance could hide.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.fitting.jacobian import Trace, gradient_product, random_weights
from qnewton.fitting.residuals import Residuals
from qnewton.fitting.result import JacobianKind

# Entries of X and of M × M residuals beyond which batched products are as fast.
MOST_ENTRIES = 1 << 24
MOST_SQUARE = 1 << 14

# Sums are added up in another order: that much rounding, per root of the number of terms.
_ROUNDINGS = 512.0


@dataclass(frozen=True)
class Expanded:
    """One backward pass; ``pick`` takes the M residuals out of what the function returns."""

    residuals: Residuals
    count: int
    pick: Callable[[Tensor], Tensor]
    kind: JacobianKind = JacobianKind.EXPANDED

    def evaluate(self, x: Tensor) -> Trace:
        """Evaluate on expanded parameters."""
        leaf = x.detach().unsqueeze(1).expand(-1, self.count).requires_grad_()
        found = self.residuals.rounded(leaf)
        output = self.pick(found.values)
        return Trace(leaf, output, output.detach(), found.rounding)

    def transposed(self, trace: Trace) -> Tensor:
        """Return Jᵀ."""
        ones = torch.ones_like(trace.residuals)
        [found] = torch.autograd.grad(trace.output, trace.leaf, ones, materialize_grads=True)
        return found


def sampled(output: Tensor) -> Tensor:
    """Take residuals that were computed side by side."""
    return output


def stacked(output: Tensor) -> Tensor:
    """Take residual i of column i."""
    return output.diagonal()


@dataclass(frozen=True)
class Proven:
    """An expanded route, and what it made at the point of its proof."""

    route: Expanded
    trace: Trace
    transposed: Tensor


def expansion(residuals: Residuals, plain: Trace) -> Proven | None:
    """Return the expanded route if it is proven at the point of a plain evaluation, else None."""
    m, n = len(plain.residuals), len(plain.leaf)
    if n * m > MOST_ENTRIES:
        return None
    leaf = plain.leaf.detach().unsqueeze(1).expand(-1, m).requires_grad_()
    try:
        output = residuals(leaf)
        pick = _picker(output, m)
        if pick is None:
            return None
        trace = Trace(leaf, pick(output), pick(output.detach()), plain.rounding)
        route = Expanded(residuals, m, pick)
        transposed = route.transposed(trace)
    # Whatever a function raises that was not written for a matrix: it gets no matrix.
    except Exception:  # noqa: BLE001
        return None
    return Proven(route, trace, transposed) if agrees(plain, trace, transposed) else None


def _picker(output: Tensor, m: int) -> Callable[[Tensor], Tensor] | None:
    if not output.requires_grad:
        return None
    if list(output.shape) == [m]:
        return sampled
    return stacked if list(output.shape) == [m, m] and m * m <= MOST_SQUARE else None


def agrees(plain: Trace, expanded: Trace, transposed: Tensor) -> bool:
    """Return whether residuals and a random product Jᵀu equal those of a plain evaluation."""
    weights = random_weights(plain.residuals)
    expected = gradient_product(plain, weights)
    share = _ROUNDINGS * torch.finfo(weights.dtype).eps * len(weights) ** 0.5
    # What cancels in a product is rounded with the terms that it is the sum of.
    terms = transposed.abs() @ weights.abs()
    off = (expanded.residuals - plain.residuals).abs().max()
    return bool(
        (off <= share * plain.residuals.abs().max())
        & ((transposed @ weights - expected).abs() <= share * terms).all()
    )
