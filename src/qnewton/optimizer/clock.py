"""Wall-clock seconds of each stage of a step."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from qnewton.records import MeasuredSeconds


class StageClock:
    """Adds up wall-clock seconds by stage name.

    Args:
        device: Where the work runs; an accelerator's queue is drained at both ends of a stage,
            so that its seconds count where they were caused.
        on_stage: Told the name of every stage that begins.
    """

    def __init__(
        self, device: torch.device, on_stage: Callable[[str], None] = lambda _: None
    ) -> None:
        self._device = device
        self._on_stage = on_stage
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds of the ``with`` body to stage ``name`` of MeasuredSeconds."""
        self._on_stage(name)
        self._drain()
        start = time.perf_counter()
        try:
            yield
        finally:
            self._drain()
            elapsed = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + elapsed

    def seconds(self) -> MeasuredSeconds:
        """Return what was measured so far."""
        return MeasuredSeconds(**self._seconds)

    def _drain(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
