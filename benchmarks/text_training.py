"""How many steps does Newton take to the loss that the best SGD ends at, on BERT and Mistral?

The runs of ``qnewton paper fig-2``: WikiText-2, the same weights and batches for all, SGD's and
Adam's learning rates and Newton's (λ, β) from stated grids, layer-wise empirical Fisher; Mistral's
layers put together by the Fisher matrix between them. Losses are means of five batches. No timing:
steps do not depend on the machine.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Report, Row, Say, reached
from paper.artifact import PaperContext
from paper.text_runs import MODELS, QUICK_TEXT, ModelRuns, last_loss, text_runs
from qnewton.cost import nominal_calibration

SHARE = 0.5


def measure(say: Say) -> Report:
    """Train both models with every optimizer and setting, in a folder that is thrown away."""
    if os.environ.get("QNEWTON_DATA") is None:
        row = Row("Newton's steps on text", "", "needs --data-dir with wikitext-2", "not measured")
        return Report("text_training", [row])
    rows, facts = [], {}
    with tempfile.TemporaryDirectory() as folder:
        context = PaperContext(
            folder=Path(folder),
            full=False,
            seed=0,
            data_dir=Path(os.environ["QNEWTON_DATA"]),
            calibration=nominal_calibration(),
            progress=say,
        )
        for model in MODELS:
            found = text_runs(context, model, QUICK_TEXT)
            facts[model] = _facts(found)
            rows += _rows(found)
            say(f"{facts[model]}")
    return Report("text_training", rows, facts=facts)


def _rows(found: ModelRuns) -> list[Row]:
    setup = found.setup
    best = found.steps_to_target(found.sgd[found.best_sgd]) or setup.steps
    newton = found.steps_to_target(found.newton[found.best_newton])
    adam = found.steps_to_target(found.adam[found.best_adam])
    title = (
        f"{found.model}, batch {setup.batch} × {setup.length}, {setup.steps} steps: to the best "
        f"SGD's training loss, {found.target:.3f} (learning rate {found.best_sgd:g} of "
        f"{', '.join(f'{rate:g}' for rate in found.sgd)})"
    )
    damping, length = found.best_newton
    together = ", rescaled" if found.rescaled else ""
    return [
        reached(
            f"{title}: Newton's steps beside SGD's",
            f"≤ {SHARE:g}×",
            f"{newton or 'not reached'} of {best} (λ = {damping:g}, β = {length:g}{together})",
            newton is not None and newton <= SHARE * best,
        ),
        Row(f"{title}: Adam's", "", f"{adam or 'not reached'} ({found.best_adam:g})", ""),
    ]


def _facts(found: ModelRuns) -> dict[str, Any]:
    runs = {
        **{f"sgd, {rate:g}": run for rate, run in found.sgd.items()},
        **{f"adam, {rate:g}": run for rate, run in found.adam.items()},
        **{f"newton, λ = {d:g}, β = {b:g}": run for (d, b), run in found.newton.items()},
    }
    return {
        "target_loss": found.target,
        "batch": found.setup.batch,
        "length": found.setup.length,
        "steps": found.setup.steps,
        "steps_to_target": {name: found.steps_to_target(run) for name, run in runs.items()},
        "last_loss": {name: last_loss(run) for name, run in runs.items()},
        "notes": list(found.notes),
    }
