"""Table III as the paper prints it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row of Table III.

    Attributes:
        label: The method as printed.
        steps: Total steps.
        seconds_per_step: Time per step, printed to 10 ms.
        seconds: Total time.
    """

    label: str
    steps: int
    seconds_per_step: float
    seconds: float

    @property
    def product(self) -> float:
        """Steps times seconds a step."""
        return self.steps * self.seconds_per_step

    def adds_up(self) -> bool:
        """Return whether some time a step that rounds to the one printed gives the total.

        Example:
            >>> PaperRow("SGD", 1500, 0.14, 204.0).adds_up()
            True
            >>> PaperRow("Q-Newton", 1000, 0.15, 123.0).adds_up()
            False
        """
        return abs(self.seconds - self.product) <= 0.005 * self.steps + 0.5


PAPER_ROWS = {
    "sgd": PaperRow("SGD", 1500, 0.14, 204.0),
    "classical-only": PaperRow("Classical-Only", 1000, 1.06, 1064.0),
    "quantum-only": PaperRow("Quantum-Only", 1000, 0.17, 170.0),
    "q-newton": PaperRow("Q-Newton", 1000, 0.15, 123.0),
}
