"""
A full-batch regression
=======================

Least squares with 285 nearly collinear columns: the conditioning decides which optimizer solves it.

The columns are the cubic monomials of ten measurements of 442 patients, and every gradient is over
all of them.
"""

# %%
# The problem
# -----------
# The 285 monomials are nearly collinear, and those of a measurement with two values exactly so. A
# ridge of 1e-6 makes the minimiser unique, and the condition number large.

import time

import altair as alt
import torch
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import PolynomialFeatures
from torch import nn

from qnewton import QNewton
from qnewton.curvature import systems


def standardised(columns):
    return (columns - columns.mean(dim=0)) / columns.std(dim=0)


measurements, progression = load_diabetes(return_X_y=True)
# Standardised first: powers of numbers near 0.05 would drown in rounding.
scaled = standardised(torch.from_numpy(measurements))
cubic = PolynomialFeatures(degree=3, include_bias=False).fit_transform(
    scaled.numpy()
)
design = standardised(torch.from_numpy(cubic))
targets = standardised(torch.from_numpy(progression).unsqueeze(1))


def linear():
    torch.manual_seed(0)
    return nn.Linear(design.shape[1], 1).double()


def loss_of(model):
    ridge = sum(p.square().sum() for p in model.parameters())
    return (model(design) - targets).square().mean() / 2 + 5e-7 * ridge


model = linear()
[system] = systems(model, lambda: loss_of(model), blocks="full")
eigenvalues = torch.linalg.eigvalsh(system.operator.dense())
print(
    f"{system.n} parameters, eigenvalues {eigenvalues[0]:.1e} to {eigenvalues[-1]:.1e}"
)
print(f"condition number {float(eigenvalues[-1] / eigenvalues[0]):.1e}")

# %%
# Three ways to solve it
# ----------------------
# QNewton sets its own damping. L-BFGS has a line search, and Adam the best of three learning
# rates. A run ends when its gradient is of norm 1e-8, or after four seconds.

SECONDS = 4.0
TOLERANCE = 1e-8


def train(name, model, optimizer):
    history = []
    start = time.perf_counter()

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    def norm():
        optimizer.zero_grad()
        loss_of(model).backward()
        return float(
            torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
        )

    gradient = norm()
    while True:
        elapsed = time.perf_counter() - start
        history.append(
            {"optimizer": name, "seconds": elapsed, "gradient": gradient}
        )
        if elapsed > SECONDS or gradient <= TOLERANCE:
            return history
        optimizer.step(closure)
        gradient = norm()


def lbfgs(model):
    return torch.optim.LBFGS(
        model.parameters(),
        max_iter=10,
        history_size=100,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )


def adam(rate):
    return lambda model: torch.optim.Adam(model.parameters(), lr=rate)


runs = {}
makers = {"QNewton": QNewton, "L-BFGS": lbfgs}
makers |= {f"Adam, lr {rate:g}": adam(rate) for rate in (1e-3, 1e-2, 1e-1)}
for name, make in makers.items():
    model = linear()
    runs[name] = train(name, model, make(model))

rates = [name for name in runs if name.startswith("Adam")]
best = min(rates, key=lambda name: runs[name][-1]["gradient"])
shown = ["QNewton", "L-BFGS", best]
for name in shown:
    last = runs[name][-1]
    print(
        f"{name:14s} {len(runs[name]) - 1:6d} steps, {last['seconds']:.2f} s, "
        f"|g| {last['gradient']:.1e}"
    )

# %%
# The gradient over time
# ----------------------
# A quadratic is solved by one step of Newton's method, once the damping is out of its way: each
# good step lowers it. One step of L-BFGS is up to ten iterations here.

rows = [
    {**row, "seconds": max(row["seconds"], 1e-3)}
    for name in shown
    for row in runs[name][:: max(1, len(runs[name]) // 200)] + runs[name][-1:]
]
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("seconds:Q", scale=alt.Scale(type="log"), title="seconds"),
    y=alt.Y("gradient:Q", scale=alt.Scale(type="log"), title="|g|"),
    color=alt.Color("optimizer:N", sort=shown, title=None),
).properties(width=420, height=240)
