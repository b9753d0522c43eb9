"""Wall-clock seconds of each stage of a step."""

import time
from collections.abc import Callable

import torch

from qnewton.records import MeasuredSeconds


class StageClock:
    """Adds up wall-clock seconds by stage name.

    Args:
        device: Where the work runs; an accelerator's queue is drained at both ends of a stage,
            so that its seconds count where they were caused.
        on_stage: Told the name of every stage that begins, if given.
    """

    def __init__(self, device: torch.device, on_stage: Callable[[str], None] | None = None) -> None:
        self._device = device if device.type == "cuda" else None
        self._on_stage = on_stage
        self._seconds: dict[str, float] = {}

    def stage(self, name: str) -> "Stage":
        """Return a context that adds the seconds of its body to stage ``name``."""
        return Stage(self, name)

    def begin(self, name: str) -> float:
        """Announce a stage and return when it begins."""
        if self._on_stage is not None:
            self._on_stage(name)
        self._drain()
        return time.perf_counter()

    def end(self, name: str, begun: float) -> None:
        """Add the seconds since ``begun`` to a stage."""
        self._drain()
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begun

    def seconds(self) -> MeasuredSeconds:
        """Return what was measured so far."""
        return MeasuredSeconds(**self._seconds)

    def _drain(self) -> None:
        if self._device is not None:
            torch.cuda.synchronize(self._device)


class Stage:
    """One stage being timed, as a context; a class, for a generator takes thrice as long."""

    def __init__(self, clock: StageClock, name: str) -> None:
        self._clock = clock
        self._name = name
        self._begun = 0.0

    def __enter__(self) -> None:
        """Begin the stage."""
        self._begun = self._clock.begin(self._name)

    def __exit__(self, *_: object) -> None:
        """End the stage, also after an error."""
        self._clock.end(self._name, self._begun)
