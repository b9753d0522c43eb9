"""What there is to train: data, model, loss and target, never the optimizer."""

from qnewton.workloads.base import Workload
from qnewton.workloads.catalog import available_workloads, load_workload

__all__ = ["Workload", "available_workloads", "load_workload"]
