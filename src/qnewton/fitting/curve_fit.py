"""Parameters of a model of data, with SciPy's signature, on tensors."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from qnewton.fitting.bounds import bounds_of
from qnewton.fitting.calls import Called
from qnewton.fitting.covariance import inverse_gram
from qnewton.fitting.curve_data import CurveData, curve_data
from qnewton.fitting.curve_options import curve_options
from qnewton.fitting.jacobian import checked
from qnewton.fitting.least_squares import least_squares
from qnewton.fitting.residuals import Rounded, as_tensor, parameters_of, rounded, something
from qnewton.fitting.result import FitResult, Status

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
            that broadcasts against the data. If ``f`` computes with NumPy, it gets arrays and
            numbers.
        xdata: What ``f`` gets; lists and arrays become tensors, anything else stays.
        ydata: The data, M numbers. A float32 tensor makes a fit in float32, if ``p0`` is none.
        p0: Start, shape [N]; by default ones, moved inside the bounds.
        sigma: Standard deviations of the data, shape [M], or their covariance, shape [M, M].
        absolute_sigma: Whether ``sigma`` counts as it is. Otherwise only ratios count, and the
            covariance is scaled by what the residuals are.
        bounds: Of the parameters, as :func:`least_squares` takes them.
        full_output: Whether the fit itself is returned, too.
        options: ``jac``, a function of the arguments of ``f`` that returns the Jacobian of the
            model, shape [M, N], or a string as in :func:`least_squares`; ``nan_policy``, with which
            points that have NaN are an error (``"raise"``) or left out (``"omit"``); ``maxfev``,
            another name of ``max_nfev``; and what else :func:`least_squares` takes, ``method`` and
            ``loss`` for instance. ``check_finite=True`` and ``verbose=0`` change nothing.

    Returns:
        The parameters, shape [N], and their covariance, shape [N, N], all infinite where the data
        do not determine them, of which SciPy's ``OptimizeWarning`` tells; with ``full_output`` also
        the :class:`FitResult`.

    Raises:
        ValueError: For data or sigmas of the wrong shape or not finite, and as
            :func:`least_squares`; in one line.
        TypeError: For other options.
        RuntimeError: If the largest number of evaluations ended the fit. With ``full_output`` its
            result is returned, whose ``success`` is false.

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
    asked = curve_options(options)
    like = _like(ydata, p0)
    data = curve_data(xdata, ydata, sigma, asked.nan_policy, like)
    jacobian = _Slopes(asked.jacobian, data) if callable(asked.jacobian) else asked.jacobian
    start = _start(f, p0, bounds, like)
    fit = least_squares(_Deviations(f, data), start, jacobian, bounds, **asked.further)
    if fit.status is Status.EVALUATIONS and not full_output:
        # SciPy's words and class, since programs that fit many curves catch them.
        raise RuntimeError(f"Optimal parameters not found: {fit.message}")
    covariance = inverse_gram(fit.jac) if absolute_sigma else fit.covariance
    if covariance is None:
        covariance = torch.full((len(fit.x),) * 2, torch.inf).to(fit.x)
        # Loaded where it is needed: SciPy's optimizers take as long to load as a hundred fits.
        from scipy.optimize import OptimizeWarning

        warnings.warn(
            "Covariance of the parameters could not be estimated", OptimizeWarning, stacklevel=2
        )
    return (fit.x, covariance, fit) if full_output else (fit.x, covariance)


class _Deviations(Called):
    """What is left of the data beside a model, to unit variance, as a function of parameters."""

    def __init__(self, model: Callable[..., Any], data: CurveData) -> None:
        super().__init__(model)
        self.data = data

    def __call__(self, p: Tensor) -> Rounded:
        y = self.data.y
        found = rounded(something(super().__call__(self.data.x, *p), "f"), y)
        return Rounded(self.data.whiten(found.values - y), found.rounding)


class _Slopes(Called):
    """Their Jacobian from the model's, which the user's function returns."""

    def __init__(self, jacobian: Callable[..., Any], data: CurveData) -> None:
        super().__init__(jacobian)
        self.data = data

    def __call__(self, p: Tensor) -> Tensor:
        y = self.data.y
        found = as_tensor(something(super().__call__(self.data.x, *p), "jac"), y)
        return self.data.whiten(checked(found, len(y), len(p)).T).T


def _like(ydata: Any, p0: Any) -> Tensor:
    """Return a tensor that says dtype and device: of the start, else of the data."""
    for given in (p0, ydata):
        if isinstance(given, Tensor) and given.is_floating_point():
            return given
    return torch.zeros(1, dtype=torch.float64)


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
