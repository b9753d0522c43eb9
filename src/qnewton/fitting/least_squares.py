"""The front door: a minimum of a sum of squares, with SciPy's signature, on tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qnewton.fitting.bounds import bounds_of
from qnewton.fitting.calls import called
from qnewton.fitting.choices import limits_of, method_of, scale_of
from qnewton.fitting.losses import loss_of
from qnewton.fitting.residuals import Residuals, parameters_of
from qnewton.fitting.result import FitResult
from qnewton.fitting.solve import Request, solve
from qnewton.fitting.stopping import Progress, Settings


def least_squares(
    fun: Callable[..., Any],
    x0: Tensor | np.ndarray | Sequence[float] | float,
    jac: Callable[..., Any] | str | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: str | None = None,
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    x_scale: Any = "jac",
    loss: str | Callable[[Tensor], Any] = "linear",
    f_scale: float = 1.0,
    max_nfev: int | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> FitResult:
    """Minimise F(x) = ½ Σᵢ C²·ρ((fᵢ(x)/C)²) subject to bounds on x.

    Args:
        fun: ``fun(x, *args, **kwargs)`` returns the residuals f, shape [M]: a tensor, an array, or
            a list of tensors and numbers. ``x`` is a tensor of shape [N], or of shape [N, M] with
            equal columns where that gives the same residuals (see Cost). If ``fun`` computes with
            NumPy, ``x`` and tensors among ``args`` are arrays.
        x0: Start, shape [N]. A float32 or float64 tensor decides dtype and device; anything else
            becomes float64 on the processor.
        jac: ``None`` for autograd, and differences where autograd cannot follow; ``"2-point"`` or
            ``"3-point"`` for differences, whose steps suit the coarser of the dtypes of ``x0`` and
            of what ``fun`` returns; or a function that returns the Jacobian, shape [M, N].
        bounds: Lower and upper bounds, each a number or a vector, or ``scipy.optimize.Bounds``.
        method: ``"lm"`` (Levenberg-Marquardt, no bounds), ``"trf"`` (trust-region reflective), or
            ``None``: the first without bounds, the second with. SciPy's ``"dogbox"`` is another
            name of the second.
        ftol: Ends where neither the last step nor any other would lower F by this share.
        xtol: Ends where a step is this share of x, in the metric of the scales.
        gtol: Ends where the part of f that steps can still change is this share of ‖f‖: ‖Qᵀf‖, with
            J = QR (Bates and Watts 1981); with bounds, the part that the bounds leave.
        x_scale: Sizes of the parameters, or ``"jac"`` to learn them from the Jacobian.
        loss: ρ: ``"linear"``, ``"soft_l1"``, ``"huber"``, ``"cauchy"``, ``"arctan"``, or a function
            of z = (f/C)² that returns ρ, ρ' and ρ'', shape [3, M].
        f_scale: C, beyond which a residual counts as an outlier; of no effect on the linear loss.
        max_nfev: Most evaluations; by default 100·N with bounds and 100·N·(N + 1) without.
        args: Further arguments of ``fun`` and ``jac``.
        kwargs: Further keyword arguments of both.
        callback: Called with :class:`Progress` after each step; may raise ``StopIteration``.

    Returns:
        :class:`FitResult`: SciPy's fields as tensors, and ``covariance``. A tolerance that is met
        does not end a fit whose steps still take a tenth of what is left: its last digits are
        cheap. A tolerance below eight roundings of the coarser of the dtypes of ``x0`` and of
        what ``fun`` returns, 1e-6 for float32, is raised to that. A fit that sticks is tried once
        more, in a metric of fixed sizes.

    Raises:
        ValueError: For residuals that are not finite at ``x0`` or are whole numbers, a start
            outside its bounds, or arguments that contradict each other; in one line.

    Cost:
        A step takes one evaluation of f, one of J, 2·M·N² operations for its QR and O(N³) for the
        rest. With autograd, J takes one backward pass where each residual can get parameters of
        its own, which is proven at the first point and at the last; else min(M, N) products.

    Reference:
        Moré 1978; Transtrum and Sethna 2012 (acceleration); Branch, Coleman and Li 1999 (bounds);
        Triggs et al. 2000 (robust losses); Dennis, Gay and Welsch 1981 (second derivatives where
        residuals stay large).

    Example:
        >>> import torch
        >>> from qnewton import least_squares
        >>> def rosenbrock(x):
        ...     return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])
        >>> fit = least_squares(rosenbrock, [-1.2, 1.0])
        >>> fit.x, fit.status.name
        (tensor([1., 1.], dtype=torch.float64), 'GRADIENT')
        >>> least_squares(rosenbrock, [-1.2, 1.0], bounds=(-2, [0.5, 2])).active_mask
        tensor([1, 0])
    """
    start = parameters_of(x0)
    within = bounds_of(bounds, start)
    residuals = Residuals(called(fun), start, tuple(args), dict(kwargs or {}))
    chosen = method_of(method, within)
    settings = Settings(
        limits=limits_of((ftol, xtol, gtol), max_nfev, start, chosen),
        scale=scale_of(x_scale, len(start)),
        callback=callback,
    )
    request = Request(residuals, jac, within, loss_of(loss, f_scale), chosen, settings)
    with torch.enable_grad():
        return solve(request)
