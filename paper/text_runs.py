"""Runs of the language models for Table IV and Fig. 2: Newton, SGD and Adam, same batches.

Scaled to a small machine: a few sequences per step, tens of steps. Every optimizer sees the same
weights and the same batches, and every one is tuned over a stated grid.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from paper.artifact import Check, PaperContext, Texts
from paper.trials import first_order_runs, kept_runs
from qnewton.runs import Run
from qnewton.training.request import TrainingRequest
from qnewton.workloads.language import load_language_workload
from qnewton.workloads.sources import data_folder
from qnewton.workloads.transformer import Architecture

MODELS: tuple[Architecture, ...] = ("bert", "mistral")
NAMES: dict[Architecture, str] = {"bert": "BERT", "mistral": "Mistral"}
WINDOW = 5
"""Steps whose training losses are averaged: batches differ by more than a step gains."""

_TEXTS = Texts("text-runs")

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True)
class TextSetup:
    """What the language models are trained with.

    Attributes:
        name: Folder name of the setup.
        batch: Sequences per step.
        length: Tokens a sequence.
        steps: Steps of SGD and Adam.
        newton_steps: Steps of Newton.
        sgd_rates: Learning rates SGD is tuned over.
        adam_rates: Learning rates Adam is tuned over.
        newton: Pairs (λ, β) that Newton is tuned over.
        max_newton: Unknowns of the largest block with a system.
        test_sequences: Held-out sequences the final evaluation looks at.
    """

    name: str
    batch: int
    length: int
    steps: int
    newton_steps: int
    sgd_rates: Mapping[str, tuple[float, ...]]
    adam_rates: tuple[float, ...]
    newton: Mapping[str, tuple[tuple[float, float], ...]]
    max_newton: int | None
    test_sequences: int = 16


QUICK_TEXT = TextSetup(
    name="quick",
    batch=128,
    length=32,
    steps=40,
    newton_steps=20,
    sgd_rates={"bert": (3.0, 10.0, 30.0), "mistral": (0.3, 1.0, 3.0)},
    adam_rates=(1e-2, 1e-1, 3e-1),
    newton={"bert": ((1e-3, 0.5), (1e-2, 0.5)), "mistral": ((1e-2, 0.5), (3e-2, 0.7))},
    max_newton=None,
)
FULL_TEXT = dataclasses.replace(
    QUICK_TEXT,
    name="full",
    length=64,
    steps=300,
    newton_steps=150,
    sgd_rates={"bert": (0.3, 1.0, 3.0, 10.0, 30.0), "mistral": (0.1, 0.3, 1.0, 3.0)},
    adam_rates=(1e-3, 1e-2, 1e-1, 3e-1),
    test_sequences=64,
)


@dataclass(frozen=True, kw_only=True)
class ModelRuns:
    """One model's runs.

    Attributes:
        setup: What was asked for.
        model: ``bert`` or ``mistral``.
        sgd: Runs by learning rate.
        adam: Runs by learning rate.
        newton: Runs by (λ, β).
        notes: What the workload had to do without.
    """

    setup: TextSetup
    model: Architecture
    sgd: dict[float, Run]
    adam: dict[float, Run]
    newton: dict[tuple[float, float], Run]
    notes: tuple[str, ...] = field(default=())

    @property
    def title(self) -> str:
        """The model's name for people."""
        return NAMES[self.model]

    @property
    def best_sgd(self) -> float:
        """The learning rate with the lowest loss at the end."""
        return min(self.sgd, key=lambda rate: last_loss(self.sgd[rate]))

    @property
    def best_adam(self) -> float:
        """The learning rate that reaches the target first."""
        return self._first(self.adam)

    @property
    def best_newton(self) -> tuple[float, float]:
        """The (λ, β) that reaches the target first."""
        return self._first(self.newton)

    @property
    def best(self) -> dict[str, Run]:
        """The best run of each optimizer."""
        return {
            "Newton": self.newton[self.best_newton],
            "SGD": self.sgd[self.best_sgd],
            "Adam": self.adam[self.best_adam],
        }

    @property
    def target(self) -> float:
        """The loss that the best SGD ends at."""
        return last_loss(self.sgd[self.best_sgd])

    @property
    def rescaled(self) -> bool:
        """Whether Newton's layers were put together, which is the workload's to say."""
        return bool(self.newton[self.best_newton].config.options["rescale"])

    def steps_to_target(self, run: Run) -> int | None:
        """Return the steps after which a run's averaged loss is at the target, if it gets there."""
        losses = averaged_losses(run)
        return next((k + 1 for k, loss in enumerate(losses) if loss <= self.target), None)

    def _first(self, grid: Mapping[K, Run]) -> K:
        def score(case: K) -> tuple[float, float]:
            steps = self.steps_to_target(grid[case])
            return (float("inf") if steps is None else steps, last_loss(grid[case]))

        return min(grid, key=score)


