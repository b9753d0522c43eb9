"""A record is told to loggers as numbers, under names that stay."""

import math
from dataclasses import replace

from qnewton.records import (
    Cause,
    Facts,
    Finding,
    Health,
    MeasuredSeconds,
    ModelledSeconds,
    Spectrum,
    Treatment,
    scalars,
)
from tests.recorded import block, estimate, step
from tests.records.test_health import damping

STAGES = ("forward_backward", "curvature", "treatment", "survey", "solve", "update", "total")


def test_every_name_of_a_step_that_sets_its_damping() -> None:
    known = Facts(n=2, spectrum=Spectrum(condition=estimate(30.0)))
    record = step(
        7,
        blocks=(block("a", facts=known), block("b", "cholesky"), block("c", attempts=())),
        first_order_blocks=("d",),
        damping=damping(strength=0.5, ratio=0.8, radius=3.0, tries=2),
        measured=MeasuredSeconds(solve=2.0, update=1.0),
        modelled=ModelledSeconds(solve=5.0),
        skipped="no",
    )
    finding = Finding(Cause.REFUSED, "", "")
    health = Health(steps=8, loss=2.0, trend=-0.5, refused=0.75, findings=(finding,))
    found = scalars(record, health)
    seconds = {
        **dict.fromkeys((f"measured_s/{stage}" for stage in STAGES), 0.0),
        **dict.fromkeys((f"modelled_s/{stage}" for stage in STAGES), 0.0),
        "measured_s/solve": 2.0,
        "measured_s/update": 1.0,
        "measured_s/total": 3.0,
        "modelled_s/solve": 5.0,
        "modelled_s/total": 5.0,
    }
    assert {name.removeprefix("qnewton/"): value for name, value in found.items()} == {
        "loss": 1.0,
        "gradient_norm": 1.0,
        "step_norm": 1.0,
        "decay_norm": 0.0,
        "refused": 1.0,
        "damping": 0.5,
        "ratio": 0.8,
        "radius": 3.0,
        "tries": 2.0,
        "condition": 30.0,
        "solver/lu": 1.0,
        "solver/cholesky": 1.0,
        "solver/first-order": 2.0,
        **seconds,
        "health/loss": 2.0,
        "health/trend": -0.5,
        "health/refused": 0.75,
        "health/wrong/loss": 0.0,
        "health/wrong/damping": 0.0,
        "health/wrong/refused": 1.0,
    }
    assert all(name.startswith("qnewton/") for name in found)
    assert all(type(value) is float for value in found.values())


def test_what_is_unknown_has_no_entry() -> None:
    found = scalars(step(gradient_norm=None, blocks=(block(facts=Facts(n=2)),)))
    for name in ("gradient_norm", "ratio", "radius", "tries", "condition", "modelled_s/total"):
        assert f"qnewton/{name}" not in found
    assert not any("health" in name for name in found)
    assert "qnewton/health/loss" not in scalars(step(), Health.of([]))


def test_a_fixed_damping_is_the_largest_of_the_blocks() -> None:
    blocks = tuple(block(treatment=Treatment(damping=value)) for value in (0.5, 2.0, 1.0))
    assert scalars(step(blocks=blocks))["qnewton/damping"] == 2.0
    assert "qnewton/damping" not in scalars(step(phase="first-order"))


def test_the_largest_condition_number_counts() -> None:
    def of(value: float | None) -> Facts:
        return Facts(n=2, spectrum=Spectrum(condition=estimate(value)))

    blocks = tuple(block(facts=of(value)) for value in (3.0, None, 7.0))
    assert scalars(step(blocks=blocks))["qnewton/condition"] == 7.0
    assert "qnewton/condition" not in scalars(step(blocks=blocks[1:2]))


def test_a_loss_that_is_no_number_stays_one() -> None:
    assert math.isnan(scalars(replace(step(), loss=math.nan))["qnewton/loss"])
