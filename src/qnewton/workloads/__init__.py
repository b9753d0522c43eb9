"""What there is to train: data, model, loss and target, never the optimizer."""

from qnewton.workloads.base import NewtonDefaults, Workload
from qnewton.workloads.catalog import WORKLOADS, Source, available_workloads, load_workload

__all__ = ["WORKLOADS", "NewtonDefaults", "Source", "Workload", "available_workloads"]
__all__ += ["load_workload"]
