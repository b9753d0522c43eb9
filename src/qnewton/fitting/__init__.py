"""Nonlinear least squares and curve fitting, with SciPy's signatures, on tensors."""

from qnewton.fitting.curve_fit import curve_fit
from qnewton.fitting.least_squares import least_squares
from qnewton.fitting.result import FitResult, JacobianKind, Status
from qnewton.fitting.stopping import Progress

__all__ = ["FitResult", "JacobianKind", "Progress", "Status", "curve_fit", "least_squares"]
