"""
Newton on the digits
====================

Train a small network on 1,437 handwritten digits with Newton's method, and read what each step
recorded.

A record says which system was solved, what each solver would have cost, and where the time went.
"""

# %%
# Ten lines
# ---------
# The workload brings data, model and loss. Its network has layers of 64, 16, 16 and 10 units;
# ``blocks="full"`` puts all 1,482 parameters into one system. The closure only returns the loss.

import altair as alt

from qnewton import QNewton
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
inputs, targets = workload.train_inputs, workload.train_targets
model = workload.build_model(0)
optimizer = QNewton(model, lr=workload.newton_lr, damping=1.0, blocks="full")

for _ in range(15):
    optimizer.step(lambda: workload.loss(model(inputs), targets))

test_loss, test_accuracy = workload.evaluate(model)
print(f"after {len(optimizer.records)} steps: test accuracy {test_accuracy:.1%}")

# %%
# The records
# -----------
# ``optimizer.records`` holds one :class:`~qnewton.records.StepRecord` per step. The cosine is that
# of the angle between the step and the negative gradient: 1 would be gradient descent.

print("step    loss    |g|  |step|  cosine  solver    residual")
for record in list(optimizer.records)[::2]:
    block = record.blocks[0]
    print(
        f"{record.step:4d} {record.loss:7.4f} {record.gradient_norm:6.3f} "
        f"{record.step_norm:7.3f} {record.cosine:7.3f}  {block.solver:8s} "
        f"{block.attempts[-1].residual:9.1e}"
    )

# %%
# One decision
# ------------
# A block's decision keeps the quote of every solver, also of those that were refused. These are
# modelled seconds: prices from the calibration named below, not timings.

decision = optimizer.records[-1].blocks[0].decision
for quote in decision.quotes:
    price = "refused" if quote.seconds is None else f"{quote.seconds:.2e} s"
    print(f"{quote.solver:10s} {price:>11s}  {quote.refused or quote.model}")
print(f"\nchosen: {decision.reason}")
print(f"prices: {optimizer.market.calibration.source}")

# %%
# Two clocks
# ----------
# ``measured`` is wall clock on this machine, ``modelled`` the price of the same stages. They are
# different kinds of number, so they are drawn side by side and never added.

stages = ("forward_backward", "curvature", "treatment", "survey", "solve", "update")
clocks = ("measured", "modelled")
rows = [
    {"step": r.step, "stage": s, "clock": c, "seconds": getattr(getattr(r, c), s)}
    for r in optimizer.records
    for c in clocks
    for s in stages
]
alt.Chart(alt.Data(values=rows)).mark_bar().encode(
    x=alt.X("step:O", title="step"),
    y=alt.Y("seconds:Q", title="seconds"),
    color=alt.Color("stage:N", sort=list(stages), title=None),
    column=alt.Column("clock:N", title=None),
).properties(width=220, height=180)
