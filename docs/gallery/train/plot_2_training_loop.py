"""
In a training loop of your own
==============================

Parameter groups, schedulers, clipping, bfloat16 and checkpoints work as with any optimizer of
PyTorch.
"""

# %%
# Groups, a scheduler, clipping
# -----------------------------
# The digits network, its last layer damped less than the others. ``model=`` tells whose parameters
# the groups hold, so that its layers keep the closed form. Whatever the closure leaves in ``.grad``
# is the right-hand side of the Newton system, so clipping belongs into it.

import io

import altair as alt
import torch
from torch import nn

from qnewton import QNewton
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
inputs, targets = workload.train_inputs, workload.train_targets
model = workload.build_model(0)
*hidden, last = [layer for layer in model if isinstance(layer, nn.Linear)]
optimizer = QNewton(
    [
        {"params": [p for layer in hidden for p in layer.parameters()]},
        {"params": last.parameters(), "damping": 0.3},
    ],
    lr=2.0,
    damping=1.0,
    model=model,
)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.97)


def closure():
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
    return loss


print("step    loss   |g|     lr   λ of each block")
for step in range(15):
    loss = optimizer.step(closure)
    if step % 2 == 0:
        record = optimizer.records[-1]
        print(
            f"{record.step:4d} {loss.item():7.4f} {record.gradient_norm:5.3f} "
            f"{optimizer.param_groups[0]['lr']:6.3f}",
            *(block.treatment.damping for block in record.blocks),
        )
    scheduler.step()
print(f"test accuracy {workload.evaluate(model)[1]:.1%}")

# %%
# What clipping and the scheduler do: the norm of the clipped gradient never exceeds 0.5.

rows = [
    {"step": record.step, "value": value, "of": name}
    for record in optimizer.records
    for name, value in (("loss", record.loss), ("|g|", record.gradient_norm))
]
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y("value:Q", title="loss, gradient norm", scale=alt.Scale(type="log")),
    color=alt.Color("of:N", title=None),
).properties(width=420, height=220, title="Newton steps with clipped gradients")

# %%
# bfloat16
# --------
# The forward pass may run in bfloat16 under autocast; parameters and the solve stay in float32.
# Rounding is then larger than what the check of the closed form allows, so the curvature takes
# the generic route, which differentiates what really ran. (float16 needs loss scaling, which would
# scale the curvature; it is refused.)

few = slice(0, 256)
model = workload.build_model(0)
optimizer = QNewton(model, lr=2.0, curvature="hessian")


def autocast_closure():
    with torch.autocast("cpu", torch.bfloat16):
        return nn.functional.cross_entropy(model(inputs[few]), targets[few])


for _ in range(4):
    loss = optimizer.step(autocast_closure)
    block = optimizer.records[-1].blocks[0]
    print(
        f"loss {loss.item():.4f}, block {block.name!r}: {block.curvature.route} route"
    )
print(block.curvature.reason)

# %%
# A checkpoint
# ------------
# The state is a few numbers and the groups, read back with ``weights_only``.

file = io.BytesIO()
torch.save(optimizer.state_dict(), file)
file.seek(0)
again = QNewton(model, lr=1.0, curvature="hessian")
again.load_state_dict(torch.load(file, weights_only=True))
again.step(autocast_closure)
print(f"step {again.records[-1].step}, lr {again.param_groups[0]['lr']}")
