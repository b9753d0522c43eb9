"""Records of schema 1 as schema 2 writes them: plain JSON types in and out.

Schema 1 had all facts of a matrix side by side, all numbers of a quote, and sentences for outcomes.
"""

from collections.abc import Callable, Sequence
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
_REFUSALS = {
    "it does not see negative curvature": Refusal.BLIND,
    "its solution missed the tolerance at step": Refusal.MISSED,
}
_BASES = {
    "LU inversion as timed": Basis.AS_TIMED,
    "a try of bounded length: nobody knows its products yet": Basis.TRIAL,
}
_SPECTRUM = (
    *("condition", "bounds", "row_sparsity", "max_abs", "norm", "frobenius", "definiteness"),
    "measured_at",
)
_HELD = {
    "formed": ("entries", "envelope"),
    "products": ("product_flops", "product_operations"),
    "low-rank": ("columns", "product_flops", "gram_flops"),
    "sparse": ("entries", "envelope"),
}
_QUANTUM = (
    *("algorithm", "query_count", "logical_qubits", "physical_qubits", "t_count", "sparsity"),
    "epsilon",
)


def _facts(facts: Any) -> Any:
    if not isinstance(facts, dict):
        return facts
    if "held" in facts:
        raise ValueError("facts of schema 2 stand in a record of schema 1")
    kind = facts.get("representation", "formed")
    held = {"kind": kind, **_taken(facts, _HELD.get(kind, ()))}
    if kind == "low-rank" and held.get("columns") is None:
        held["columns"] = facts.get("rank")
    if kind in ("products", "low-rank") and facts.get("forming_flops") is not None:
        held["forming"] = {
            "flops": facts["forming_flops"],
            "rows": facts.get("forming_rows", 0),
            "rows_flops": facts.get("forming_rows_flops", 0.0),
            "row_operations": facts.get("product_operations"),
        }
    return {
        **_taken(facts, ("n", "rank", "batch", "notes")),
        "held": held,
        "spectrum": _taken(facts, _SPECTRUM),
        "earlier": _earlier(facts.get("earlier")),
    }


def _earlier(earlier: Any) -> Any:
    if not isinstance(earlier, dict):
        return earlier
    histories = {
        family: {
            name: earlier.get(f"{family}_{name}") for name in ("products", "unfinished", "expected")
        }
        for family in ("cg", "minres")
    }
    return {**earlier, **histories}


def _quote(quote: Any) -> Any:
    if not isinstance(quote, dict):
        return quote
    known: dict[str, Any] = {"basis": _BASES.get(quote.get("model", ""), Basis.FACTS)}
    for beginning, refusal in _REFUSALS.items():
        if str(quote.get("refused")).startswith(beginning):
            known["refusal"] = refusal
    if quote.get("machine") == "quantum":
        return {**quote, **known, "quantum": _taken(quote, _QUANTUM)}
    return {**quote, **known, "tolerance": quote.get("epsilon")}


def _attempt(attempt: Any) -> Any:
    if not isinstance(attempt, dict) or not isinstance(attempt.get("outcome"), str):
        return attempt
    outcome, detail = outcome_of(attempt["outcome"])
    return {**attempt, "outcome": outcome, "detail": detail}


def outcome_of(sentence: str) -> tuple[Outcome, str]:
    """Return the outcome and the detail of a sentence; what nobody knows is ``FAILED``."""
    if sentence in _MEMBERS:
        return _MEMBERS[sentence], ""
    for beginning, outcome in _BEGINNINGS.items():
        if sentence.startswith(beginning):
            return outcome, sentence.removeprefix(beginning)
    return Outcome.FAILED, sentence


def _taken(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda items: [change(item) for item in items] if isinstance(items, list) else items


def _fields(**changes: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def change(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return data | {name: new(data[name]) for name, new in changes.items() if name in data}

    return change


_BLOCK = _fields(facts=_facts, decision=_fields(quotes=_each(_quote)), attempts=_each(_attempt))
_STEP = _fields(blocks=_each(_BLOCK), abandoned=_each(_BLOCK))


def step_of_schema_1(step: Any) -> Any:
    """Return a ``StepRecord`` of schema 1 as one of schema 2; what is damaged stays as it is.

    Raises:
        ValueError: If its facts are those of schema 2, most of which would be lost.

    Example:
        >>> step = {"blocks": [{"facts": {"n": 3, "norm": 2.0, "representation": "sparse"}}]}
        >>> facts = step_of_schema_1(step)["blocks"][0]["facts"]
        >>> facts["spectrum"], facts["held"]
        ({'norm': 2.0}, {'kind': 'sparse'})
    """
    return _STEP(step)
