"""
Poisson's equation
==================

Poisson's equation is solved by a network whose loss is a sum of squares, which QNewton finds by
itself.

``QNewton`` sees the squares in the closure as it is, and takes Gauss-Newton steps on the residuals.
"""

# %%
# The problem
# -----------
# Δu = f on the unit square, and u = 0 on its edge; the solution is u = sin(πx) sin(πy). The closure
# below is what one writes for any optimizer: it differentiates the network twice and returns the
# loss.

import math
import time

import altair as alt
import torch
from torch import nn

from benchmarks.physics_picture import error_over_time
from qnewton import QNewton

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1)).double()

line = (torch.arange(30, dtype=torch.float64) + 0.5) / 30
inside = torch.cartesian_prod(line, line)
pairs = (
    (line, 0 * line),
    (line, 0 * line + 1),
    (0 * line, line),
    (0 * line + 1, line),
)
edge = torch.cat([torch.stack(pair, -1) for pair in pairs])


def solution(points):
    return torch.sin(math.pi * points).prod(-1)


def laplacian(points):
    points = points.clone().requires_grad_()
    [slope] = torch.autograd.grad(model(points).sum(), points, create_graph=True)
    bends = [
        torch.autograd.grad(slope[:, i].sum(), points, create_graph=True)[0][:, i]
        for i in range(2)
    ]
    return bends[0] + bends[1]


def closure():
    force = -2 * math.pi**2 * solution(inside)
    residual = laplacian(inside) - force
    return 0.5 * residual.square().mean() + 0.5 * model(edge).square().mean()


# %%
# Two hundred steps
# -----------------
# Nothing is set. The record of a step says what was found: how many squares, and that one backward
# pass gave their whole Jacobian.

STEPS = 200

probes = torch.rand(2000, 2, dtype=torch.float64)


def error():
    with torch.no_grad():
        off = model(probes).squeeze(-1) - solution(probes)
    return float(off.norm() / solution(probes).norm())


optimizer = QNewton(model)
rows = []
start = time.perf_counter()
for step in range(1, STEPS + 1):
    loss = optimizer.step(closure).item()
    rows.append({"step": step, "loss": loss, "error": error()})

print(f"{time.perf_counter() - start:.1f} s")
[block] = optimizer.records[-1].blocks
print(block.curvature.reason)
for row in rows[:: STEPS // 8] + rows[-1:]:
    print(
        f"step {row['step']:4d}: loss {row['loss']:.1e}, error {row['error']:.1e}"
    )

# %%
# Where the error is left
# -----------------------
# The network minus the solution, on a grid.

axis = torch.linspace(0, 1, 41, dtype=torch.float64)
grid = torch.cartesian_prod(axis, axis)
with torch.no_grad():
    off = model(grid).squeeze(-1) - solution(grid)
cells = [
    {"x": x, "y": y, "off": value}
    for (x, y), value in zip(grid.tolist(), off.tolist(), strict=True)
]
alt.Chart(alt.Data(values=cells)).mark_rect().encode(
    x=alt.X("x:O", axis=alt.Axis(values=[0, 0.5, 1], labelAngle=0)),
    y=alt.Y("y:O", sort="descending", axis=alt.Axis(values=[0, 0.5, 1])),
    color=alt.Color(
        "off:Q",
        title="error of u",
        scale=alt.Scale(scheme="blueorange", domainMid=0),
        legend=alt.Legend(format=".0e"),
    ),
).properties(width=260, height=260)

# %%
# Beside other optimizers
# -----------------------
# The same network and points in the benchmark ``physics``, on a quiet machine with one thread. "By
# hand" is Levenberg-Marquardt as one writes it for this one equation, with ``torch.func``. Adam and
# SOAP have the best of three learning rates. Both axes are logarithmic.

error_over_time("Poisson 2-D")
