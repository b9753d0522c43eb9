"""
Leaving saddle points
=====================

Gradient descent stays at a saddle point, and Newton's method leaves it along negative curvature.

At a strict saddle the gradient vanishes and the curvature tells the way down. QNewton turns
negative curvature into descent.
"""

# %%
# A surface
# ---------
# f(x, y) = x² - y² + y⁴/2 has a saddle at the origin and minima of -½ at y = ±1. All start 1e-6
# beside the saddle's ridge, at x = 1. QNewton sets its own damping.

import altair as alt
import torch
from torch import nn

from qnewton import QNewton


class Surface(nn.Module):
    def __init__(self, x, y):
        super().__init__()
        self.place = nn.Parameter(torch.tensor([x, y], dtype=torch.float64))

    def forward(self):
        x, y = self.place
        return x**2 - y**2 + y**4 / 2


def train(model, optimizer, steps):
    """Return the loss before every step, and after the last."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()

        def closure():
            loss = model()
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
    return [*losses, float(model().detach())]


def sgd(rate):
    return lambda model: torch.optim.SGD(model.parameters(), lr=rate)


makers = {"QNewton": QNewton}
makers |= {f"SGD, lr {rate:g}": sgd(rate) for rate in (0.01, 0.03, 0.1, 0.3)}
rows = []
for name, make in makers.items():
    model = Surface(1.0, 1e-6)
    losses = train(model, make(model), 60)
    rows += [
        {"optimizer": name, "step": step, "loss": loss}
        for step, loss in enumerate(losses)
    ]
    down = [step for step, loss in enumerate(losses) if loss < -0.45]
    when = (
        f"below -0.45 at step {down[0]}" if down else f"at {losses[-1]:.1e} still"
    )
    print(f"{name:14s} {when}")
alt.Chart(alt.Data(values=rows)).mark_line().encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y("loss:Q", title="f(x, y)"),
    color=alt.Color("optimizer:N", sort=list(makers), title=None),
).properties(width=420, height=240)

# %%
# Exactly on it
# -------------
# Started at the saddle itself the gradient is zero, and every first-order method stays for ever.

for name, make in makers.items():
    model = Surface(0.0, 0.0)
    print(f"{name:14s} after 20 steps f = {train(model, make(model), 20)[-1]:.3f}")

# %%
# A deep linear network
# ---------------------
# ½‖B A - T‖² with A = B = 0 is a saddle, and so is every pair that fits only some of T's singular
# values: training walks from one to the next. Here T = diag(4, 3, 2, 1), so that the saddles have
# losses 15, 7, 2.5, 0.5 and only the last place has 0.


class DeepLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False, dtype=torch.float64)
        self.second = nn.Linear(4, 4, bias=False, dtype=torch.float64)
        nn.init.zeros_(self.first.weight)
        nn.init.zeros_(self.second.weight)

    def forward(self):
        target = torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64))
        return (
            self.second(self.first(torch.eye(4).double())) - target
        ).square().sum() / 2


rows = []
for name, make in makers.items():
    model = DeepLinear()
    losses = train(model, make(model), 40)
    rows += [
        {"optimizer": name, "step": step, "loss": loss}
        for step, loss in enumerate(losses)
    ]
    print(f"{name:14s} loss {losses[0]:.1f} to {losses[-1]:.2e} in 40 steps")
alt.Chart(alt.Data(values=rows)).mark_line().encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y("loss:Q", title="loss"),
    color=alt.Color("optimizer:N", sort=list(makers), title=None),
).properties(width=420, height=240)
