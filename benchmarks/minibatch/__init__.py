"""Training on mini-batches, nothing tuned, beside tuned optimizers, on twelve frozen workloads.

    python -m benchmarks minibatch
    python -m benchmarks.minibatch --workload GRU --seeds 1 --seconds 3

The second is for a look at a part: it prints a table and writes no results.
"""

from benchmarks.minibatch.campaign import Plan, measure

__all__ = ["Plan", "measure"]
