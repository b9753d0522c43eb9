"""A comparison in two sentences: who wins, and what Q-Newton pays and saves."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnewton.cost import load_hardware
from qnewton.report.answer import answer
from qnewton.report.quantities import seconds_text
from qnewton.runs import Comparison, ComparisonRow

ATTOSECOND = load_hardware("attosecond")


def row(method: str, seconds: float | None, measuring: float | None = 0.0) -> ComparisonRow:
    return ComparisonRow(
        method=method,
        label=method.title(),
        steps=20 if method == "sgd" else 10,
        reached=True,
        test_accuracy=0.96,
        measured_seconds=None,
        modelled_seconds=seconds,
        modelled_seconds_per_step=None,
        quantum_share={"sgd": None, "q-newton": 0.3, "quantum-only": 1.0}.get(method, 0.0),
        run="newton",
        modelled_survey_seconds=measuring,
    )


def found(*rows: ComparisonRow) -> Comparison:
    return Comparison(workload="digits", target=0.95, seed=0, run="out", rows=rows)


ROWS = (
    row("sgd", 0.01),
    row("classical-only", 1.26),
    row("quantum-only", 8545.0, 0.232),
    row("q-newton", 1.238, 0.232),
    row("best-classical", 0.305, 0.032),
)


def test_the_winner_and_who_is_beside_it() -> None:
    first, second = answer(found(*ROWS), ATTOSECOND)
    assert first == (
        "Sgd wins: it reaches 95% test accuracy in 20 steps and 10 ms (modelled). Of the Newton "
        "rows Best-Classical costs least, 305 ms; Q-Newton costs 4.06 times as much."
    )
    assert second == (
        "Q-Newton costs 22 ms less than Classical-Only: the 30.0% of its systems that go to "
        "attosecond (hypothetical) save 254 ms, and finding κ and d, which it needs before it can "
        "choose, costs 232 ms (modelled)."
    )


def test_where_newton_wins_sgd_stands_beside_it() -> None:
    first, _ = answer(found(replace(ROWS[0], modelled_seconds=3.05), *ROWS[1:]), None)
    assert first == (
        "Best-Classical wins: it reaches 95% test accuracy in 10 steps and 305 ms (modelled); "
        "Q-Newton costs 4.06 times as much; Sgd costs 10 times as much."
    )


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0, 1e2))
def test_what_it_pays_and_saves_adds_up_to_the_difference(one, other, measuring) -> None:
    measuring = min(measuring, other)
    baseline, chosen = row("classical-only", one), row("q-newton", other, measuring)
    _, said = answer(found(baseline, chosen), ATTOSECOND)
    assert (f"costs {seconds_text(abs(other - one))} " in said) == (one != other)
    assert ("more than Classical-Only" in said) == (other > one)
    assert ("as much as Classical-Only" in said) == (other == one)
    assert f"can choose, costs {seconds_text(measuring)}" in said
    saved = measuring - (other - one)
    assert math.isclose(one - saved + measuring, other, rel_tol=1e-9, abs_tol=1e-9)
    assert ("save nothing" if saved <= 0 else f"save {seconds_text(saved)}") in said


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((row("sgd", None),), "No method reaches 95% test accuracy at a known price."),
        ((replace(ROWS[0], reached=False),), "No method reaches"),
        ((ROWS[1], row("q-newton", None)), "Q-Newton has no price at some step"),
        ((ROWS[1], row("q-newton", 2.0, None)), "its price includes finding κ and d"),
    ],
)
def test_what_is_unknown_is_said(rows, says) -> None:
    assert any(says in sentence for sentence in answer(found(*rows), None))
