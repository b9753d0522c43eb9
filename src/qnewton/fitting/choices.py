"""What the arguments of the front door mean, and which of them contradict each other."""

from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qnewton.fitting.bounds import Bounds
from qnewton.fitting.stopping import Limits


class Method(Enum):
    """The algorithms."""

    LEVENBERG_MARQUARDT = "lm"
    REFLECTIVE = "trf"


# SciPy's other method with bounds: the minima are the same, and one algorithm finds them here.
_NAMES = {"dogbox": "trf"}


def method_of(method: str | None, bounds: Bounds) -> Method:
    """Return the algorithm, by its name or by whether there are bounds.

    Raises:
        ValueError: For another name, or bounds where there can be none.
    """
    if method is None:
        return Method.LEVENBERG_MARQUARDT if bounds.absent else Method.REFLECTIVE
    try:
        chosen = Method(_NAMES.get(method, method))
    except ValueError:
        raise ValueError(
            f"method is {method!r}; choose 'lm' (without bounds), 'trf' or its other name "
            "'dogbox', or leave it out"
        ) from None
    if chosen is Method.LEVENBERG_MARQUARDT and not bounds.absent:
        raise ValueError("method 'lm' takes no bounds; choose 'trf', or leave the method out")
    return chosen


def limits_of(
    tolerances: tuple[float | None, float | None, float | None],
    evaluations: int | None,
    like: Tensor,
    method: Method,
) -> Limits:
    """Return tolerances of at least the rounding of the dtype, and the most evaluations.

    Raises:
        ValueError: If there is no tolerance at all, one is negative, or nothing may be evaluated.
    """
    if all(tolerance is None for tolerance in tolerances):
        raise ValueError("ftol, xtol and gtol are all None; at least one is needed to end a fit")
    for name, tolerance in zip(("ftol", "xtol", "gtol"), tolerances, strict=True):
        if tolerance is not None and not tolerance >= 0:
            raise ValueError(f"{name} is {tolerance}, and zero or a positive number is needed")
    cost, step, gradient = (-1.0 if each is None else float(each) for each in tolerances)
    n = len(like)
    if evaluations is None:
        evaluations = 100 * n * (n + 1 if method is Method.LEVENBERG_MARQUARDT else 1)
    if evaluations < 1:
        raise ValueError(f"max_nfev is {evaluations}, and at least 1 is needed")
    return Limits(cost, step, gradient, evaluations).raised(torch.finfo(like.dtype).eps)


def scale_of(x_scale: Any, n: int) -> np.ndarray | None:
    """Return D = 1/x_scale, shape [N], or ``None`` where the Jacobian decides.

    Raises:
        ValueError: For anything but positive numbers or "jac".
    """
    if isinstance(x_scale, str):
        if x_scale != "jac":
            raise ValueError(f"x_scale is {x_scale!r}; pass 'jac', a number or {n} of them")
        return None
    given = x_scale.detach().cpu() if isinstance(x_scale, Tensor) else x_scale
    sizes = np.asarray(given, dtype=np.float64)
    if sizes.size not in (1, n) or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(f"x_scale is {x_scale!r}; pass 'jac', a positive number or {n} of them")
    return 1 / np.broadcast_to(sizes.reshape(-1), (n,))
