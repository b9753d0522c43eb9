"""
Pruning one Hessian
===================

Pruning keeps the largest entries of each row: see what it does to one real Hessian, and to the
step.

The paper's symmetry-aware pruning keeps at most d entries per row, the largest first, always
together with their mirror images.
"""

# %%
# A small block, to look at
# -------------------------
# The output layer of a narrow network on the digits has 50 parameters. The picture shows the
# size of every entry of its damped Hessian, and which entries a cap of 8 per row keeps.

import altair as alt
import torch

from qnewton.curvature import systems
from qnewton.solvers import solve
from qnewton.survey import condition_number
from qnewton.treatment import damp, prune
from qnewton.workloads import load_workload
from qnewton.workloads.mlp import build_mlp

workload = load_workload("digits", seed=0)


def newton_system(model, blocks):
    return systems(
        model,
        lambda: workload.loss(model(workload.train_inputs), workload.train_targets),
        blocks=blocks,
    )[-1]


small = newton_system(build_mlp((64, 4, 10), seed=0), "layer")
before = damp(small.operator, 0.1).dense()
after = prune(before, max_per_row=8).dense()
rows = [
    {
        "i": i,
        "j": j,
        "size": float(matrix[i, j].abs().clamp(min=1e-3)),
        "matrix": label,
    }
    for label, matrix in (("damped", before), ("pruned to 8 a row", after))
    for i in range(len(matrix))
    for j in range(len(matrix))
    if matrix[i, j] != 0
]
alt.Chart(alt.Data(values=rows)).mark_rect().encode(
    x=alt.X("j:O", axis=None),
    y=alt.Y("i:O", axis=None),
    color=alt.Color(
        "size:Q",
        scale=alt.Scale(type="log", scheme="viridis"),
        legend=alt.Legend(
            title="|entry|, 0.001 or less in the darkest", values=[0.01, 0.1]
        ),
    ),
    column=alt.Column("matrix:N", title=None),
).properties(width=220, height=220)

# %%
# Why not simply the largest d of each row?
# -----------------------------------------
# Because the result is not symmetric. The pruned matrix is, to the bit, and no row exceeds the cap.

largest = before.abs().topk(8, dim=1).indices
row_wise = torch.zeros_like(before, dtype=torch.bool).scatter(1, largest, True)
alone, kept = int((row_wise & ~row_wise.mT).sum()), int(row_wise.sum())
print(f"row by row: {alone} of {kept} kept entries lack their mirror image")
print("symmetry-aware: symmetric", torch.equal(after, after.mT))
print(
    "                most entries in a row", int(after.count_nonzero(dim=1).max())
)

# %%
# The whole network, and the step
# -------------------------------
# All 1,482 parameters of the digits network at λ = 1, for falling caps. The columns: share of the
# entries kept; the smallest share of a row's absolute sum that survived; the smallest eigenvalue
# and the condition number of the matrix actually solved; and the cosine between its solution and
# the unpruned step.

system = newton_system(workload.build_model(0), "full")
damped = damp(system.operator, 1.0)
full_step = torch.linalg.solve(damped.dense().double(), system.rhs.double())

print("  cap d  entries kept  lowest row share  smallest eigenvalue      κ  cosine")
for cap in (system.n, 741, 200, 50, 10, 1):
    operator = prune(damped, max_per_row=cap)
    matrix = operator.dense().double()
    step = torch.linalg.solve(matrix, system.rhs.double())
    cosine = float(torch.nn.functional.cosine_similarity(step, full_step, dim=0))
    print(
        f"{cap:7,d} {operator.treatment.kept_entries / system.n**2:13.2%} "
        f"{operator.treatment.lowest_kept_mass:17.3f} "
        f"{float(torch.linalg.eigvalsh(matrix)[0]):20.3f} "
        f"{condition_number(operator, max_products=system.n).value:6.2f} {cosine:7.4f}"
    )

# %%
# What pruning takes away
# -----------------------
# Damping lifts every eigenvalue by λ, and the output layer's Hessian has none below zero: damped,
# it is positive definite. Pruning can undo that. The operator's ``treatment`` says how far the
# smallest eigenvalue may have fallen, at most by ``dropped_norm``. Cholesky notices an indefinite
# matrix; LU solves it.

print("     λ  smallest eigenvalue  after pruning  dropped norm  Cholesky, LU then")
for strength in (1.0, 0.1, 0.01):
    damped = damp(small.operator, strength)
    operator = prune(damped, max_per_row=12)
    low, pruned_low = (
        float(torch.linalg.eigvalsh(m.dense().double())[0])
        for m in (damped, operator)
    )
    outcomes = [
        solve((operator, small.rhs), solver).describe()
        for solver in ("cholesky", "lu")
    ]
    dropped = operator.treatment.dropped_norm
    print(f"{strength:6g} {low:20.4f} {pruned_low:14.4f} {dropped:13.4f}", end="  ")
    print(*outcomes, sep=", ")