def text_runs(context: PaperContext, model: Architecture, setup: TextSetup) -> ModelRuns:
    """Return one model's runs, trained now unless ``context.folder`` already holds them.

    Raises:
        ValueError: If the folder holds runs made with other settings, or data are missing.
    """
    data_dir = data_folder(context.data_dir)
    workload = load_language_workload(model, data_dir, length=setup.length)
    looked_at = f"{setup.test_sequences} test sequences of {setup.length} tokens"
    workload = dataclasses.replace(
        workload,
        test_inputs=workload.test_inputs[: setup.test_sequences],
        test_targets=workload.test_targets[: setup.test_sequences],
        evaluate_every=max(setup.steps, setup.newton_steps),
        notes=(*workload.notes[:-1], f"evaluated on the first {looked_at}"),
    )
    folder = context.folder / "text" / f"{model}-{setup.name}-seed{context.seed}"
    say = f"{model}: {{}}".format
    base = TrainingRequest(
        workload=model,
        optimizer="sgd",
        batch_size=setup.batch,
        steps=setup.steps,
        checkpoint_every=setup.steps,
        seed=context.seed,
    )
    sgd = first_order_runs(context, workload, folder, base, setup.sgd_rates[model], say)
    adam_base = dataclasses.replace(base, optimizer="adam")
    adam = first_order_runs(context, workload, folder, adam_base, setup.adam_rates, say)
    base = dataclasses.replace(
        base,
        optimizer="qnewton",
        curvature="fisher",
        blocks="layer",
        steps=setup.newton_steps,
        checkpoint_every=setup.newton_steps,
        max_newton=setup.max_newton,
        first_order_lr=min(sgd, key=lambda rate: last_loss(sgd[rate])),
        hardware="attosecond",
    )
    grid = {
        (d, lr): (f"newton-l{d:g}-b{lr:g}", dataclasses.replace(base, damping=d, lr=lr))
        for d, lr in setup.newton[model]
    }
    runs = {"sgd": sgd, "adam": adam, "newton": kept_runs(context, workload, folder, grid, say)}
    return ModelRuns(setup=setup, model=model, notes=workload.notes, **runs)


def all_text_runs(context: PaperContext, setup: TextSetup) -> dict[Architecture, ModelRuns]:
    """Return both models' runs."""
    return {model: text_runs(context, model, setup) for model in MODELS}


def averaged_losses(run: Run) -> list[float]:
    """Return the training loss at every step, averaged over the last steps up to it."""
    losses = [step.loss for step in run.steps]
    windows = (losses[max(0, k + 1 - WINDOW) : k + 1] for k in range(len(losses)))
    means = (sum(window) / len(window) for window in windows)
    return [mean if mean == mean else float("inf") for mean in means]


def last_loss(run: Run) -> float:
    """Return the averaged training loss at the end; infinite for a run that diverged."""
    return averaged_losses(run)[-1]


def run_checks(found: ModelRuns) -> Iterator[Check]:
    """Return what must hold of one model's runs."""
    grids = (found.sgd, found.adam, found.newton)
    first = {run.steps[0].loss for grid in grids for run in grid.values()}
    reaches = found.steps_to_target(found.best["SGD"])
    alike = max(first) - min(first) <= 1e-4 * max(first)
    yield _TEXTS.check("beginning", alike, title=found.title, first=first)
    said = {"title": found.title, "reaches": reaches, "steps": found.setup.steps}
    yield _TEXTS.check("reaches", reaches is not None, **said)


def text_settings(context: PaperContext, runs: Mapping[Architecture, ModelRuns]) -> dict[str, Any]:
    """Return what both models' runs were made with."""
    setup = next(iter(runs.values())).setup
    return {
        "batch": setup.batch,
        "length": setup.length,
        "steps": setup.steps,
        "seed": context.seed,
        "full": context.full,
        "notes": list(dict.fromkeys(note for found in runs.values() for note in found.notes)),
    }
