"""How far a command is: one line that fits the terminal, or a line every few seconds elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar

from rich.live import Live
from rich.text import Text

from qnewton.cli.output import PROGRESS

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    # Only named here, so that `qnewton price` need not load torch.
    from qnewton.experiments.compare import CompareEvent
    from qnewton.training.loop import Progress as TrainingEvent

SECONDS_BETWEEN_LINES = 5.0
"""Where there is no terminal to redraw, a line is printed this often, the first after as long."""

_BAR, _SHORT_BAR = 20, 6
_LONGEST_TEXT = 200

Item = TypeVar("Item")


class Progress:
    """Shows a bar, the step of how many, what was reached and the time left, in one line.

    On a terminal the line is redrawn and never wider than it; elsewhere it is printed every few
    seconds, and never in the first ones. Nothing is shown while a command is quiet.

    Args:
        label: What is being done.
        total: Its steps; ``None`` if nobody knows how many.
        quiet: Show nothing.
    """

    _unit = ""

    def __init__(self, label: str, total: int | None = None, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = Live(self, console=PROGRESS, transient=True, refresh_per_second=5)
        self._over = threading.Event()
        self._lines = threading.Thread(target=self._print_lines, daemon=True)
        self.start(label, total)

    def start(self, label: str, total: int | None = None) -> None:
        """Begin something else, from its first step."""
        self.label, self._total, self._done, self._text = label, total, 0, ""
        self._began = self._reached_at = time.monotonic()

    def update(self, done: int | None = None, text: str | None = None) -> None:
        """Say how many steps are done, and what came of them."""
        if done is not None and done != self._done:
            self._done, self._reached_at = done, time.monotonic()
        self._text = self._text if text is None else text

    def __enter__(self) -> Self:
        if PROGRESS.is_terminal and not self._quiet:
            self._live.start()
        elif not self._quiet:
            self._lines.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._live.is_started:
            self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.line(options.max_width), no_wrap=True, overflow="ellipsis")

    def line(self, width: int) -> str:
        """Return the line in the longest form that fits.

        What was reached is shortened first, then the bar, then the label goes.

        Args:
            width: The most characters.
        """
        return next((line for line in self._forms() if len(line) <= width), self.label[:width])

    def _forms(self) -> Iterator[str]:
        parts = self._text.split(", ") if self._text else []
        reached = [f": {', '.join(parts[:count])}" for count in range(len(parts), 0, -1)] or [""]
        left = self._left()
        if self._total is None:
            steps = f" {self._unit}{self._done}" if self._done else ""
            passed = time.monotonic() - self._began
            since = f", {passed:.0f} s" if passed >= SECONDS_BETWEEN_LINES else ""
            yield from (f"{self.label}{steps}{said}{since}" for said in (*reached, ""))
            return
        steps = f"{self._unit}{self._done} of {self._total}"
        yield from (f"{self.label} {self._bar(_BAR)} {steps}{said}{left}" for said in reached)
        yield f"{self.label} {self._bar(_SHORT_BAR)} {steps}{reached[-1]}{left}"
        steps = f"{self._done}/{self._total}"
        yield f"{self._bar(_SHORT_BAR)} {steps}{reached[-1]}{left}"
        yield from (f"{steps}{said}{left}" for said in (reached[-1], ""))
        yield steps

    def _bar(self, width: int) -> str:
        full = round(width * min(1.0, self._done / max(1, self._total or 1)))
        return "━" * full + "─" * (width - full)

    def _left(self) -> str:
        """Return the time that is left at most, at the pace of the steps that are done."""
        if self._total is None or not 0 < self._done < self._total:
            return ""
        whole = (self._reached_at - self._began) * (self._total / self._done - 1.0)
        seconds = whole - (time.monotonic() - self._reached_at)
        if seconds < 0.0:
            return ""  # the pace of the steps before says nothing any more
        for size, unit in ((3600.0, "h"), (60.0, "min")):
            if seconds >= 2 * size:
                return f", ≤ {seconds / size:.0f} {unit} left"
        return f", ≤ {seconds:.0f} s left"

    def _print_lines(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LINES):
            PROGRESS.print(self.line(_LONGEST_TEXT), markup=False, soft_wrap=True)


@contextmanager
def waiting(label: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show that something goes on of which nobody knows how long it takes."""
    with Progress(label, quiet=quiet) as shown:
        yield shown


def counted(items: Iterable[Item], label: str, total: int, *, quiet: bool) -> Iterator[Item]:
    """Yield the items, and show how many are done."""
    with Progress(label, total, quiet=quiet) as shown:
        for number, item in enumerate(items):
            shown.update(number)
            yield item


class TrainingProgress(Progress):
    """Shows every step of a training run: loss, accuracy, solver and stage.

    Args:
        steps: Steps of the run; ``None`` when a resumed run knows better.
        quiet: Show nothing.
        every: Print a line about every so many-th step instead of one every few seconds.
        label: What is being done.
    """

    _unit = "step "

    def __init__(
        self,
        steps: int | None = None,
        *,
        quiet: bool,
        every: int | None = None,
        label: str = "training",
    ) -> None:
        super().__init__(label, steps, quiet=quiet or every is not None)
        self._every = None if quiet else every
        self._accuracy: float | None = None
        self._reached = ""

    def on_event(self, event: CompareEvent) -> None:
        """Show a step of one of the runs of a comparison, or that another run begins."""
        if event.progress is None:
            self.start(event.label, event.steps)
            self._accuracy, self._reached = None, ""
        else:
            self.on_step(event.progress)

    def on_stage(self, step: int, stage: str) -> None:
        """Show that a stage of a step begins, for steps that take seconds."""
        from qnewton.report.style import STAGES  # takes a while, and only steps need it

        look = STAGES.get(stage)
        now = f"now: {stage if look is None else look.label}"
        self.update(step, f"{self._reached}, {now}" if self._reached else now)

    def on_step(self, progress: TrainingEvent) -> None:
        """Show one step."""
        record = progress.record
        if progress.metric is not None:
            self._accuracy = progress.metric.test_accuracy
        solvers = sorted({block.solver or "failed" for block in record.blocks if block.attempts})
        parts = (
            f"loss {record.loss:.4f}",
            "" if self._accuracy is None else f"test accuracy {self._accuracy:.1%}",
            f"skipped: {record.skipped}" if record.skipped else "",
            "+".join(solvers) or record.phase,
        )
        self._reached = ", ".join(part for part in parts if part)
        self.update(record.step + 1, self._reached)
        if self._every is not None and record.step % self._every == 0:
            PROGRESS.print(f"{self.label}, {record}", markup=False, soft_wrap=True)
