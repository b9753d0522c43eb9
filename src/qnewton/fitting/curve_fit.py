"""Parameters of a model of data, with SciPy's signature, on tensors."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
import torch
from scipy.optimize import OptimizeWarning
from torch import Tensor

from qnewton.fitting.bounds import bounds_of
from qnewton.fitting.covariance import inverse_gram
from qnewton.fitting.least_squares import least_squares
from qnewton.fitting.residuals import Rounded, as_tensor, parameters_of, rounded, something
from qnewton.fitting.result import FitResult

Start = Tensor | np.ndarray | Sequence[float] | float | None


@overload
def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Start = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    bounds: Any = (-np.inf, np.inf),
    *,
    full_output: Literal[False] = False,
    **options: Any,
) -> tuple[Tensor, Tensor]: ...


@overload
def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Start = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    bounds: Any = (-np.inf, np.inf),
    *,
    full_output: Literal[True],
    **options: Any,
) -> tuple[Tensor, Tensor, FitResult]: ...


def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Start = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    bounds: Any = (-np.inf, np.inf),
    *,
    full_output: bool = False,
    **options: Any,
) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, FitResult]:
    """Fit y ≈ f(x, a, b, …) by weighted least squares: minimise Σᵢ ((f(xᵢ; p) - yᵢ)/σᵢ)².

    Args:
        f: ``f(xdata, a, b, …)`` returns the model's values, shape [M]; each parameter is a tensor
            that broadcasts against the data.
        xdata: What ``f`` gets; lists and arrays become tensors, anything else stays.
        ydata: The data, M numbers. A float32 tensor makes a fit in float32, if ``p0`` is none.
        p0: Start, shape [N]; by default ones, moved inside the bounds.
        sigma: Standard deviations of the data, shape [M], or their covariance, shape [M, M].
        absolute_sigma: Whether ``sigma`` counts as it is. Otherwise only ratios count, and the
            covariance is scaled by what the residuals are.
        bounds: Of the parameters, as :func:`least_squares` takes them.
        full_output: Whether the fit itself is returned, too.
        options: What else :func:`least_squares` takes, ``method`` and ``loss`` for instance.

    Returns:
        The parameters, shape [N], and their covariance, shape [N, N], all infinite where the data
        do not determine them, of which SciPy's ``OptimizeWarning`` tells; with ``full_output`` also
        the :class:`FitResult`.

    Raises:
        ValueError: For data or sigmas of the wrong shape or not finite, and as
            :func:`least_squares`; in one line.

    Cost:
        As :func:`least_squares`. A full covariance of the data mixes the residuals, so that the
        Jacobian takes N products.

    Example:
        >>> import torch
        >>> from qnewton import curve_fit
        >>> t = torch.linspace(0, 4, 30, dtype=torch.float64)
        >>> y = 2.5 * torch.exp(-1.3 * t) + 0.5
        >>> found, covariance = curve_fit(lambda t, a, b, c: a * torch.exp(-b * t) + c, t, y)
        >>> found
        tensor([2.5000, 1.3000, 0.5000], dtype=torch.float64)
    """
    like = _like(ydata, p0)
    if isinstance(xdata, (list, tuple, np.ndarray)):
        xdata = as_tensor(xdata, like)
    data = _data(ydata, like)
    start = _start(f, p0, bounds, like)
    whiten = _whitener(sigma, data)

    def residuals(p: Tensor) -> Rounded:
        found = rounded(something(f(xdata, *p), "f"), data)
        return Rounded(whiten(found.values - data), found.rounding)

    fit = least_squares(residuals, start, bounds=bounds, **options)
    covariance = inverse_gram(fit.jac) if absolute_sigma else fit.covariance
    if covariance is None:
        covariance = torch.full((len(fit.x),) * 2, torch.inf).to(fit.x)
        # SciPy's words and class, so that a filter written for it works here.
        warnings.warn(
            "Covariance of the parameters could not be estimated", OptimizeWarning, stacklevel=2
        )
    return (fit.x, covariance, fit) if full_output else (fit.x, covariance)


def _like(ydata: Any, p0: Any) -> Tensor:
    """Return a tensor that says dtype and device: of the start, else of the data."""
    for given in (p0, ydata):
        if isinstance(given, Tensor) and given.is_floating_point():
            return given
    return torch.zeros(1, dtype=torch.float64)


def _data(ydata: Any, like: Tensor) -> Tensor:
    data = as_tensor(ydata, like).detach().flatten()
    if not len(data) or not bool(data.isfinite().all()):
        raise ValueError(
            f"ydata has {len(data)} entries, {int((~data.isfinite()).sum())} of them not finite; "
            "pass at least one, and leave out what is missing"
        )
    return data


def _start(f: Callable[..., Any], p0: Any, bounds: Any, like: Tensor) -> Tensor:
    if p0 is not None:
        return parameters_of(p0)
    names = inspect.signature(f).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in names) or len(names) < 2:
        raise ValueError("the parameters of f cannot be counted; pass a start, p0")
    count = sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in names)
    ones = like.new_ones(count - 1)
    within = bounds_of(bounds, ones)
    lower, upper = within.lower, within.upper
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isfinite(lower + upper), (lower + upper) / 2, 1.0)
    middle = np.where(np.isfinite(lower) & ~np.isfinite(upper), lower + 1, middle)
    return ones.new_tensor(np.where(np.isfinite(upper) & ~np.isfinite(lower), upper - 1, middle))


def _whitener(sigma: Any, data: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what brings residuals to unit variance."""
    if sigma is None:
        return lambda difference: difference
    spread = as_tensor(sigma, data).detach()
    m = len(data)
    if spread.dim() < 2 and spread.numel() in (1, m):
        if not bool((spread > 0).all()):
            raise ValueError(f"sigma is as small as {float(spread.min()):g}, and must be positive")
        return lambda difference: difference / spread
    if list(spread.shape) != [m, m]:
        raise ValueError(
            f"sigma has shape {list(spread.shape)}; pass {m} standard deviations, or their "
            f"covariance of shape {[m, m]}"
        )
    factor, failed = torch.linalg.cholesky_ex(spread)
    if int(failed):
        raise ValueError("sigma is no covariance: it is not positive definite; check its entries")
    inverse = torch.linalg.solve_triangular(factor, torch.eye(m).to(factor), upper=False)
    return lambda difference: inverse @ difference
