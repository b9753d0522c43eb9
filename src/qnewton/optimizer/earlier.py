"""What a block's last solve left for its next one, kept as plain numbers in the state."""

from dataclasses import asdict, fields, replace
from typing import Any

from qnewton.cost.solvers import direct_solvers
from qnewton.records import (
    BlockRecord,
    Definiteness,
    Earlier,
    Estimate,
    Facts,
    KrylovHistory,
    Spectrum,
)
from qnewton.scheduler.history import facts_left

_LOOK_AGAIN = 10
"""Steps after which a try that failed, or signs that were found, are not believed any more."""

_COUNTS = tuple(field.name for field in fields(KrylovHistory))
_SIGNS: dict[int, Definiteness] = {1: "positive", -1: "indefinite"}


def recall(counters: dict[str, Any], block: str, step: int) -> Earlier | None:
    """Return what is known of a block, or ``None`` if nothing is.

    Args:
        counters: The optimizer's state.
        block: The block's name.
        step: The present step: every tenth one forgets what did not work.

    Example:
        >>> state = {"full.step": 3, "full.tolerance": 1e-6, "full.cg_products": 12}
        >>> recall(state, "full", 4).cg.products, recall(state, "0", 4)
        (12, None)
    """
    known = counters.get(f"{block}.step")
    if known is None:
        return None
    earlier = Earlier(
        step=int(known),
        tolerance=counters.get(f"{block}.tolerance"),
        cg=_history(counters, f"{block}.cg"),
        minres=_history(counters, f"{block}.minres"),
    )
    if step % _LOOK_AGAIN == 0:
        cg, minres = (KrylovHistory(products=h.products) for h in (earlier.cg, earlier.minres))
        return replace(earlier, cg=cg, minres=minres)
    return replace(
        earlier,
        definiteness=_SIGNS.get(int(counters.get(f"{block}.definiteness", 0))),
        failed=tuple(name for name in direct_solvers() if counters.get(f"{block}.failed.{name}")),
        envelope=counters.get(f"{block}.envelope"),
    )


def _history(counters: dict[str, Any], family: str) -> KrylovHistory:
    return KrylovHistory(**{name: counters.get(f"{family}_{name}") for name in _COUNTS})


def remember(counters: dict[str, Any], record: BlockRecord, step: int, tolerance: float) -> None:
    """Keep what the attempts of a block left.

    Numbers under flat names, since distributed checkpoints keep nothing else.
    """
    before = recall(counters, record.name, step)
    left = facts_left(record, step, tolerance, before)
    signs = {"positive": 1, "indefinite": -1, None: 0}[left.definiteness]
    values: dict[str, Any] = {f"cg_{name}": count for name, count in asdict(left.cg).items()}
    values |= {f"minres_{name}": count for name, count in asdict(left.minres).items()}
    values |= {f"failed.{name}": (name in left.failed) or None for name in direct_solvers()}
    values |= {
        "envelope": left.envelope,
        "step": step,
        "tolerance": left.tolerance,
        "definiteness": signs,
    }
    _store(counters, record.name, values)


def _store(counters: dict[str, Any], block: str, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            counters.pop(f"{block}.{name}", None)
        else:
            counters[f"{block}.{name}"] = value


_PLAIN = ("row_sparsity", "max_abs", "norm", "frobenius")
_ESTIMATES = ("condition", "determinant", "trace")
_ENDS = ("value", "low", "high", "log_value", "products")


def recall_survey(counters: dict[str, Any], block: str, newest: int) -> Spectrum | None:
    """Return what the last survey of a block found, if it was at step ``newest`` or later.

    Example:
        >>> state = {"full.surveyed": 4, "full.n": 9, "full.row_sparsity": 3}
        >>> recall_survey(state, "full", 2).row_sparsity, recall_survey(state, "full", 5)
        (3, None)
    """
    at = counters.get(f"{block}.surveyed")
    if at is None or at < newest:
        return None
    condition, *bounds = (_estimate(counters, block, name) for name in _ESTIMATES)
    plain: dict[str, Any] = {name: counters.get(f"{block}.{name}") for name in _PLAIN}
    return Spectrum(
        condition=condition,
        bounds=tuple(bound for bound in bounds if bound is not None),
        definiteness=_SIGNS.get(int(counters.get(f"{block}.surveyed_definiteness", 0))),
        measured_at=int(at),
        **plain,
    )


def remember_survey(counters: dict[str, Any], record: BlockRecord, step: int) -> None:
    """Keep what a survey of a block measured at ``step``."""
    found, block = record.facts.spectrum, record.name
    signs = {"positive": 1, "indefinite": -1, None: 0}[found.definiteness]
    values: dict[str, Any] = {
        "surveyed": step,
        "n": record.facts.n,
        "surveyed_definiteness": signs,
    }
    values |= {name: getattr(found, name) for name in _PLAIN}
    for name in _ESTIMATES:
        estimate = found.condition if name == "condition" else found.bound(name)
        values |= {
            f"{name}.{end}": None if estimate is None else getattr(estimate, end) for end in _ENDS
        }
        values[f"{name}.exact"] = (estimate is not None and estimate.method == "exact") or None
    _store(counters, block, values)


def with_survey(facts: Facts, surveyed: Spectrum) -> Facts:
    """Return this step's facts with κ, d and the norms of an earlier survey.

    Example:
        >>> with_survey(Facts(n=3, batch=8), Spectrum(row_sparsity=2, measured_at=1)).notes
        ('κ, d and the norms are those that step 1 measured',)
    """
    note = f"κ, d and the norms are those that step {surveyed.measured_at} measured"
    return replace(facts, spectrum=surveyed, notes=(*facts.notes, note))


def _estimate(counters: dict[str, Any], block: str, name: str) -> Estimate | None:
    ends = {end: counters.get(f"{block}.{name}.{end}") for end in _ENDS}
    if ends["products"] is None:
        return None
    method = "lanczos" if name == "condition" else name
    if counters.get(f"{block}.{name}.exact"):
        method = "exact"
    return Estimate(
        value=ends["value"],
        low=ends["low"],
        high=ends["high"],
        method=method,
        products=int(ends["products"]),
        log_value=ends["log_value"],
    )
