"""
With Accelerate
===============

A loop of Accelerate needs one change: the closure calls accelerator.backward.

The optimizer that Accelerate prepares passes a closure on. To accumulate gradients, take bare steps
under ``accelerator.accumulate`` and let the optimizer repeat the passes, by ``optimizer.attach`` or
``optimizer.repeatable``: Accelerate does not run a closure between synchronizations.
"""

# %%

import altair as alt
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

from qnewton import QNewton
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
data = TensorDataset(workload.train_inputs, workload.train_targets)
model = workload.build_model(0)
optimizer = QNewton(model, lr=2.0)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.98)

accelerator = Accelerator(cpu=True)
prepared, prepared_optimizer, loader, scheduler = accelerator.prepare(
    model, optimizer, DataLoader(data, batch_size=719), scheduler
)

for epoch in range(6):
    for inputs, targets in loader:

        def closure(inputs=inputs, targets=targets):
            prepared_optimizer.zero_grad()
            loss = workload.loss(prepared(inputs), targets)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(prepared.parameters(), 0.5)
            return loss

        prepared_optimizer.step(closure)
        scheduler.step()
    record = optimizer.records[-1]
    print(
        f"epoch {epoch}  loss {record.loss:.4f}  a step of length "
        f"{record.averaged.length:.3g}"
    )
print(f"test accuracy {workload.evaluate(model)[1]:.1%}")

# %%
# An epoch has two batches: QNewton averages the curvature over them, and sets λ and the length of
# its steps itself.

rows = [{"step": record.step, "loss": record.loss} for record in optimizer.records]
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(type="log")),
).properties(width=420, height=220, title="Digits in batches, under Accelerate")
