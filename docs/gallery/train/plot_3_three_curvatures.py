"""
Hessian, Gauss-Newton, Fisher
=============================

The same network and batch have three curvatures: two are approximations that never turn negative.

They are the exact Hessian, the Hessian of the linearised network (Gauss-Newton), and the second
moment of the gradients of single samples (Fisher).
"""

# %%
# Three spectra
# -------------
# Both approximations are positive semidefinite here, the Hessian is not: where its eigenvalues
# are below -λ, a Newton step climbs.

import altair as alt
import torch

from qnewton import QNewton
from qnewton.curvature import systems
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
inputs, targets = workload.train_inputs, workload.train_targets
model = workload.build_model(0).double()
x = inputs.double()
kinds = ("hessian", "ggn", "fisher")

rows = []
for kind in kinds:
    [system] = systems(
        model, lambda: workload.loss(model(x), targets), kind=kind, blocks="full"
    )
    eigenvalues = torch.linalg.eigvalsh(system.operator.dense())
    rank = int((eigenvalues.abs() > 1e-9).sum())
    print(
        f"{kind:8s} {system.curvature.route:13s} {eigenvalues[0]:7.3f} to {eigenvalues[-1]:.3f}, "
        f"{rank} of {system.n} not zero"
    )
    rows += [
        {"curvature": kind, "index": i, "eigenvalue": float(value)}
        for i, value in enumerate(eigenvalues)
    ]
alt.Chart(alt.Data(values=rows)).mark_line(interpolate="step").encode(
    x=alt.X("index:Q", title="eigenvalue, from the lowest"),
    y=alt.Y("eigenvalue:Q", scale=alt.Scale(type="symlog", constant=0.01)),
    color=alt.Color("curvature:N", sort=list(kinds), title=None),
).properties(width=420, height=240)

# %%
# Three ways down
# ---------------
# One word changes the curvature that ``QNewton`` steps with. At λ = 0.3 the damped Hessian is
# indefinite and full steps climb; the two others go down. (At λ = 1 the Hessian goes down, too.)

rows = []
for kind in kinds:
    model = workload.build_model(0)
    optimizer = QNewton(model, lr=1.0, damping=0.3, curvature=kind, blocks="full")
    for step in range(15):
        optimizer.step(lambda model=model: workload.loss(model(inputs), targets))
        rows.append(
            {"curvature": kind, "step": step, "loss": optimizer.records[-1].loss}
        )
    _, accuracy = workload.evaluate(model)
    print(f"{kind:8s} loss {rows[-1]['loss']:.3f}, test accuracy {accuracy:.1%}")
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y(
        "loss:Q",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(format=".0e"),
        title="training loss",
    ),
    color=alt.Color("curvature:N", sort=list(kinds), title=None),
).properties(width=420, height=240)

# %%
# The step in sample space
# ------------------------
# With 40 samples F has rank 40 at most. It is held as a factor U of 40 columns that are never
# formed, and Woodbury's identity gives the step from a 40 × 40 system in place of 1,482 × 1,482.

damping = 0.3
model = workload.build_model(0).double()
[system] = systems(
    model,
    lambda: workload.loss(model(x[:40]), targets[:40]),
    kind="fisher",
    blocks="full",
)
factor = system.operator.factor
small = factor.gram() + damping * torch.eye(factor.shape[1], dtype=torch.float64)
inner = torch.linalg.solve(small, factor.project(system.rhs))
step = (system.rhs - factor @ inner) / damping

dense = system.operator.dense() + damping * torch.eye(system.n, dtype=torch.float64)
expected = torch.linalg.solve(dense, system.rhs)
print(f"{small.shape[0]} unknowns in place of {system.n}")
print(
    f"relative difference {float((step - expected).norm() / expected.norm()):.0e}"
)
