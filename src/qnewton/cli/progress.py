"""Progress of a training run: loss, accuracy, solver, and both clocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from qnewton.cli.output import PROGRESS

if TYPE_CHECKING:
    # Only named here, so that `qnewton price` need not load torch.
    from qnewton.experiments.compare import CompareEvent
    from qnewton.training.loop import Progress

SECONDS_BETWEEN_LINES = 5.0
"""Where there is no terminal to redraw, a line is printed this often."""


class TrainingProgress:
    """Shows every step on a terminal, and a line every few seconds elsewhere.

    Args:
        steps: Steps of the run; ``None`` when a resumed run knows better.
        quiet: Show nothing.
        every: Print a line about every so many-th step instead of one every few seconds.
        label: What is being done.
    """

    def __init__(
        self,
        steps: int | None = None,
        *,
        quiet: bool,
        every: int | None = None,
        label: str = "training",
    ) -> None:
        self._label = label
        self._quiet = quiet
        self._every = every
        self._live = RichProgress(
            TextColumn("{task.fields[label]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=PROGRESS,
            disable=quiet or not PROGRESS.is_terminal,
        )
        self._task = self._live.add_task("", total=steps, label=self._label)
        self._next_line = time.monotonic()
        self._accuracy: float | None = None
        self._text = ""

    def __enter__(self) -> TrainingProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def on_event(self, event: CompareEvent) -> None:
        """Show a step of one of the runs of a comparison, or that another run begins."""
        label, steps = event.label, event.steps
        if label != self._label or self._live.tasks[self._task].total != steps:
            self._label, self._accuracy, self._text = label, None, ""
            self._live.reset(self._task, total=steps, label=label)
        if event.progress is not None:
            self.on_step(event.progress)

    def on_stage(self, step: int, stage: str) -> None:
        """Show that a stage of a step begins, for steps that take seconds."""
        text = f"{self._text}, now: {stage.replace('_', ' ')}".removeprefix(", ")
        self._live.update(self._task, description=text)
        if self._every is None:
            self._print_line(step, text)

    def on_step(self, progress: Progress) -> None:
        """Show one step."""
        record = progress.record
        if progress.metric is not None:
            self._accuracy = progress.metric.test_accuracy
        solvers = sorted({block.solver or "failed" for block in record.blocks if block.attempts})
        modelled = progress.modelled_seconds
        parts = (
            f"loss {record.loss:.4f}",
            "" if self._accuracy is None else f"test accuracy {self._accuracy:.1%}",
            "+".join(solvers) or record.phase,
            f"skipped: {record.skipped}" if record.skipped else "",
            f"measured {progress.measured_seconds:.1f} s",
            "" if modelled is None else f"modelled {modelled:.3g} s",
        )
        self._text = ", ".join(part for part in parts if part)
        self._live.update(self._task, completed=record.step + 1, description=self._text)
        if self._every is None:
            self._print_line(record.step, self._text)
        elif not self._quiet and record.step % self._every == 0:
            PROGRESS.print(f"{self._label}, {record}", markup=False, soft_wrap=True)

    def _print_line(self, step: int, text: str) -> None:
        if not self._quiet and not PROGRESS.is_terminal and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            PROGRESS.print(f"{self._label}, step {step + 1}: {text}")
