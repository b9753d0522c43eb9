"""Fig. 5: prices, crossings and break-evens against an independent recomputation."""

import math

import pytest

from paper import fig_5
from paper.fig_5 import price_lines, price_picture
from paper.price_crossings import (
    break_evens,
    crossing,
    crossings,
    quantum_seconds,
)
from qnewton.cost import load_classical, load_hardware, nominal_calibration


def queries(alpha: float, kappa: float, epsilon: float = 1e-12) -> float:
    """Jennings et al. 2023 v1, Theorem 1 as transcribed, divided by its success."""
    log = math.log(2 * kappa + 3)
    total = (
        1741 * alpha * math.e / 500 * math.sqrt(kappa**2 + 1)
        * ((133 / 125 + 4 / (25 * kappa ** (1 / 3))) * math.pi * log + 1)
        + 351 / 50 * log**2 * (math.log(451 * log**2 / epsilon) + 1)
        + alpha * kappa * math.log(32 / epsilon)
    )  # fmt: skip
    return total / (0.39 - 0.204 * epsilon)


@pytest.mark.parametrize(("kappa", "d"), [(10.0, 1000), (1e4, 7), (1e13, 12_544)])
def test_the_curves_are_gate_time_times_queries(kappa: float, d: int) -> None:
    machine = load_hardware("photonic-thz")
    assert quantum_seconds(machine, kappa, d) == pytest.approx(1e-12 * queries(d, kappa), rel=1e-9)


def test_between_two_counts_the_price_is_interpolated() -> None:
    machine = load_hardware("attosecond")
    middle = quantum_seconds(machine, 1e4, 20.5)
    ends = [quantum_seconds(machine, 1e4, d) for d in (20, 21)]
    assert middle == pytest.approx(sum(ends) / 2, rel=1e-12)


def test_a_level_that_is_not_reached_is_refused() -> None:
    with pytest.raises(ValueError, match="not reached"):
        crossing(lambda x: x, 5.0, 10.0, 100.0)


def test_who_is_cheaper_where_nothing_crosses() -> None:
    h100 = load_classical("paper-h100")
    by_name = {
        c.hardware.name: c
        for c in crossings([load_hardware("ibm_sherbrooke"), load_hardware("attosecond")], [h100])
    }
    assert by_name["ibm_sherbrooke"].sparsity is None
    assert by_name["ibm_sherbrooke"].cheaper == "LU inversion"
    assert by_name["attosecond"].cheaper == "quantum solver"
    kappa = by_name["attosecond"].condition_number
    assert kappa is not None
    # 4.661e-13 s · 12,544³, the profile's own rate.
    assert 1e-18 * queries(1000, kappa) == pytest.approx(4.661e-13 * 12_544**3, rel=1e-6)


def test_break_evens_of_the_abstracts_example() -> None:
    found = break_evens([load_classical("paper-h100")])
    expected = 4.661e-13 * 1e12 / queries(1e4, 1e4)
    assert [b.gate_time_s for b in found] == pytest.approx(
        [expected, expected / 1e4, expected / 1e4, expected / 1e8], rel=1e-9
    )


def test_the_artifact(paper_context) -> None:
    artifact = fig_5.EXPERIMENT.make(paper_context)
    assert all(check.passed for check in artifact.checks)
    table = artifact.tables[0]
    assert len(table.rows) == 4 * 2
    for row in table.rows:
        name, exists, gate, _, lu, kappa, d, cheaper = row
        assert exists == (name == "ibm_sherbrooke")
        assert gate * queries(1000, kappa) == pytest.approx(lu, rel=1e-6)
        assert (d is None) == (cheaper is not None)
    picture = artifact.pictures["fig-5"]
    prices = [row for row in picture.rows if row["kind"] == "price"]
    # Two panels of six lines; in the second, small counts round to the same d.
    assert len({row["line"] for row in prices}) == 6
    assert "hypothetical" in picture.caption
    abstract, own_gates, thresholds = artifact.findings
    assert abstract.verdict == "holds under a named assumption"
    assert own_gates.verdict == "does not hold"
    assert thresholds.verdict == "holds under a named assumption"
    for table in artifact.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_machine_that_exists_is_a_full_line_and_hypothetical_ones_are_dashed() -> None:
    machines = [load_hardware(name) for name in fig_5.MACHINES]
    calibrations = [nominal_calibration(), load_classical("paper-h100")]
    lines = price_lines(machines, calibrations)
    # Classical machines exist, too.
    exists = [not machine.hypothetical for machine in machines] + [True, True]
    assert {machine.name for machine in machines if not machine.hypothetical} == {"ibm_sherbrooke"}
    assert [line.look.dash == () for line in lines] == exists
    assert ["hypothetical" not in line.look.label for line in lines] == exists
    assert len({line.look.color for line in lines}) == len(lines)
    spec = price_picture(lines, crossings(machines, calibrations)).chart.to_dict()
    for panel in spec["vconcat"]:
        dash = panel["layer"][0]["encoding"]["strokeDash"]
        drawn = dict(zip(dash["scale"]["domain"], dash["scale"]["range"], strict=True))
        assert [drawn[line.look.label] == [1, 0] for line in lines] == exists
        assert dash["legend"]["title"] == "dashed: machines that do not exist"


def test_a_calibration_without_lu_inversion_is_refused(paper_context) -> None:
    from dataclasses import replace

    calibration = nominal_calibration()
    lacking = replace(
        calibration, fits=tuple(f for f in calibration.fits if f.kernel != "lu_inverse")
    )
    with pytest.raises(ValueError, match="lu_inverse"):
        fig_5.EXPERIMENT.make(replace(paper_context, calibration=lacking))
