"""Outcomes: members for code, sentences for people, and the sentences of schema 1."""

import json

import pytest

from qnewton.records import Attempt, Outcome, decode, encode
from qnewton.records.schema_1 import outcome_of, step_of_schema_1

# Every sentence that release 0.1.0 could write.
SENTENCES = {
    "solved": Outcome.SOLVED,
    "not positive definite": Outcome.NOT_DEFINITE,
    "singular": Outcome.SINGULAR,
    "not finite": Outcome.NOT_FINITE,
    "not converged in 200 products": Outcome.NOT_CONVERGED,
    "residual 3e-02 above 3e-04": Outcome.RESIDUAL,
    "residual nan above 3e-04": Outcome.RESIDUAL,
    "x overflows float32": Outcome.OVERFLOW,
    "x underflows float64": Outcome.UNDERFLOW,
    "needs a low-rank factor": Outcome.NO_FACTOR,
    "needs damping above 0": Outcome.NO_DAMPING,
    "no preconditioner: shift is 0.0; the Nyström preconditioner needs damping above 0": (
        Outcome.NO_PRECONDITIONER
    ),
    "raised LinAlgError: the algorithm failed to converge": Outcome.RAISED,
    "promise broken, residual 3e-01 above 1e-06": Outcome.PROMISE_BROKEN,
    "alpha below the norm": Outcome.ALPHA_TOO_SMALL,
    "zero right-hand side": Outcome.ZERO_RHS,
    "degree 3.1e+08 above 1e+06": Outcome.DEGREE_TOO_HIGH,
    "clock of 31 qubits above 30": Outcome.CLOCK_TOO_LARGE,
    "nothing read": Outcome.NOTHING_READ,
    "success probability 0": Outcome.NO_SUCCESS,
    "ran out of patience": Outcome.FAILED,
}


@pytest.mark.parametrize(("sentence", "outcome"), SENTENCES.items())
def test_a_sentence_of_schema_1_has_a_member_and_says_the_same(
    sentence: str, outcome: Outcome
) -> None:
    found, detail = outcome_of(sentence)
    assert found is outcome
    assert found.describe(detail) == sentence


def test_every_failure_has_a_sentence() -> None:
    later = {Outcome.NO_TARGET, Outcome.NO_EIGENBASIS}
    assert set(SENTENCES.values()) == set(Outcome) - later - {Outcome.FACTORIZED, Outcome.NOT_TRIED}


def test_attempts_of_schema_1_are_read_wherever_a_step_has_them() -> None:
    attempt = {"solver": "cg", "outcome": "residual 3e-02 above 3e-04", "products": 3}
    attempt |= {"residual": 0.03, "measured_seconds": 0.5}
    step = {"step": 1, "blocks": [{"attempts": [attempt]}], "abandoned": [{"attempts": [attempt]}]}
    changed = step_of_schema_1(step)
    for name in ("blocks", "abandoned"):
        found = decode(Attempt, changed[name][0]["attempts"][0])
        assert found.outcome is Outcome.RESIDUAL
        assert (found.detail, found.describe()) == ("3e-02 above 3e-04", attempt["outcome"])


@pytest.mark.parametrize("damaged", [None, 3, {"blocks": 3}, {"blocks": [{"attempts": [{}, 1]}]}])
def test_damaged_data_are_left_to_the_decoder(damaged: object) -> None:
    assert step_of_schema_1(damaged) == damaged


def test_an_attempt_goes_to_json_and_back() -> None:
    attempt = Attempt(
        solver="cg",
        outcome=Outcome.NOT_CONVERGED,
        detail="in 9 products",
        residual=0.1,
        products=9,
        measured_seconds=0.5,
    )
    found = decode(Attempt, json.loads(json.dumps(encode(attempt))))
    assert found == attempt
    assert found.outcome is Outcome.NOT_CONVERGED
    with pytest.raises(ValueError, match=r"Attempt.outcome: 'lost' is no Outcome"):
        decode(Attempt, encode(attempt) | {"outcome": "lost"})
