"""The clocks that a curve is drawn against: steps, measured seconds, modelled seconds."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from qnewton.runs import Run


class Clock(StrEnum):
    """What stands on the x axis; a picture has one of them, never two."""

    STEP = "step"
    MEASURED = "measured"
    MODELLED = "modelled"

    @property
    def axis_title(self) -> str:
        """Title of the axis."""
        return _TITLES[self]


_TITLES = {
    Clock.STEP: "step",
    Clock.MEASURED: "measured seconds since the start (on the machine that trained)",
    Clock.MODELLED: "modelled seconds since the start (as the run decided and priced its steps)",
}


@dataclass(frozen=True)
class Moment:
    """When something was known, on each clock.

    Attributes:
        step: Updates before it.
        measured_s: Wall-clock seconds since the start.
        modelled_s: Modelled seconds since the start; ``None`` from the first step without a price.
    """

    step: int
    measured_s: float
    modelled_s: float | None

    def on(self, clock: Clock) -> float | None:
        """Return what a clock shows."""
        return {
            Clock.STEP: float(self.step),
            Clock.MEASURED: self.measured_s,
            Clock.MODELLED: self.modelled_s,
        }[clock]


def loss_moments(run: Run) -> Iterator[Moment]:
    """Yield when the loss of each step was known: after its forward and backward pass."""
    measured, modelled = 0.0, 0.0 if run.config.calibration is not None else None
    for step in run.steps:
        priced = step.modelled
        known = measured + step.measured.forward_backward
        priced_then = None
        if modelled is not None and priced is not None:
            priced_then = modelled + priced.forward_backward
        yield Moment(step.step, known, priced_then)
        measured += step.measured.total
        modelled = None if modelled is None or priced is None else modelled + priced.total
