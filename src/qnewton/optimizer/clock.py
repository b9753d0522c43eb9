"""Wall-clock seconds of each stage of a step."""

import time
from collections.abc import Callable

import torch

from qnewton.records import MeasuredSeconds


class StageClock:
    """Adds up wall-clock seconds by stage name; a stage inside another one pauses it.

    Args:
        device: Where the work runs; an accelerator's queue is drained at both ends of a stage,
            so that its seconds count where they were caused.
        on_stage: Told the name of every stage that begins, if given.
    """

    def __init__(self, device: torch.device, on_stage: Callable[[str], None] | None = None) -> None:
        self._device = device if device.type == "cuda" else None
        self._on_stage = on_stage
        self._seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    def stage(self, name: str) -> "Stage":
        """Return a context that adds the seconds of its body to stage ``name``."""
        return Stage(self, name)

    def begin(self, name: str) -> None:
        """Announce a stage and begin it."""
        if self._on_stage is not None:
            self._on_stage(name)
        self._add()
        self._running.append(name)

    def end(self, name: str) -> None:
        """End the stage that began last."""
        self._add()
        self._running.remove(name)

    def seconds(self) -> MeasuredSeconds:
        """Return what was measured so far."""
        return MeasuredSeconds(**self._seconds)

    def _add(self) -> None:
        if self._device is not None:
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


class Stage:
    """One stage being timed, as a context; a class, for a generator takes thrice as long."""

    def __init__(self, clock: StageClock, name: str) -> None:
        self._clock = clock
        self._name = name

    def __enter__(self) -> None:
        """Begin the stage."""
        self._clock.begin(self._name)

    def __exit__(self, *_: object) -> None:
        """End the stage, also after an error."""
        self._clock.end(self._name)
