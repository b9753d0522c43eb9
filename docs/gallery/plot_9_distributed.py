"""
On several processes
====================

Under ``torchrun`` every process sees an equal share of the batch. DistributedDataParallel averages
gradients; QNewton averages what it makes second derivatives of, so that two processes with half
the batch each take the steps of one process with all of it.
"""

# %%
# The training
# ------------
# As in any distributed loop, but for the closure. Once ``torch.distributed`` is initialized,
# QNewton averages over all processes, or over those of its ``process_group``.

import os
import subprocess
import sys

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from qnewton import QNewton
from qnewton.workloads import load_workload


def train(rank=0, size=1):
    workload = load_workload("digits", seed=0)
    # Equal shares: the mean of the shares' means is the mean over the batch.
    inputs = workload.train_inputs[:1436].chunk(size)[rank]
    targets = workload.train_targets[:1436].chunk(size)[rank]
    network = workload.build_model(0)
    model = DistributedDataParallel(network) if size > 1 else network
    optimizer = QNewton(network, lr=2.0)
    for _ in range(8):

        def closure():
            optimizer.zero_grad()
            loss = workload.loss(model(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
    if rank == 0:
        losses = " ".join(f"{record.loss:.5f}" for record in optimizer.records)
        print(f"{size} process{'es' if size > 1 else '  '}: {losses}")


# %%
# One process, then two
# ---------------------
# This script starts itself again, as ``torchrun --standalone --nproc-per-node 2`` would. Each
# record's loss is the mean over the processes.

if "TORCHELASTIC_RUN_ID" in os.environ:
    dist.init_process_group("gloo")
    train(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()
else:
    train()
    # There is no __file__ where the gallery runs it.
    script = train.__code__.co_filename
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    two = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", script],
        capture_output=True,
        text=True,
        check=True,
    )
    print(two.stdout)
