"""λ and Δ after a step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnewton.optimizer.damping_rule import (
    GROWTH,
    Bounds,
    StepResult,
    ceiling,
    first_strength,
    next_rule,
    usual_norm,
)

positive = st.floats(1e-12, 1e12)


@given(positive, positive, st.floats(-10, 10), positive, st.booleans())
def test_damping_falls_only_after_good_predictions(
    strength: float, radius: float, ratio: float, step_norm: float, clipped: bool
) -> None:
    outcome = StepResult(ratio=ratio, step_norm=step_norm, clipped=clipped, share=0.5)
    rule = next_rule(strength, radius, outcome)
    assert (rule.strength < strength) == (ratio > 0.75 and not clipped)
    # A step that reached past Δ had too little damping, however well it was predicted.
    assert (rule.strength > strength) == (ratio < 0.25 or (ratio > 0.75 and clipped))
    if ratio > 0.75:
        assert rule.radius >= radius
    if ratio < 0.25:
        assert rule.radius <= radius


@given(positive, positive, st.sampled_from([None, 0.0, 0.4]))
def test_below_rounding_nothing_changes(strength: float, radius: float, share: float) -> None:
    rule = next_rule(strength, radius, StepResult(ratio=None, share=share))
    assert (rule.strength, rule.radius) == (strength, radius)


@given(positive, positive)
def test_below_rounding_a_damping_that_makes_the_step_short_falls(
    strength: float, radius: float
) -> None:
    rule = next_rule(strength, radius, StepResult(ratio=None, share=0.999))
    assert rule.strength < strength
    assert rule.radius == radius
    assert "falls" in rule.reason


def test_a_damping_that_no_longer_changes_the_step_stays() -> None:
    rule = next_rule(1e-6, 1.0, StepResult(ratio=1.0, step_norm=0.5, share=1e-10))
    assert rule.strength == 1e-6
    assert "stays" in rule.reason


def test_a_loss_that_is_not_finite_grows_the_damping_tenfold() -> None:
    rule = next_rule(1.0, 1.0, StepResult(ratio=-math.inf, step_norm=0.5))
    assert (rule.strength, rule.radius) == (10.0, 0.25)


def test_refusals_down_to_rounding_say_nothing_of_the_damping() -> None:
    refused = StepResult(ratio=-3.0, refused=True)
    assert next_rule(1.0, 1.0, refused).strength == 10.0
    hidden = StepResult(ratio=-3.0, refused=True, noise=True)
    assert next_rule(1.0, 1.0, hidden).strength == 1.0


def test_a_damping_that_hides_the_step_falls_though_every_length_is_refused() -> None:
    hidden = StepResult(ratio=-3.0, refused=True, noise=True, share=0.9)
    assert next_rule(1.0, 1.0, hidden).strength < 1.0


@given(positive, st.floats(0.76, 10))
def test_a_damping_that_was_just_refused_is_not_tried_again(strength: float, ratio: float) -> None:
    good = StepResult(ratio=ratio, share=0.5, raised=True)
    rule = next_rule(GROWTH * strength, 1.0, good)
    assert 3 * strength < rule.strength < GROWTH * strength
    assert "refused" in rule.reason


def test_a_system_that_nobody_solves_grows_the_damping() -> None:
    assert next_rule(1.0, 1.0, StepResult(ratio=1.0, unsolved=True)).strength == 4.0


def test_the_bounds_hold_and_are_named() -> None:
    low = next_rule(1e-9, 1.0, StepResult(ratio=1.0, step_norm=0.5), Bounds(floor=1e-9))
    assert low.strength == 1e-9
    assert "floor" in low.reason
    high = next_rule(1.0, 1.0, StepResult(ratio=-1.0), Bounds(ceiling=2.0))
    assert high.strength == 2.0
    assert "ceiling" in high.reason


@given(
    st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True)
)
def test_the_first_damping_is_positive_and_finite(curvature: float, otherwise: float) -> None:
    assert 0.0 < first_strength(curvature, otherwise) < math.inf


def test_the_ceiling_follows_the_present_gradient_and_curvature() -> None:
    assert ceiling(2.0, 3.0, 1e-6) == pytest.approx(2e6)
    assert ceiling(1e-9, 3.0, 1e-6) == 30.0
    assert ceiling(1e300, 3.0, 1e-300) == math.inf
    assert ceiling(2.0, 3.0, 0.0) == math.inf
    assert ceiling(2.0, math.nan, 1e-6) == math.inf


def test_one_gradient_out_of_proportion_is_forgotten() -> None:
    usual = 1e20
    for _ in range(30):
        usual = usual_norm(usual, 1.0)
    assert usual < 2.0
