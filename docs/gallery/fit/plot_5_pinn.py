"""
A physics-informed network
==========================

A network learns a function from its differential equation alone, which is stiff: a case for second
order.

The loss of such a physics-informed network holds second derivatives, whose squares make the problem
stiff. Adam and L-BFGS train the same network beside it.
"""

# %%
# The problem
# -----------
# u'' = f on [0, 1] with u = 0 at both ends, solved by u = sin(πx) + sin(4πx)/4. A little weight
# decay keeps the minimiser finite. float64, as always when the last digits of a gradient count.

import math
import time

import altair as alt
import torch
from torch import nn

from qnewton import QNewton
from qnewton.curvature import systems

x = torch.linspace(0, 1, 64, dtype=torch.float64).unsqueeze(1)
exact = torch.sin(math.pi * x) + torch.sin(4 * math.pi * x) / 4
bend = -(math.pi**2) * (torch.sin(math.pi * x) + 4 * torch.sin(4 * math.pi * x))


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 1)
    ).double()


def loss_of(model):
    points = x.clone().requires_grad_()
    u = model(points)
    [first] = torch.autograd.grad(u.sum(), points, create_graph=True)
    [second] = torch.autograd.grad(first.sum(), points, create_graph=True)
    inside = ((second - bend) / math.pi**2).square().mean() / 2
    ends = u[[0, -1]].square().mean() / 2
    decay = sum(p.square().sum() for p in model.parameters())
    return inside + ends + 5e-6 * decay


# %%
# Three ways to train it
# ----------------------
# Each has the same few seconds. QNewton sets its own damping; L-BFGS has a long memory and a
# line search, Adam the best of two learning rates.

SECONDS = 4.0


def train(name, model, optimizer):
    history = []
    start = time.perf_counter()

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    while (elapsed := time.perf_counter() - start) < SECONDS:
        loss = optimizer.step(closure).item()
        row = {"optimizer": name, "seconds": elapsed, "steps": len(history)}
        history.append({**row, "loss": loss})
    return history


def newton(model):
    return QNewton(model)


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
makers = {"QNewton": newton, "L-BFGS": lbfgs}
makers |= {f"Adam, lr {rate:g}": adam(rate) for rate in (3e-3, 1e-2)}
for name, make in makers.items():
    model = network()
    runs[name] = train(name, model, make(model)), model

rates = [name for name in runs if name.startswith("Adam")]
best = min(rates, key=lambda name: runs[name][0][-1]["loss"])
shown = ["QNewton", "L-BFGS", best]
for name in shown:
    history, model = runs[name]
    model.zero_grad()
    loss_of(model).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    error = float((model(x) - exact).abs().max().detach())
    print(
        f"{name:14s} {len(history):6d} steps, loss {history[-1]['loss']:.2e}, "
        f"|g| {float(gradient):.0e}, largest error of u {error:.1e}"
    )

# %%
# The loss over time
# ------------------
# One step of L-BFGS is up to ten iterations here. Who has not come to rest by the end would
# need longer, not another learning rate.

rows = [
    row
    for name in shown
    for row in runs[name][0][:: max(1, len(runs[name][0]) // 200)]
]
alt.Chart(alt.Data(values=rows)).mark_line().encode(
    x=alt.X("seconds:Q", title="seconds"),
    y=alt.Y("loss:Q", scale=alt.Scale(type="log"), title="loss"),
    color=alt.Color("optimizer:N", sort=shown, title=None),
).properties(width=420, height=240)

# %%
# Why: the spectrum
# -----------------
# The Hessian's eigenvalues where QNewton stopped span many orders of magnitude. A first-order
# method has to cross the flat directions at a rate that the steep ones allow.

model = runs["QNewton"][1]
[system] = systems(model, lambda: loss_of(model), blocks="full")
eigenvalues = torch.linalg.eigvalsh(system.operator.dense())
size = eigenvalues.abs()
print(
    f"{len(size)} parameters, {int((eigenvalues < 0).sum())} negative eigenvalues"
)
print(f"condition number {float(size.max() / size.min()):.1e}")
