"""
Burgers' equation, backwards
============================

From scattered measurements of a fluid, a network learns the whole field and its viscosity.

The equation is known but for one coefficient, the viscosity, which is one more parameter to train.
"""

# %%
# The problem
# -----------
# u_t + u u_x = ν u_xx from u(0, x) = -sin(πx). A wave steepens at x = 0, and ν decides how steep it
# becomes. Two hundred measured values are given. ν starts a dozen times too large; its
# logarithm is trained, so that it stays positive.

import math
import time

import altair as alt
import torch
from torch import nn

from benchmarks.physics_picture import error_over_time
from benchmarks.physics_problems import burgers_solution
from qnewton import QNewton

VISCOSITY = 0.05 / math.pi


class Fluid(nn.Module):
    def __init__(self):
        super().__init__()
        self.u = nn.Sequential(
            nn.Linear(2, 12),
            nn.Tanh(),
            nn.Linear(12, 12),
            nn.Tanh(),
            nn.Linear(12, 1),
        )
        self.log_viscosity = nn.Parameter(torch.tensor(math.log(0.2)))

    def forward(self, points):
        return self.u(points).squeeze(-1)


def scattered(count):
    corner, size = torch.tensor([0.0, -1.0]), torch.tensor([1.0, 2.0])
    return corner + size * torch.rand(count, 2, dtype=torch.float64)


torch.manual_seed(0)
model = Fluid().double()
inside, places = scattered(400), scattered(200)
measured = burgers_solution(places, VISCOSITY)


def closure():
    points = inside.clone().requires_grad_()
    u = model(points)
    [slope] = torch.autograd.grad(u.sum(), points, create_graph=True)
    u_t, u_x = slope[:, 0], slope[:, 1]
    [bend] = torch.autograd.grad(u_x.sum(), points, create_graph=True)
    equation = u_t + u * u_x - model.log_viscosity.exp() * bend[:, 1]
    data = model(places) - measured
    return 0.5 * equation.square().mean() + 0.5 * data.square().mean()


# %%
# A hundred and sixty steps
# -------------------------
# The model is called twice, and differentiated in between; ν is a parameter of no layer. All of it
# is one sum of squares.

STEPS = 160

times = torch.linspace(0.02, 1.0, 40, dtype=torch.float64)
across = torch.linspace(-1.0, 1.0, 81, dtype=torch.float64)
grid = torch.cartesian_prod(times, across)
exact = burgers_solution(grid, VISCOSITY)

optimizer = QNewton(model)
rows = []
start = time.perf_counter()
for step in range(1, STEPS + 1):
    loss = optimizer.step(closure).item()
    with torch.no_grad():
        error = float((model(grid) - exact).norm() / exact.norm())
        ratio = float(model.log_viscosity.exp()) / VISCOSITY
    rows.append({"step": step, "loss": loss, "error": error, "ratio": ratio})

print(f"{time.perf_counter() - start:.1f} s")
for row in rows[:: STEPS // 8] + rows[-1:]:
    print(
        f"step {row['step']:4d}: loss {row['loss']:.1e}, error {row['error']:.1e}, "
        f"viscosity {row['ratio']:.3f} times the true one"
    )

# %%
# The wave that it found
# ----------------------
# Lines are the network, circles the solution.

wave = []
for t in (0.02, 0.3, 0.6, 1.0):
    points = torch.stack([torch.full_like(across, t), across], -1)
    truth = burgers_solution(points, VISCOSITY)
    with torch.no_grad():
        found = model(points)
    wave += [
        {"t": f"t = {t:g}", "x": x, "found": u, "exact": v}
        for x, u, v in zip(
            across.tolist(), found.tolist(), truth.tolist(), strict=True
        )
    ]
base = alt.Chart(alt.Data(values=wave)).encode(
    x=alt.X("x:Q"), color=alt.Color("t:N", title=None)
)
(
    base.mark_line().encode(y=alt.Y("found:Q", title="u"))
    + base.transform_filter("(round(datum.x * 40) % 4) == 0")
    .mark_point(size=18)
    .encode(y="exact:Q")
).properties(width=420, height=240)

# %%
# Beside other optimizers
# -----------------------
# The larger problem of the benchmark ``physics``: ν = 0.01/π, 922 parameters, 1600 points and 400
# measurements, sixty seconds on one thread. Adam and SOAP have the best of three learning rates.
# Both axes are logarithmic.

error_over_time("Burgers, ν learned")
