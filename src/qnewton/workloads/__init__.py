"""What there is to train: data, model, loss and target, never the optimizer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qnewton.workloads.catalog import (
    WORKLOADS,
    LocalData,
    Source,
    available_workloads,
    load_workload,
)

if TYPE_CHECKING:
    from qnewton.workloads.base import NewtonDefaults, Workload

__all__ = ["WORKLOADS", "LocalData", "NewtonDefaults", "Source", "Workload"]
__all__ += ["available_workloads", "load_workload"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that the names of workloads are known before torch is loaded.
    if name in __all__:
        return getattr(import_module("qnewton.workloads.base"), name)
    raise AttributeError(f"module 'qnewton.workloads' has no attribute {name!r}")
