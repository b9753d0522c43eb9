"""
Pruning one Hessian
===================

The paper's symmetry-aware pruning keeps at most d entries a row, the largest first, always
together with their mirror images. What does it do to one real Hessian, and to the step?
"""

# %%
# A small block, to look at
# -------------------------
# The output layer of a narrow network on the digits has 50 parameters. The picture shows the
# size of every entry of its damped Hessian, and which entries a cap of 8 a row keeps.

import altair as alt
import torch

from qnewton.curvature import systems
from qnewton.survey import condition_number
from qnewton.treatment import damp, mass_sparsity, prune
from qnewton.workloads import load_workload
from qnewton.workloads.mlp import build_mlp

workload = load_workload("digits", seed=0)


def newton_system(widths, blocks):
    model = build_mlp(widths, seed=0)
    return systems(
        model,
        lambda: workload.loss(model(workload.train_inputs), workload.train_targets),
        blocks=blocks,
    )[-1]


small = damp(newton_system((64, 4, 10), "layer").operator, 0.1)
pruned = prune(small, max_per_row=8)
before, after = small.dense(), pruned.dense()
rows = [
    {"i": i, "j": j, "size": float(matrix[i, j].abs().clamp(min=1e-4)), "matrix": label}
    for label, matrix in (("damped", before), ("pruned to 8 a row", after))
    for i in range(len(matrix))
    for j in range(len(matrix))
    if matrix[i, j] != 0
]
alt.Chart(alt.Data(values=rows)).mark_rect().encode(
    x=alt.X("j:O", axis=None),
    y=alt.Y("i:O", axis=None),
    color=alt.Color("size:Q", scale=alt.Scale(type="log", scheme="viridis"), title="|entry|"),
    column=alt.Column("matrix:N", title=None),
).properties(width=220, height=220)

# %%
# Why not simply the largest d of each row?
# -----------------------------------------
# Because the result is not symmetric. The pruned matrix is, to the bit, and no row exceeds the cap.

largest = before.abs().topk(8, dim=1).indices
row_wise = torch.zeros_like(before, dtype=torch.bool).scatter(1, largest, True)
print(f"row by row: {int((row_wise & ~row_wise.mT).sum())} of {int(row_wise.sum())} entries")
print("            are kept without their mirror image")
print(f"symmetry-aware: symmetric {torch.equal(after, after.mT)}, ", end="")
print(f"most entries in a row {int(after.count_nonzero(dim=1).max())}")

# %%
# The whole network, and the step
# -------------------------------
# All 1,482 parameters of the digits network at λ = 1, for falling caps. The columns: share of the
# entries kept; the smallest share of a row's absolute sum that survived; the smallest eigenvalue
# and the condition number of the matrix actually solved; and the cosine between its solution and
# the unpruned step.

system = newton_system((64, 16, 16, 10), "full")
damped = damp(system.operator, 1.0)
full_step = torch.linalg.solve(damped.dense().double(), system.rhs.double())

print("  cap d  entries kept  lowest row share  smallest eigenvalue       κ  cosine")
for cap in (system.n, 741, 200, 50, 10, 1):
    operator = prune(damped, max_per_row=cap)
    matrix = operator.dense().double()
    step = torch.linalg.solve(matrix, system.rhs.double())
    cosine = float(torch.nn.functional.cosine_similarity(step, full_step, dim=0))
    print(
        f"{cap:7,d} {operator.treatment.kept_entries / system.n**2:13.2%} "
        f"{operator.treatment.lowest_kept_mass:17.3f} "
        f"{float(torch.linalg.eigvalsh(matrix)[0]):20.3f} "
        f"{condition_number(operator).value:7.2f} {cosine:7.4f}"
    )

# %%
# What pruning takes away
# -----------------------
# Damping lifts every eigenvalue by λ; pruning can undo that. With little damping a matrix that
# was positive definite need not stay so, and the treatment's record says how far the smallest
# eigenvalue may have fallen: at most by ``dropped_norm``.

print(f"50%-sparsity of the damped Hessian, largest row: {int(mass_sparsity(damped.dense(), 0.5).max())}")
print("     λ  smallest eigenvalue before  after (d = 4)  dropped norm")
small = newton_system((64, 4, 10), "layer").operator
for strength in (1.0, 0.1, 0.01):
    damped_small = damp(small, strength)
    operator = prune(damped_small, max_per_row=4)
    low, pruned_low = (
        float(torch.linalg.eigvalsh(m.dense().double())[0]) for m in (damped_small, operator)
    )
    dropped = operator.treatment.dropped_norm
    print(f"{strength:6g} {low:27.4f} {pruned_low:14.4f} {dropped:13.4f}")
