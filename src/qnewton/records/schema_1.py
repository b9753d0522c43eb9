"""What run folders of schema 1 hold, put into the words of the present schema: data to data."""

from collections.abc import Callable
from typing import Any

from qnewton.records.outcome import Outcome
from qnewton.records.quotes import Basis, Refusal

# How a sentence of schema 1 began, where numbers or words followed.
_BEGINNINGS = {
    "not converged ": Outcome.NOT_CONVERGED,
    "residual ": Outcome.RESIDUAL,
    "x overflows ": Outcome.OVERFLOW,
    "x underflows ": Outcome.UNDERFLOW,
    "no preconditioner: ": Outcome.NO_PRECONDITIONER,
    "raised ": Outcome.RAISED,
    "promise broken, ": Outcome.PROMISE_BROKEN,
    "degree ": Outcome.DEGREE_TOO_HIGH,
    "clock of ": Outcome.CLOCK_TOO_LARGE,
}


_MEMBERS = {member.value: member for member in Outcome}


def outcome_of(sentence: str) -> tuple[Outcome, str]:
    """Return the outcome and the detail of a sentence; what nobody knows is ``FAILED``."""
    if sentence in _MEMBERS:
        return _MEMBERS[sentence], ""
    for beginning, outcome in _BEGINNINGS.items():
        if sentence.startswith(beginning):
            return outcome, sentence.removeprefix(beginning)
    return Outcome.FAILED, sentence


_BLIND = "it does not see negative curvature"
_MISSED = "its solution missed the tolerance at step"
_BASES = {
    "LU inversion as timed": Basis.AS_TIMED,
    "a try of bounded length: nobody knows its products yet": Basis.TRIAL,
}


def upgraded(step: Any) -> Any:
    """Return the data of a step with values for sentences; what is damaged stays as it is."""
    for name in ("blocks", "abandoned"):
        step = _changed(step, name, lambda blocks: _each(blocks, _block))
    return step


def _block(block: Any) -> Any:
    block = _changed(block, "attempts", lambda attempts: _each(attempts, _attempt))
    return _changed(block, "decision", lambda d: _changed(d, "quotes", lambda q: _each(q, _quote)))


def _quote(quote: Any) -> Any:
    if not isinstance(quote, dict):
        return quote
    refused, known = quote.get("refused"), {}
    if isinstance(refused, str) and refused.startswith(_BLIND):
        known["refusal"] = Refusal.BLIND
    if isinstance(refused, str) and refused.startswith(_MISSED):
        known["refusal"] = Refusal.MISSED
    if quote.get("model") in _BASES:
        known["basis"] = _BASES[quote["model"]]
    return {**known, **quote}


def _attempt(attempt: Any) -> Any:
    sentence = attempt.get("outcome") if isinstance(attempt, dict) else None
    if not isinstance(sentence, str) or attempt.get("detail"):
        return attempt
    outcome, detail = outcome_of(sentence)
    return {**attempt, "outcome": outcome, "detail": detail}


def _each(items: Any, change: Callable[[Any], Any]) -> Any:
    return [change(item) for item in items] if isinstance(items, list) else items


def _changed(data: Any, name: str, change: Callable[[Any], Any]) -> Any:
    if not isinstance(data, dict) or name not in data:
        return data
    return {**data, name: change(data[name])}
