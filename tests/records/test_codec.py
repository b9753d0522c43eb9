"""Records survive JSON, whatever they hold."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.records import (
    Attempt,
    BlockRecord,
    CurvatureRecord,
    Decision,
    Estimate,
    Facts,
    Formed,
    FormingWork,
    LowRank,
    MeasuredSeconds,
    ModelledSeconds,
    Outcome,
    PriceTerm,
    Products,
    Quote,
    Sparse,
    Spectrum,
    StepRecord,
    Treatment,
    decode,
    encode,
)

numbers = st.floats(allow_nan=False) | st.none()
HELD = (
    Formed(),
    Products(product_flops=2.0, forming=FormingWork(flops=math.inf)),
    LowRank(columns=3),
    Sparse(entries=5),
)


@st.composite
def step_records(draw: st.DrawFn) -> StepRecord:
    text = st.text(max_size=8)
    quotes = tuple(
        Quote(
            solver=name,
            machine="classical",
            seconds=draw(numbers),
            model=draw(text),
            hardware=draw(text),
            terms=(PriceTerm(name="factor", seconds=draw(st.floats(0, 1))),),
            assumptions=(draw(text),),
        )
        for name in ("lu", "cg")
    )
    block = BlockRecord(
        name=draw(text),
        n=draw(st.integers(1, 10**6)),
        curvature=CurvatureRecord(kind="hessian", route="generic", reason=draw(text)),
        treatment=Treatment(
            damping=draw(st.floats(0, 10)), max_per_row=draw(st.none() | st.just(3))
        ),
        facts=Facts(
            n=3,
            held=draw(st.sampled_from(HELD)),
            spectrum=Spectrum(
                bounds=(
                    Estimate(value=draw(numbers), low=None, high=None, method="trace", products=0),
                ),
                norm=draw(numbers),
            ),
        ),
        decision=Decision(chosen="lu", quotes=quotes, policy="classical", reason=draw(text)),
        attempts=(
            Attempt(
                solver="lu",
                outcome=Outcome.SOLVED,
                residual=draw(numbers),
                products=0,
                measured_seconds=0.5,
            ),
        ),
    )
    return StepRecord(
        step=draw(st.integers(0, 100)),
        phase="newton",
        loss=draw(st.floats(allow_nan=False)),
        gradient_norm=draw(numbers),
        step_norm=0.0,
        cosine=None,
        parameters=3,
        measured=MeasuredSeconds(solve=draw(st.floats(0, 1))),
        modelled=draw(st.none() | st.just(ModelledSeconds(survey=1.0))),
        blocks=(block,),
    )


@pytest.mark.slow
@given(step_records())
@settings(deadline=None, max_examples=50)
def test_a_record_comes_back_equal(record: StepRecord) -> None:
    text = json.dumps(encode(record), allow_nan=False)
    assert decode(StepRecord, json.loads(text)) == record


def test_nan_comes_back_as_nan() -> None:
    seconds = decode(
        MeasuredSeconds, json.loads(json.dumps(encode(MeasuredSeconds(solve=math.nan))))
    )
    assert math.isnan(seconds.solve)


def test_unknown_keys_are_ignored_and_missing_ones_take_their_default() -> None:
    assert decode(Treatment, {"damping": 2, "added_later": 1}) == Treatment(damping=2.0)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "Facts: the field n is missing"),
        ({"n": "three"}, "Facts.n: expected int"),
        ({"n": 3, "spectrum": {"definiteness": "maybe"}}, "Facts.spectrum.definiteness: 'maybe'"),
        ({"n": 3, "held": {"kind": "dense"}}, "Facts.held: 'dense' is none of"),
        (
            {"n": 3, "spectrum": {"bounds": [{"value": "x"}]}},
            r"Facts.spectrum.bounds\[0\].value: ex",
        ),
        ({"n": 3, "notes": "one"}, "expected a list"),
        ([], "expected an object"),
    ],
)
def test_what_is_no_record_says_where(data: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode(Facts, data)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot store a set"):
        encode({1, 2})


def test_the_two_clocks_are_different_types() -> None:
    assert type(MeasuredSeconds()) is not type(ModelledSeconds())
    with pytest.raises(TypeError):
        MeasuredSeconds(solve=1.0) + ModelledSeconds(solve=1.0)  # type: ignore[operator]


def test_the_total_is_the_sum_of_the_stages() -> None:
    stages = MeasuredSeconds(
        forward_backward=1, curvature=2, treatment=4, survey=8, solve=16, update=32
    )
    assert stages.total == 63


def test_the_order_of_a_decision_is_chosen_first_then_by_price() -> None:
    def priced(solver: str, seconds: float | None) -> Quote:
        return Quote(solver=solver, machine="classical", seconds=seconds, model="", hardware="")

    quotes = (priced("a", 3.0), priced("b", 1.0), priced("c", None), priced("d", 2.0))
    decision = Decision(chosen="a", quotes=quotes, policy="classical", reason="")
    assert decision.order() == ("a", "b", "d")


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1.0])
def test_a_quote_whose_seconds_are_no_duration_has_no_price_and_says_why(seconds: float) -> None:
    data = {"solver": "lu", "machine": "classical", "seconds": encode(seconds), "model": "m"}
    read = decode(Quote, {**data, "hardware": "h"})
    assert read.seconds is None
    too_large = "the price exceeds the largest float64"
    assert read.refused == (too_large if seconds == math.inf else f"{seconds} s is no price")
    refused = decode(Quote, {**data, "hardware": "h", "refused": "κ is not known"})
    assert (refused.seconds, refused.refused) == (None, "κ is not known")
    decision = Decision(chosen="lu", quotes=(read,), policy="classical", reason="")
    assert decision.order() == ("lu",)
    free = Quote(solver="lu", machine="classical", seconds=0.0, model="m", hardware="h")
    assert (free.seconds, free.refused) == (0.0, None)
