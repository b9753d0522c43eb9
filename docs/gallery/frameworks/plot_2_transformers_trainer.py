"""
With the Trainer of transformers
================================

The Trainer of transformers gets QNewton as it gets any optimizer, after one call of attach.

The ``Trainer`` calls ``backward`` itself and then ``optimizer.step()``, without a closure.
``attach`` tells QNewton the model and its loss; at every step QNewton repeats the passes of that
step for the curvature, on the same inputs and random numbers. The right-hand side is ``.grad`` as
the trainer left it, so accumulation and clipping count. With label smoothing, or a loss function of
your own, the trainer computes the loss outside of the model: there ``trainer.compute_loss =
optimizer.repeatable(trainer.compute_loss)`` takes the place of ``attach``.
"""

# %%
# A small task
# ------------
# A BERT with random weights, nothing to download, learns whether a sequence of digits begins with
# one above four. As in fine-tuning, its encoder stays as it is and its head is trained.

import altair as alt
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from qnewton import QNewton

set_seed(0)
tokens = torch.randint(0, 10, (1024, 4))
labels = (tokens[:, 0] > 4).long()
examples = [
    {"input_ids": row, "labels": label}
    for row, label in zip(tokens, labels, strict=True)
]
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=10,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=4,
        num_labels=2,
        initializer_range=0.1,
    )
)
model.bert.embeddings.requires_grad_(False)
model.bert.encoder.requires_grad_(False)
trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
print(f"{trained} parameters are trained, of {model.num_parameters()}")

# %%
# The trainer
# -----------
# The optimizer goes in as any other, with its scheduler; the trainer is not changed. Each step
# accumulates two batches and clips.

optimizer = QNewton(model, lr=1.0, damping=0.3)
optimizer.attach(model, lambda output: output.loss)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.98)
trainer = Trainer(
    model,
    TrainingArguments(
        output_dir="trainer",
        use_cpu=True,
        max_steps=24,
        per_device_train_batch_size=256,
        gradient_accumulation_steps=2,
        max_grad_norm=1.0,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    ),
    train_dataset=examples,
    optimizers=(optimizer, scheduler),
)
trainer.train()

# %%
# What the steps were
# -------------------
# This model's loss is a mean that the trainer does not divide by the number of accumulated
# batches: it differentiates their sum. QNewton minimizes what was differentiated, and records it.

for record in list(optimizer.records)[::3]:
    blocks = ", ".join(f"{block.name} by {block.solver}" for block in record.blocks)
    print(
        f"step {record.step:2d}  loss {record.loss:.4f}  |g| {record.gradient_norm:.3f}  "
        f"{record.phase}: {blocks}"
    )
model.eval()
with torch.no_grad():
    right = model(tokens).logits.argmax(1) == labels
print(
    f"accuracy {right.float().mean():.1%}, the majority's share {1 - labels.float().mean():.1%}"
)

# %%
# Each step saw two other batches, so the loss need not fall at every one.

rows = [{"step": record.step, "loss": record.loss} for record in optimizer.records]
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("step:Q", title="step"),
    y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(type="log")),
).properties(
    width=420, height=220, title="The head of a small BERT, under the Trainer"
)
