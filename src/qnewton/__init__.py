"""Newton's method for PyTorch, each step priced on classical and quantum linear solvers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qnewton.curvature import Residuals
    from qnewton.fitting import curve_fit, least_squares
    from qnewton.optimizer import Classical, Damping, Limits, QNewton, Quantum, Warmup
    from qnewton.records import HealthWarning

__version__ = "0.2.0"
__all__ = [
    "Classical",
    "Damping",
    "HealthWarning",
    "Limits",
    "QNewton",
    "Quantum",
    "Residuals",
    "Warmup",
    "__version__",
    "curve_fit",
    "least_squares",
]

_ELSEWHERE = {
    "HealthWarning": "qnewton.records",
    "Residuals": "qnewton.curvature",
    "curve_fit": "qnewton.fitting",
    "least_squares": "qnewton.fitting",
}
"""Public names that are not the optimizer's."""

_PACKAGES = (
    "cost",
    "curvature",
    "fitting",
    "operators",
    "optimizer",
    "queries",
    "records",
    "runs",
    "scheduler",
    "solvers",
    "survey",
    "treatment",
    "workloads",
)


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that pricing a system does not wait for torch.
    if name in __all__:
        return getattr(import_module(_ELSEWHERE.get(name, "qnewton.optimizer")), name)
    if name in _PACKAGES:
        return import_module(f"qnewton.{name}")
    raise AttributeError(f"module 'qnewton' has no attribute {name!r}")
