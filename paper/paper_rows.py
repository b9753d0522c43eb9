"""Tables III and IV as the paper prints them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paper.artifact import ArtifactTable, Texts


@dataclass(frozen=True)
class PaperRow:
    """A row of Table III or IV.

    Attributes:
        label: The method as printed.
        steps: Total steps.
        seconds_per_step: Time per step.
        seconds: Total time.
        step_digit: Last digit that the time per step is printed to, seconds.
        total_digit: Last digit that the total time is printed to, seconds.
    """

    label: str
    steps: int
    seconds_per_step: float
    seconds: float
    step_digit: float = 0.01
    total_digit: float = 1.0

    @property
    def product(self) -> float:
        """Steps times seconds per step."""
        return self.steps * self.seconds_per_step

    def adds_up(self) -> bool:
        """Return whether some time per step that rounds to the one printed gives the total.

        Example:
            >>> PaperRow("SGD", 1500, 0.14, 204.0).adds_up()
            True
            >>> PaperRow("Q-Newton", 1000, 0.15, 123.0).adds_up()
            False
        """
        allowed = (self.step_digit * self.steps + self.total_digit) / 2
        return abs(self.seconds - self.product) <= allowed


TABLE_3 = {
    "sgd": PaperRow("SGD", 1500, 0.14, 204.0),
    "classical-only": PaperRow("Classical-Only", 1000, 1.06, 1064.0),
    "quantum-only": PaperRow("Quantum-Only", 1000, 0.17, 170.0),
    "paper": PaperRow("Q-Newton", 1000, 0.15, 123.0),
}
TABLE_4 = {
    "sgd": PaperRow("SGD", 6200, 0.1, 60 * 11.1, 0.1, 6.0),
    "classical-only": PaperRow("Classical-Only", 2000, 9.8, 60 * 334.2, 0.1, 6.0),
    "quantum-only": PaperRow("Quantum-Only", 2000, 0.1, 60 * 3.8, 0.1, 6.0),
    "paper": PaperRow("Q-Newton", 2000, 0.1, 60 * 3.5, 0.1, 6.0),
}


def sums_table(
    name: str, printed: Mapping[str, PaperRow], totals: Callable[[PaperRow], tuple[float, ...]]
) -> ArtifactTable:
    """Return the paper's rows, and whether steps times seconds per step give their totals."""
    rows = (
        (row.label, row.steps, row.seconds_per_step, *totals(row), row.adds_up())
        for row in printed.values()
    )
    return Texts("paper-rows").table(name, rows)
