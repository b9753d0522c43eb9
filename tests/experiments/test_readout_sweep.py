"""A sweep over shots and epsilon, small, and its pictures."""

import math

import pytest

from qnewton.cost import nominal_calibration
from qnewton.experiments.kept_runs import KeptRuns
from qnewton.experiments.readout_sweep import SweepRequest, sweep_readout, sweep_rows
from qnewton.report.readout_curves import accuracy_against
from qnewton.training.request import TrainingRequest, read_methods


@pytest.mark.slow
def test_noise_shows_in_angles_and_accuracy() -> None:
    request = SweepRequest(
        training=TrainingRequest(steps=2, blocks="tensor"),
        methods=("amplitude", "swap"),
        shots=(10**8,),
        epsilons=(0.2,),
    )
    told: list[str] = []
    points = sweep_readout(request, KeptRuns(nominal_calibration()), told.append)
    assert [p.swept for p in points] == ["ideal", "shots", "shots", "epsilon"]
    assert len(told) == len(points)
    ideal, amplitude, swap, rough = points
    angles = [p.median_angle for p in points]
    assert None not in angles
    exact, read, lost, coarse = (angle or 0.0 for angle in angles)
    assert exact < read < lost
    assert exact < coarse
    assert lost > 0.4
    assert amplitude.queries > 1e6 * ideal.queries
    assert amplitude.loss == pytest.approx(ideal.loss, rel=0.02)
    assert swap.loss > ideal.loss
    assert rough.failed_steps == 0
    rows = sweep_rows(points)
    for swept, count in (("shots", 2), ("epsilon", 1)):
        picture = accuracy_against(swept, rows, "digits", 2)
        assert len(picture.rows) == count + 1
        assert "2 Newton steps" in picture.caption
        spec = picture.chart.to_dict()
        ticks = spec["layer"][0]["encoding"]["x"]["axis"]["values"]
        # Whole decades: with the ticks between them the labels ran into each other.
        assert all(math.log10(tick) == round(math.log10(tick)) for tick in ticks)
        drawn = [row[swept] for row in picture.rows if row["swept"] == swept]
        assert ticks[0] <= min(drawn) <= max(drawn) <= ticks[-1]
        assert spec["title"] == "dashed: the ideal read-out"
    with pytest.raises(ValueError, match="no run was swept over epsilon"):
        accuracy_against("epsilon", rows[:1], "digits", 2)


def test_methods_that_take_no_shots_are_refused() -> None:
    assert read_methods(("swap",)) == ("swap",)
    with pytest.raises(ValueError, match="'ideal' takes no shots; choose amplitude, hadamard"):
        read_methods(("ideal",))
