"""
With PyTorch Lightning
======================

A LightningModule returns QNewton from configure_optimizers, and nothing else changes.

Lightning's automatic optimization hands the optimizer a closure that runs the model, calls
``backward``, clips, and returns the loss detached. QNewton takes it as it is.
"""

# %%
# The module
# ----------
# Lightning's trainer needs no option and no subclass.

import warnings

import altair as alt
import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, TensorDataset

from qnewton import QNewton
from qnewton.optimizer import to_lightning
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)


class Digits(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = workload.build_model(0)

    def training_step(self, batch, batch_index):
        inputs, targets = batch
        return workload.loss(self.model(inputs), targets)

    def configure_optimizers(self):
        optimizer = QNewton(self, lr=2.0, damping=1.0)
        optimizer.log(
            to_lightning(self)
        )  # loss, λ, ρ, seconds and health, by log_dict
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.97)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


# %%
# Training
# --------
# The records are the optimizer's, as without Lightning. Gradient clipping is the trainer's, and so
# would be ``accumulate_grad_batches``: given the LightningModule, a step repeats the training steps
# that the trainer accumulated.


class ShowRecord(Callback):
    def on_train_epoch_end(self, trainer, module):
        record = trainer.optimizers[0].records[-1]
        print(
            f"step {record.step:2d}  loss {record.loss:.4f}  |g| {record.gradient_norm:.3f}  "
            f"{record.phase} by {record.blocks[0].solver}"
        )


whole = TensorDataset(workload.train_inputs, workload.train_targets)
trainer = lightning.Trainer(
    max_epochs=12,
    accelerator="cpu",
    gradient_clip_val=0.5,
    callbacks=[ShowRecord()],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
module = Digits()
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    trainer.fit(module, DataLoader(whole, batch_size=len(whole)))
print(f"test accuracy {workload.evaluate(module.model)[1]:.1%}")

# %%
# What callbacks may monitor
# --------------------------
# Numbers that the optimizer logs are the trainer's like any other.

for name in ("loss", "damping", "modelled_s/total", "health/wrong/loss"):
    print(f"{name:18s} {float(trainer.callback_metrics[f'qnewton/{name}']):.3g}")

# %%
# The optimizer's own records hold all steps.

records = trainer.optimizers[0].records
rows = [{"step": record.step, "loss": record.loss} for record in records]
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(type="log")),
).properties(width=420, height=220, title="Digits under Lightning")
