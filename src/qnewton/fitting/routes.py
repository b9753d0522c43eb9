"""Which way to Jacobians a fit takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qnewton.fitting.bounds import Bounds
from qnewton.fitting.calls import called
from qnewton.fitting.expanded import expansion
from qnewton.fitting.jacobian import (
    Columns,
    Differences,
    Given,
    Route,
    Rows,
    Trace,
    gradient_product,
    graphed,
    random_weights,
    ungraphed,
)
from qnewton.fitting.residuals import Residuals

# What is looked for are missing parts: no rounding comes near that share.
_MISSING = 1e-3

# Steps for coarser numbers are so long that forward differences are off by several percent.
_FINE = torch.finfo(torch.float32).eps

_POINTS = {"2-point": 2, "3-point": 3}


@dataclass(frozen=True)
class First:
    """A route with the evaluation at the start, and the Jacobian Jᵀ where it was made already."""

    route: Route
    trace: Trace
    transposed: Tensor | None = None


def first_route(
    residuals: Residuals, jacobian: Callable[..., Any] | str | None, bounds: Bounds, x: Tensor
) -> First:
    """Return the route that the caller names, or the best that serves the function.

    Raises:
        ValueError: For another name.
    """
    if callable(jacobian):
        given = Residuals(called(jacobian), residuals.like, residuals.args, residuals.kwargs, "jac")
        return First(Given(residuals, given), ungraphed(residuals, x))
    if isinstance(jacobian, str):
        if jacobian not in _POINTS:
            raise ValueError(
                f"jac is {jacobian!r}; pass a function, '2-point', '3-point', or None for autograd"
            )
        differences = _differences(residuals, bounds, _POINTS[jacobian])
        return First(differences, ungraphed(residuals, x))
    return _automatic(residuals, bounds, x)


def fallback(residuals: Residuals, plain: Trace) -> Route:
    """Return batched products, forward or backward: whichever are fewer."""
    if len(plain.residuals) <= len(plain.leaf):
        return Rows(residuals)
    columns = Columns(residuals)
    # An operation whose gradient has no gradient raises, or counts as constant.
    try:
        found = columns.transposed(plain)
    except RuntimeError:
        return Rows(residuals)
    weights = random_weights(plain.residuals)
    expected = gradient_product(plain, weights)
    whole = found.dim() == 2 and bool(
        (found @ weights - expected).abs().max() <= _MISSING * expected.abs().max()
    )
    return columns if whole else Rows(residuals)


def _automatic(residuals: Residuals, bounds: Bounds, x: Tensor) -> First:
    try:
        plain = graphed(residuals, x)
    except (RuntimeError, TypeError):
        # NumPy inside, say: with numbers alone the function may run, or says what is wrong.
        plain = ungraphed(residuals, x)
    if not plain.output.requires_grad:
        numbers = Trace(plain.leaf.detach(), plain.residuals, plain.residuals, plain.rounding)
        points = 2 if plain.rounding <= _FINE else 3
        return First(_differences(residuals, bounds, points), numbers)
    if bool(plain.residuals.isfinite().all()):
        proven = expansion(residuals, plain)
        if proven is not None:
            return First(proven.route, proven.trace, proven.transposed)
    return First(fallback(residuals, plain), plain)


def _differences(residuals: Residuals, bounds: Bounds, points: int) -> Differences:
    lower, upper = (torch.from_numpy(each) for each in (bounds.lower, bounds.upper))
    return Differences(residuals, lower, upper, points)
