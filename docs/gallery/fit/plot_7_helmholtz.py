"""
Helmholtz' equation
===================

A wave of high frequency is learned from its equation, after a long plateau.

Networks learn smooth functions first, and those are no better than zero here.
"""

# %%
# The problem
# -----------
# Δu + k²u = f with k = 2π on the unit square, u = 0 on its edge, solved by u = sin(kx) sin(ky). The
# equation is divided by k², so that all terms are of size one.

import math
import time

import altair as alt
import torch
from torch import nn

from benchmarks.physics_picture import error_over_time
from qnewton import QNewton

K = 2 * math.pi

torch.manual_seed(0)
model = nn.Sequential(
    nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)
).double()

line = (torch.arange(24, dtype=torch.float64) + 0.5) / 24
inside = torch.cartesian_prod(line, line)
pairs = (
    (line, 0 * line),
    (line, 0 * line + 1),
    (0 * line, line),
    (0 * line + 1, line),
)
edge = torch.cat([torch.stack(pair, -1) for pair in pairs])


def solution(points):
    return torch.sin(K * points).prod(-1)


def closure():
    points = inside.clone().requires_grad_()
    u = model(points).squeeze(-1)
    [slope] = torch.autograd.grad(u.sum(), points, create_graph=True)
    bends = [
        torch.autograd.grad(slope[:, i].sum(), points, create_graph=True)[0][:, i]
        for i in range(2)
    ]
    residual = (bends[0] + bends[1]) / K**2 + u + solution(inside)
    return 0.5 * residual.square().mean() + 0.5 * model(edge).square().mean()


# %%
# A hundred and twenty steps
# --------------------------
# The first steps lower the loss little, but they prepare the later ones: the damping λ falls as
# long as the decrease is predicted well, which lets steps grow.

STEPS = 120

axis = torch.linspace(0, 1, 41, dtype=torch.float64)
grid = torch.cartesian_prod(axis, axis)
exact = solution(grid)

optimizer = QNewton(model)
rows, fields = [], []
start = time.perf_counter()
for step in range(1, STEPS + 1):
    loss = optimizer.step(closure).item()
    with torch.no_grad():
        u = model(grid).squeeze(-1)
    fields.append(u)
    error = float((u - exact).norm() / exact.norm())
    damping = optimizer.records[-1].damping.strength
    rows.append({"step": step, "loss": loss, "error": error, "damping": damping})

print(f"{time.perf_counter() - start:.1f} s")
for row in rows[:: STEPS // 8] + rows[-1:]:
    print(
        f"step {row['step']:4d}: loss {row['loss']:.1e}, error {row['error']:.1e}, "
        f"λ {row['damping']:.1e}"
    )

# %%
# How the wave appears
# --------------------
# The network after a few steps, on the way, and at the end.

halfway = next(row["step"] for row in rows if row["error"] < 0.5)
cells = [
    {"after": f"{step} steps", "order": order, "x": x, "y": y, "u": value}
    for order, step in enumerate((10, halfway, STEPS))
    for (x, y), value in zip(grid.tolist(), fields[step - 1].tolist(), strict=True)
]
alt.Chart(alt.Data(values=cells)).mark_rect().encode(
    x=alt.X("x:O", axis=alt.Axis(values=[0, 0.5, 1], labelAngle=0)),
    y=alt.Y("y:O", sort="descending", axis=alt.Axis(values=[0, 0.5, 1])),
    color=alt.Color(
        "u:Q", scale=alt.Scale(scheme="blueorange", domain=[-1, 1], clamp=True)
    ),
    column=alt.Column("after:N", title=None, sort=alt.SortField("order")),
).properties(width=150, height=150)

# %%
# Beside other optimizers
# -----------------------
# The benchmark ``physics`` has twice this frequency: k = 4π, 1,185 parameters, 1600 points inside
# and 160 on the edge, sixty seconds on one thread. Adam and SOAP have the best of three learning
# rates. Both axes are logarithmic.

error_over_time("Helmholtz")
