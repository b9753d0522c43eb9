"""λ and Δ after a step."""

import math

from hypothesis import given
from hypothesis import strategies as st

from qnewton.optimizer.damping_rule import first_strength, next_rule

positive = st.floats(1e-12, 1e12)


@given(positive, positive, st.floats(-10, 10), positive, st.booleans())
def test_damping_falls_only_after_good_predictions(
    strength: float, radius: float, ratio: float, step_norm: float, clipped: bool
) -> None:
    rule = next_rule(
        strength,
        radius,
        ratio=ratio,
        step_norm=step_norm,
        clipped=clipped,
        refused=False,
        floor=0.0,
    )
    assert (rule.strength < strength) == (ratio > 0.75 and not clipped)
    # A step that reached past Δ had too little damping, however well it was predicted.
    assert (rule.strength > strength) == (ratio < 0.25 or (ratio > 0.75 and clipped))
    if ratio > 0.75:
        assert rule.radius >= radius
    if ratio < 0.25:
        assert rule.radius <= radius


@given(positive, positive)
def test_below_rounding_nothing_changes(strength: float, radius: float) -> None:
    rule = next_rule(
        strength, radius, ratio=None, step_norm=0.0, clipped=False, refused=False, floor=0.0
    )
    assert (rule.strength, rule.radius) == (strength, radius)


def test_a_loss_that_is_not_finite_grows_the_damping_tenfold() -> None:
    rule = next_rule(
        1.0, 1.0, ratio=-math.inf, step_norm=0.5, clipped=False, refused=False, floor=0.0
    )
    assert (rule.strength, rule.radius) == (10.0, 0.25)


def test_the_floor_holds() -> None:
    rule = next_rule(1e-9, 1.0, ratio=1.0, step_norm=0.5, clipped=False, refused=False, floor=1e-9)
    assert rule.strength == 1e-9


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_the_first_damping_is_positive_and_finite(curvature: float) -> None:
    assert 0.0 < first_strength(curvature) < math.inf
