"""The length of an averaged step: what the next batch says of it, and its bounds."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnewton.optimizer.length_rule import LengthState


def state(**known: Any) -> LengthState:
    given: dict[str, Any] = {"steps": 5, "length": 1.0, "slope": 3.0, "bend": 1.0, "rise": 1e9}
    return LengthState(**given | known)


@given(told=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_agreement_is_between_its_bounds_and_moves_the_length(told: list[float]) -> None:
    now = state()
    for value in told:
        before, now = now, now.with_told(value)
        if now.agreement is not None:
            assert -1.0 <= now.agreement <= 1.0
            assert now.length is not None
            assert before.length is not None
            assert now.length >= before.length * math.exp(-1 / 205) > 0.0
            assert (now.length > before.length) == (now.agreement > now.settled) or math.isclose(
                now.length, before.length
            )


def test_late_lengths_settle_where_batches_disagree_a_little() -> None:
    assert state(steps=0).settled == pytest.approx(0.3)
    assert state(steps=10_000).settled == pytest.approx(-0.1)
    early, late = state(steps=5, told=0.0, told_square=1.0), state(steps=999, told_square=1.0)
    assert early.with_told(0.0).length < 1.0 < late.with_told(0.0).length  # pyright: ignore


def test_a_length_is_never_above_newtons() -> None:
    assert state(length=7.0).bounded().length == 3.0
    assert state(length=None).begun(longest=1e9).length == pytest.approx(0.3)
    assert state(length=None).begun(longest=1.0).length == pytest.approx(0.003)
    assert state(length=7.0).begun(longest=1.0).length == 7.0
    assert state(length=0.1).bounded().length == 0.1
    assert state(bend=None).bounded() == state(bend=None)


def test_lengths_settle_more_slowly_the_more_steps_there_were() -> None:
    shares = [
        state(steps=steps, told=-1.0, told_square=1.0).with_told(-1.0).length
        for steps in (10, 100, 1000)
    ]
    assert shares == sorted(shares)  # pyright: ignore[reportArgumentType]
    assert shares[-1] is not None
    assert shares[-1] > 0.99


def test_what_exceeds_a_step_that_does_not_raise_the_loss_is_not_believed() -> None:
    said = state(told=-4.0, told_square=16.0, rise=1.0)
    assert said.agreement == -0.25
    assert state(told=4.0, told_square=16.0, rise=1.0).agreement == 1.0


def test_curvature_that_is_not_finite_teaches_nothing() -> None:
    assert state().with_bend(math.nan) == state().with_bend(math.inf) == state()
    assert state(bend=None).with_bend(-2.0).bend == 2.0
