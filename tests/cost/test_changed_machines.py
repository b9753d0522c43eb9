"""A machine whose figures are not its own does not exist, and the price says so."""

from dataclasses import replace

import pytest

from qnewton.cost import (
    AXES,
    Audit,
    Scenario,
    audited,
    audited_quote,
    kappa_facts,
    load_hardware,
    nominal_calibration,
)

CALIBRATION = nominal_calibration()
CLOSED = Audit(error_correction="closed-form")


def test_a_machine_above_threshold_is_refused_until_an_override_is_stated():
    sherbrooke, facts = load_hardware("ibm_sherbrooke"), kappa_facts(1000, 30.0, 10)
    refused = audited_quote(CALIBRATION, facts, sherbrooke, CLOSED)
    assert refused.seconds is None
    assert "above threshold" in (refused.refused or "")
    assert "\n" not in (refused.refused or "")
    stated = audited_quote(CALIBRATION, facts, sherbrooke, replace(CLOSED, physical_error=1e-3))
    assert stated.seconds is not None
    assert "physical error 0.001 in place of the machine's 0.0198" in stated.assumptions
    assert stated.hypothetical
    unread = replace(CLOSED, physical_error=1e-3, error_correction="perfect")
    assert not audited_quote(CALIBRATION, facts, sherbrooke, unread).hypothetical


@pytest.mark.parametrize(
    ("axis", "value"), [("gate-time", 1e-12), ("machine-time", 1e-12), ("error-rate", 1e-4)]
)
def test_a_real_machine_whose_figures_are_varied_is_hypothetical(axis, value):
    machine = load_hardware("ibm_sherbrooke")
    error = machine.two_qubit_error
    assert error is not None
    real = replace(machine, two_qubit_error=error, readout_error=error)  # below threshold
    here = Scenario(facts=kappa_facts(1000, 30.0, 10), calibration=CALIBRATION, hardware=real)
    assert not audited(here).quote.hypothetical
    now = AXES[axis].now(here)
    assert now is not None
    if axis != "error-rate":
        assert not audited(AXES[axis].at(here, now)).quote.hypothetical
    assert audited(AXES[axis].at(here, value)).quote.hypothetical
