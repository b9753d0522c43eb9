"""What is wrong with a run is told from its records, and noise alone is not."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnewton.records import (
    Cause,
    Convergence,
    DampingRecord,
    Health,
    StepRecord,
    decode,
    encode,
)
from qnewton.records.health import SOONEST, WINDOW
from tests.recorded import step


def damping(**changes: Any) -> DampingRecord:
    """Return how a step of length 1 was judged."""
    values: dict[str, Any] = {
        "strength": 1.0,
        "next_strength": 0.2,
        "radius": 1.0,
        "next_radius": 1.0,
        "curvature": "hessian",
        "predicted": -1.0,
        "actual": -1.0,
        "ratio": 1.0,
        "tries": 1,
        "products": 1,
        "length": 1.0,
        "clipped": False,
        "negative_curvature": None,
        "reason": "",
    }
    return DampingRecord(**(values | changes))


def losses(values: list[float]) -> list[StepRecord]:
    return [step(number, loss=value) for number, value in enumerate(values)]


def causes(records: list[StepRecord], maximize: bool = False) -> list[Cause]:
    return [finding.cause for finding in Health.of(records, maximize).findings]


def noise(kind: str, seed: int, count: int) -> list[float]:
    drawn = random.Random(seed)
    draw = {
        "normal": lambda: drawn.gauss(1.0, 0.5),
        "lognormal": lambda: drawn.lognormvariate(0.0, 1.0),
        "pareto": lambda: drawn.paretovariate(1.1),
        "around zero": lambda: drawn.gauss(0.0, 1.0),
    }[kind]
    return [draw() for _ in range(count)]


NOISES = ("normal", "lognormal", "pareto", "around zero")


@pytest.mark.parametrize("kind", NOISES)
def test_noise_alone_is_healthy(kind: str) -> None:
    for seed in range(20):
        records = losses(noise(kind, seed, 400))
        # A first value that happens to be a third of the usual one is another matter.
        for number in range(2 * WINDOW, len(records), WINDOW):
            assert causes(records[1:number]) == [], (seed, number)


@pytest.mark.parametrize("kind", NOISES)
def test_a_noisy_loss_that_falls_is_healthy(kind: str) -> None:
    for seed in range(20):
        fall = [4.0 * math.exp(-number / 30) for number in range(400)]
        records = losses([f + 0.3 * x for f, x in zip(fall, noise(kind, seed, 400), strict=True)])
        for number in range(WINDOW, len(records), WINDOW):
            assert causes(records[:number]) == [], (seed, number)


@pytest.mark.parametrize("kind", ["normal", "lognormal"])
@pytest.mark.parametrize("maximize", [False, True])
def test_a_noisy_divergence_is_seen_within_some_dozens_of_steps(kind: str, maximize: bool) -> None:
    sign = -1.0 if maximize else 1.0
    for seed in range(20):
        values = noise(kind, seed, 160)
        grown = [x * math.exp(max(0, number - 100) / 10) for number, x in enumerate(values)]
        records = losses([sign * x for x in grown])
        assert Cause.LOSS in causes(records[:150], maximize), seed
        assert causes(records[:150], not maximize) == []  # the other way it gets better


def test_a_slow_rise_beneath_the_noise_is_seen_by_longer_windows() -> None:
    drawn = random.Random(0)
    values = [drawn.lognormvariate(0.8 * (number >= 64), 0.6) for number in range(192)]
    [finding] = Health.of(losses(values)).findings
    assert finding.cause is Cause.LOSS
    assert "within 128 steps" in finding.sentence


def test_a_surrogate_that_comes_back_to_zero_is_healthy() -> None:
    # As of a policy gradient: 16 steps of -0.0134 ± 0.004, then -0.0006 ± 0.004.
    began, later = noise("around zero", 3, WINDOW), noise("around zero", 4, WINDOW)
    values = [-0.0134 + 0.004 * x for x in began] + [-0.0006 + 0.004 * x for x in later]
    assert causes(losses(values)) == []
    risen = [-3.0 + 0.004 * x for x in began] + [-1.0 + 0.004 * x for x in later]
    assert causes(losses(risen)) == [Cause.LOSS]  # a negative log-density has gone wrong


def test_a_rise_of_no_account_is_healthy() -> None:
    # Every late loss lies above every early one, by a share that matters to nobody.
    fell = [1.0] * WINDOW + [0.1] * WINDOW
    assert causes(losses([*fell, *([0.105] * WINDOW)])) == []
    assert causes(losses([*fell, *([0.125] * WINDOW)])) == [Cause.LOSS]
    digits = [1.0] * WINDOW + [1e-12] * WINDOW + [1e-8] * WINDOW
    assert causes(losses(digits)) == []


def test_a_run_that_jumps_at_once_is_compared_with_its_first_loss() -> None:
    values = [1.0, *noise("lognormal", 0, 2 * WINDOW)]
    jumped = losses([values[0], *(20.0 * x for x in values[1:])])
    assert causes(jumped) == [Cause.LOSS]
    assert "from 1 to" in Health.of(jumped).findings[0].sentence
    # Without the run's beginning there is nothing to compare with.
    assert causes(jumped[1:]) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_not_finite_are_worse_than_any(bad: float) -> None:
    records = losses([1.0] * WINDOW + [bad] * WINDOW)
    health = Health.of(records)
    assert Cause.LOSS in causes(records)
    assert (health.loss, health.best) == (math.inf, 1.0)
    assert Health.of(losses([bad] * 3 * WINDOW)).trend is None
    assert "loss not a finite number" in str(health)


def test_a_damping_that_stays_at_its_ceiling_is_wrong() -> None:
    high = damping(next_strength=7.0, ceiling=7.0)
    at = [step(number, damping=high) for number in range(5)]
    assert causes(at) == [Cause.DAMPING]
    assert (Health.of(at).damping, Health.of(at).bound) == (7.0, "ceiling")
    assert "λ 7 at its ceiling" in str(Health.of(at))
    assert causes(at[:4]) == []
    below = step(4, damping=damping(next_strength=6.0, ceiling=7.0))
    assert causes([*at[:4], below]) == []
    over = damping(next_strength=7.0, ceiling=7.0, converged=Convergence.GRADIENT)
    assert causes([*at[:4], step(4, damping=over)]) == []


def test_a_damping_at_its_floor_is_harmless() -> None:
    low = damping(next_strength=1e-9, floor=1e-9, ceiling=7.0)
    health = Health.of([step(number, damping=low) for number in range(20)])
    assert (health.findings, health.bound, health.damping) == ((), "floor", 1e-9)


def test_many_refused_steps_are_wrong_and_the_last_reason_is_told() -> None:
    refused = [step(number, skipped="the loss is nan") for number in range(SOONEST)]
    [finding] = Health.of(refused).findings
    assert finding.cause is Cause.REFUSED
    assert "8 of the last 8 steps changed nothing" in finding.sentence
    assert "because the loss is nan" in finding.sentence
    assert causes(refused[1:]) == []  # too few to tell
    taken = [step(number) for number in range(WINDOW)]
    assert causes([*taken, *refused[:7]]) == []
    assert Health.of([*taken, *refused[:4]]).refused == 0.25


def test_a_loss_that_is_nan_from_the_first_step_points_at_the_data() -> None:
    bad = [step(n, loss=math.nan, skipped="the loss is nan") for n in range(SOONEST)]
    [finding] = Health.of(bad).findings
    assert finding.sentence.startswith("the loss is NaN, and was at the very first step")
    assert "NaN in the inputs or targets" in finding.remedy
    later = [step(n, loss=math.nan, skipped="the loss is nan") for n in range(1, WINDOW + 1)]
    assert "smaller lr" in Health.of([step(0), *later]).findings[-1].remedy


@pytest.mark.parametrize(
    "end",
    [
        {"damping": damping(converged=Convergence.LOSS)},
        {"gradient_norm": 1e-6},
        {"gradient_norm": 0.0},
        {"held": True},
    ],
)
def test_steps_with_nothing_to_do_are_harmless(end: dict[str, Any]) -> None:
    high = replace(end.get("damping", damping()), ceiling=0.2)
    over = [step(number, skipped="no", **(end | {"damping": high})) for number in range(1, WINDOW)]
    assert causes([step(), *over]) == []
    there = [step(number, skipped="no", damping=damping(ceiling=0.2)) for number in range(WINDOW)]
    assert causes(there) == [Cause.DAMPING, Cause.REFUSED]


def test_an_unknown_gradient_does_not_excuse_a_refusal() -> None:
    assert causes(
        [step(number, skipped="no", gradient_norm=None) for number in range(SOONEST)]
    ) == [Cause.REFUSED]
    nan = [step(number, skipped="no", gradient_norm=math.nan) for number in range(SOONEST)]
    assert causes(nan) == [Cause.REFUSED]


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.tuples(numbers, st.booleans(), st.booleans()), max_size=70),
    st.booleans(),
    st.integers(0, 3),
)
def test_any_records_have_a_health_that_is_told_and_written(
    steps: list[tuple[float, bool, bool]], maximize: bool, first: int
) -> None:
    records = [
        step(
            first + number,
            loss=loss,
            skipped="no" if refused else None,
            damping=damping(ceiling=0.2) if judged else None,
        )
        for number, (loss, refused, judged) in enumerate(steps)
    ]
    health = Health.of(records, maximize)
    assert decode(Health, encode(health)) == health
    assert health.steps == len(records)
    assert str(health).startswith("unhealthy: " if health.findings else "healthy: ")
    assert "\n" not in str(health)
    assert all(finding.remedy in str(health) for finding in health.findings)
    if records:
        assert health.loss is not None
        assert not math.isnan(health.loss)
        window = [abs(r.loss) if math.isfinite(r.loss) else math.inf for r in records[-WINDOW:]]
        assert min(window) <= abs(health.loss) <= max(window) or len(window) % 2 == 0
