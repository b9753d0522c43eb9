"""``qnewton readout`` begins with the fewest shots that train."""

from qnewton.cli.readout import _best
from qnewton.experiments.readout_sweep import SweepPoint


def point(accuracy: float, shots: int | None = None, swept: str = "shots") -> SweepPoint:
    return SweepPoint(
        swept="ideal" if shots is None and swept == "shots" else swept,  # type: ignore[arg-type]
        readout="ideal" if shots is None else "swap",
        shots=shots,
        epsilon=1e-12,
        test_accuracy=accuracy,
        loss=0.1,
        median_angle=None,
        success_probability=None,
        queries=1.0,
        failed_steps=0,
    )


def test_the_fewest_shots_within_a_percent() -> None:
    points = [point(0.95), point(0.6, 10), point(0.942, 1000), point(0.95, 10_000)]
    assert (
        _best(points)
        == "Read ideally it reaches 95.0%. 1,000 shots by swap stay within 1% of that."
    )


def test_no_number_of_shots() -> None:
    said = _best([point(0.95), point(0.6, 10)])
    assert said == "Read ideally it reaches 95.0%. No number of shots stays within 1% of that."


def test_errors_alone_have_no_shots_to_name() -> None:
    assert _best([point(0.95), point(0.9, swept="epsilon")]) == "Read ideally it reaches 95.0%."
