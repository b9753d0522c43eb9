"""Twelve ordinary PyTorch trainings on mini-batches, frozen, with nothing for any optimizer."""

from benchmarks.minibatch.workloads.acting import ACTING
from benchmarks.minibatch.workloads.images import IMAGES
from benchmarks.minibatch.workloads.simulated import SIMULATED
from benchmarks.minibatch.workloads.tabular import TABULAR
from benchmarks.minibatch.workloads.text import TEXT
from benchmarks.minibatch.workloads.training import Batch, Training, Workload

WORKLOADS: tuple[Workload, ...] = (*TABULAR, *IMAGES, *TEXT, *SIMULATED, *ACTING)

__all__ = ["WORKLOADS", "Batch", "Training", "Workload"]
