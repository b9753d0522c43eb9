"""What a solve leaves for the next step of its block."""

import math
from collections.abc import Sequence
from dataclasses import replace

from qnewton.cost import SOLVERS, Family
from qnewton.records import (
    Attempt,
    BlockRecord,
    Earlier,
    KrylovHistory,
    LowRank,
    Outcome,
    Sparse,
)

# A residual above this tells nothing of where it will go.
_PROGRESS = 0.5


def krylov_history(earlier: Earlier, family: Family) -> KrylovHistory:
    """Return what an iterative family of solvers did."""
    return {Family.CG: earlier.cg, Family.MINRES: earlier.minres, Family.PCG: earlier.pcg}[family]


def facts_left(record: BlockRecord, step: int, tolerance: float, before: Earlier | None) -> Earlier:
    """Return what a block's attempts leave for its next step.

    What this step did not look at is kept from ``before``; a try that failed is forgotten, like
    everything else, only by being tried again.

    Args:
        record: The block as it was solved.
        step: The present step.
        tolerance: The relative residual that was asked for.
        before: What was known until now.
    """
    held = record.facts.held
    filled = held.envelope if isinstance(held, Sparse) else None
    left = replace(before or Earlier(step=step), step=step, envelope=filled)
    definite = isinstance(held, LowRank) and record.treatment.damping > 0.0
    seen = _condition_seen(record.attempts)
    if seen is not None:
        left = replace(left, condition_seen=seen)
    for attempt in record.attempts:
        left = _with_attempt(left, attempt, tolerance, definite)
    return left


def _condition_seen(attempts: Sequence[Attempt]) -> float | None:
    """Return the largest condition number that a solve of this step showed."""
    # A preconditioned solver shows another matrix's.
    solvers = (SOLVERS.find(attempt.solver) for attempt in attempts)
    own = [
        a.condition
        for a, s in zip(attempts, solvers, strict=True)
        if s and s.family is not Family.PCG
    ]
    return max((e.value for e in own if e is not None and e.value is not None), default=None)


def _with_attempt(left: Earlier, attempt: Attempt, tolerance: float, definite: bool) -> Earlier:
    """Add what one attempt left, on a matrix that may be ``definite`` by its form."""
    definiteness, solver = attempt.definiteness, SOLVERS.find(attempt.solver)
    iterates = solver is not None and solver.family.iterates
    if iterates and attempt.outcome is Outcome.SOLVED and not attempt.products:
        return left  # b was 0: no product was taken, so that nothing was seen of A
    if definite and attempt.outcome is Outcome.NOT_DEFINITE:
        # Rounding, of which the signs tell nothing.
        return _with_failed(left, attempt)
    if attempt.outcome is Outcome.NOT_DEFINITE:
        definiteness = "indefinite"
    elif attempt.outcome is Outcome.SOLVED and solver is not None and solver.proves_definite:
        definiteness = "positive"
    if definiteness is not None:
        left = replace(left, definiteness=definiteness)
    if solver is None or not solver.family.iterates:
        if attempt.outcome is not Outcome.RESIDUAL:
            return left
        return _with_failed(left, attempt)
    family = solver.family
    if family is Family.CG and definiteness == "indefinite":
        return left
    if attempt.outcome is Outcome.SOLVED:
        history = KrylovHistory(products=attempt.products)
    else:
        # What was foretold before did not come true.
        expected = None
        if krylov_history(left, family).expected is None:
            expected = _foretold(attempt, tolerance)
        history = KrylovHistory(unfinished=attempt.products, expected=expected)
    left = replace(left, tolerance=tolerance)
    match family:
        case Family.CG:
            return replace(left, cg=history)
        case Family.MINRES:
            return replace(left, minres=history)
    return replace(left, pcg=history)


def _with_failed(left: Earlier, attempt: Attempt) -> Earlier:
    return replace(left, failed=tuple(sorted({*left.failed, attempt.solver})))


def _foretold(attempt: Attempt, tolerance: float) -> int | None:
    """Return the products to the tolerance if the residual goes on falling as it did."""
    # Conjugate gradients converge faster as they go on (van der Sluis and van der Vorst 1986), so
    # it is rather too many.
    residual = attempt.residual
    if residual is None or not 0.0 < residual <= _PROGRESS or not attempt.products:
        return None
    return math.ceil(attempt.products * math.log(2 / tolerance) / -math.log(residual))
