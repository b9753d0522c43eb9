"""
On several processes
====================

Two processes with half of the batch each take the steps of one process with all of it.

Under ``torchrun`` every process sees an equal share of the batch. DistributedDataParallel averages
gradients, and QNewton averages what it makes second derivatives of.
"""

# %%
# The training
# ------------
# As in any distributed loop, but for the closure. Once ``torch.distributed`` is initialized,
# QNewton averages over all processes, or over those of its ``process_group``.

import gc
import os
import pathlib
import subprocess
import sys
import tempfile

import altair as alt
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
    losses = [record.loss for record in optimizer.records]
    if rank == 0:
        shown = " ".join(f"{loss:.5f}" for loss in losses)
        solvers = [record.blocks[0].solver for record in optimizer.records]
        print(f"{size} process{'es' if size > 1 else '  '}: {shown}")
        print("solved by", ", ".join(dict.fromkeys(map(str, solvers))))
    return losses


# %%
# One process, then two
# ---------------------
# ``torchrun --nproc-per-node 2 plot_4_distributed.py`` starts this script twice, each time with its
# ``RANK`` in the environment. To be independent of the machine's network the page does so itself,
# and has the two meet in a file. Each record's loss is the mean over the processes.

if "RANK" in os.environ:
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    meeting_place = os.environ.get("MEET_IN", "env://")
    dist.init_process_group(
        "gloo", init_method=meeting_place, rank=rank, world_size=size
    )
    train(rank, size)
    gc.collect()  # DistributedDataParallel lies in a cycle, and holds on to the process group
    dist.barrier()  # nobody leaves while the other still speaks to it
    dist.destroy_process_group()
    sys.exit()

alone = train()
# There is no __file__ where the gallery runs it.
script = train.__code__.co_filename
with tempfile.TemporaryDirectory() as folder:
    world = {**os.environ, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    world["MEET_IN"] = (pathlib.Path(folder) / "store").as_uri()
    two = [
        subprocess.Popen(
            [sys.executable, script],
            env={**world, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate()[0] for process in two]
if any(process.returncode for process in two):
    raise SystemExit(f"a process failed: {[process.returncode for process in two]}")
print(said[0])

# %%
# The lines cover each other nearly. Two processes add up their shares in another order, and here
# they also choose another solver: every product with the matrix would have to cross from one
# process to the other, so that a factorisation is cheaper than CG, which ends at a tolerance.

together = [
    float(loss) for loss in said[0].splitlines()[0].partition(":")[2].split()
]
rows = [
    {"step": step, "loss": loss, "processes": processes}
    for processes, losses in (("one", alone), ("two", together))
    for step, loss in enumerate(losses)
]
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(type="log")),
    color=alt.Color("processes:N"),
    strokeDash=alt.StrokeDash("processes:N"),
).properties(width=420, height=220, title="Newton steps of one process, and of two")
