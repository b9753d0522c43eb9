"""Whether a run says that its two clocks disagree, and that they are never mixed."""

from dataclasses import replace

import pytest

from qnewton.cost import nominal_calibration
from qnewton.records import KernelFit, MeasuredSeconds, ModelledSeconds, StepRecord
from qnewton.report.run_summary import clock_agreement, clocks_text
from qnewton.runs import RunConfig
from tests import recorded

MACHINE = "a machine of the tests, 2 threads"


def config(policy: str = "classical", timed: bool = True, machine: str = MACHINE) -> RunConfig:
    fit = KernelFit(
        kernel="gemm",
        work="flops",
        dtype="float32",
        seconds_per_unit=1e-11,
        samples=((1.0, 1.0), (2.0, 2.0)) if timed else (),
    )
    calibration = replace(nominal_calibration(), machine=MACHINE, fits=(fit,))
    return recorded.run_config(policy=policy, machine=machine, calibration=calibration)


def step(number: int, measured: float, modelled: float | None) -> StepRecord:
    return recorded.step(
        number,
        measured=MeasuredSeconds(solve=measured, update=0.1),
        modelled=None if modelled is None else ModelledSeconds(solve=modelled, update=0.1),
    )


@pytest.mark.parametrize(("measured", "modelled"), [(1.0, 0.6), (0.6, 1.0), (1.0, 1.0)])
def test_clocks_within_a_factor_of_two_say_nothing(measured, modelled):
    assert clocks_text(config(), [step(k, measured, modelled) for k in range(3)]) is None


@pytest.mark.parametrize(("measured", "modelled"), [(3.0, 1.0), (1.0, 3.0)])
def test_clocks_that_differ_say_where_in_one_line(measured, modelled):
    steps = [step(k, measured, modelled) for k in range(3)]
    text = clocks_text(config(), steps)
    assert text is not None
    assert "\n" not in text
    assert "in the stage 'solve'" in text
    assert "3 steps" in text
    found = clock_agreement(config(), steps)
    assert found is not None
    assert found.ratio == pytest.approx((measured + 0.1) / (modelled + 0.1))


def test_steps_without_a_price_count_on_neither_side():
    steps = [step(0, 1.0, 1.0), step(1, 50.0, None)]
    found = clock_agreement(config(), steps)
    assert found is not None
    assert (found.steps, found.unpriced) == (1, 1)
    assert found.agrees


@pytest.mark.parametrize("policy", ["paper", "hybrid", "classical-only", "quantum-only", "sgd"])
def test_a_clock_of_another_machine_is_not_compared(policy):
    assert clock_agreement(config(policy), [step(0, 9.0, 1.0)]) is None


def test_rates_nobody_timed_or_timed_elsewhere_are_not_compared():
    steps = [step(0, 9.0, 1.0)]
    assert clock_agreement(config(timed=False), steps) is None
    assert clock_agreement(config(machine="another"), steps) is None
    assert clock_agreement(config(), steps) is not None
