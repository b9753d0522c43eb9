"""A record prints as one line that a person reads; ``repr`` keeps every field."""

import math
from dataclasses import fields, replace

import pytest

from qnewton.records import (  # noqa: F401, the repr names them
    Attempt,
    BlockRecord,
    CurvatureRecord,
    DampingRecord,
    Decision,
    Facts,
    Formed,
    MeasuredSeconds,
    Outcome,
    Spectrum,
    StepRecord,
    Treatment,
)
from tests import recorded

DAMPING = DampingRecord(
    strength=0.0132,
    next_strength=0.0264,
    radius=1.0,
    next_radius=1.0,
    curvature="hessian",
    predicted=-1.0,
    actual=-0.59,
    ratio=0.59,
    tries=1,
    products=2,
    length=1.0,
    clipped=False,
    negative_curvature=None,
    reason="",
)


def block(name: str, solver: str | None, damping: float = 1.0) -> BlockRecord:
    attempt = recorded.attempt(
        solver or "cg",
        Outcome.SOLVED if solver else Outcome.FAILED,
        detail="" if solver else "ran out of products",
        residual=0.0123 if solver else None,
        products=3,
        measured_seconds=0.25,
    )
    curvature = CurvatureRecord(kind="hessian", route="generic", reason="")
    treatment = Treatment(damping=damping)
    return recorded.block(
        name,
        solver or "cg",
        n=1482,
        curvature=curvature,
        treatment=treatment,
        attempts=(attempt,),
    )


STEP = recorded.step(
    12,
    loss=2.353171234,
    step_norm=0.3,
    cosine=0.6,
    parameters=1482,
    measured=MeasuredSeconds(solve=0.25, curvature=0.5),
    blocks=(block("full", "cholesky"),),
)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (STEP, "step 12: loss 2.35317, λ 1, cholesky, 0.75 s measured"),
        (
            replace(STEP, damping=DAMPING),
            "step 12: loss 2.35317, λ 0.0132, ρ 0.59, cholesky, 0.75 s measured",
        ),
        (
            replace(STEP, damping=replace(DAMPING, ratio=None)),
            "step 12: loss 2.35317, λ 0.0132, ρ unknown, cholesky, 0.75 s measured",
        ),
        (
            replace(STEP, damping=replace(DAMPING, origin="gradient", failure="no solver did")),
            "step 12: loss 2.35317, λ 0.0132, ρ 0.59, cholesky, 0.75 s measured, fell back to -g: "
            "no solver did",
        ),
        (
            replace(STEP, blocks=tuple(block(n, s) for n, s in (("a", "cg"), ("b", "cg")))),
            "step 12: loss 2.35317, λ 1, cg 2×, 0.75 s measured",
        ),
        (
            replace(
                STEP,
                blocks=(block("a", "cg", 0.5), block("b", None), block("c", "ldl", 2.0)),
                first_order_blocks=("d",),
            ),
            "step 12: loss 2.35317, λ 0.5 to 2, cg 1× + first-order 2× + ldl 1×, 0.75 s measured",
        ),
        (
            replace(STEP, phase="first-order", blocks=(), reason="warm-up"),
            "step 12: loss 2.35317, first-order (warm-up), 0.75 s measured",
        ),
        (
            replace(STEP, loss=math.inf, blocks=(), skipped="the loss is\n  inf"),
            "step 12: loss inf, newton, 0.75 s measured, skipped: the loss is inf",
        ),
    ],
)
def test_a_step_is_one_line(record: StepRecord, text: str) -> None:
    assert str(record) == f"{record}" == text


def test_a_block_is_one_line() -> None:
    solved = "block full of 1,482 unknowns, λ 1, cg, residual 0.012, 0.25 s measured"
    assert str(block("full", "cg")) == solved
    failed = "block b of 1,482 unknowns, λ 1, first-order: ran out of products, 0.25 s measured"
    assert str(block("b", None)) == failed


def test_the_representation_stays_complete() -> None:
    text = repr(STEP)
    assert all(f"{field.name}=" in text for field in fields(STEP))
    assert "CurvatureRecord(" in text
    assert eval(text) == STEP
