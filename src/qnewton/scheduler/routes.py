"""What is known of a block before it is formed, and what its solve leaves for the next step."""

import math
from dataclasses import replace

from qnewton.cost import SOLVERS, Family
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    SparseOperator,
)
from qnewton.records import (
    Attempt,
    BlockRecord,
    EarlierFacts,
    Facts,
    Outcome,
    Representation,
)
from qnewton.survey import envelope

# A residual above this tells nothing of where it will go.
_PROGRESS = 0.5


def planned_facts(system: LinearSystem, earlier: EarlierFacts | None = None) -> Facts:
    """Return what is known of a system before anything of it is formed or measured.

    Args:
        system: The system as curvature left it.
        earlier: What the block's last solve left.

    Cost: nothing; O(entries) for the envelope of a sparse one.

    Example:
        >>> import torch
        >>> system = LinearSystem(DenseOperator(torch.eye(2)), torch.ones(2))
        >>> planned_facts(system).representation
        'formed'
    """
    operator, record = system.operator, system.curvature
    held: Representation = "products"
    rank = columns = entries = filled = gram = None
    product = None if record is None else record.product_flops
    passed = None if record is None else record.product_operations
    forming = None if record is None else record.forming_flops
    if isinstance(operator, LowRankOperator):
        held, rank, columns = "low-rank", operator.rank, operator.factor.shape[1]
        # U·Uᵀ, where curvature knows no cheaper way.
        forming = 2.0 * system.n**2 * columns if forming is None else forming
        if not isinstance(operator.factor, DenseFactor):
            product, gram = operator.factor.product_flops, operator.factor.gram_flops
    elif isinstance(operator, SparseOperator):
        held, entries = "sparse", operator.entries
        filled = None if earlier is None else earlier.envelope
        filled = envelope(operator) if filled is None else filled
    elif isinstance(operator, DenseOperator):
        held = "formed"
    return Facts(
        n=system.n,
        batch=None if record is None else record.batch,
        rank=rank,
        columns=columns,
        representation=held,
        forming_flops=forming,
        product_flops=product,
        product_operations=passed,
        forming_rows=0 if record is None else record.forming_rows,
        forming_rows_flops=0.0 if record is None else record.forming_rows_flops,
        gram_flops=gram,
        entries=entries,
        envelope=filled,
        earlier=earlier,
        notes=("decided from shapes and the last step: nothing was measured",),
    )


def facts_left(
    record: BlockRecord, step: int, tolerance: float, before: EarlierFacts | None
) -> EarlierFacts:
    """Return what a block's attempts leave for its next step.

    What this step did not look at is kept from ``before``; a try that failed is forgotten, like
    everything else, only by being tried again.

    Args:
        record: The block as it was solved.
        step: The present step.
        tolerance: The relative residual that was asked for.
        before: What was known until now.
    """
    left = before or EarlierFacts(step=step)
    left = replace(left, step=step, envelope=record.facts.envelope)
    for attempt in record.attempts:
        left = _with_attempt(left, attempt, tolerance)
    return left


def _with_attempt(left: EarlierFacts, attempt: Attempt, tolerance: float) -> EarlierFacts:
    definiteness = attempt.definiteness
    solver = SOLVERS.find(attempt.solver)
    if attempt.outcome is Outcome.NOT_DEFINITE:
        definiteness = "indefinite"
    elif attempt.outcome is Outcome.SOLVED and solver is not None and solver.proves_definite:
        definiteness = "positive"
    if definiteness is not None:
        left = replace(left, definiteness=definiteness)
    family = solver.family if solver is not None and solver.family.iterates else None
    if family is None and attempt.outcome is Outcome.RESIDUAL:
        failed = tuple(sorted({*left.failed, attempt.solver}))
        return replace(left, failed=failed)
    if family is None or (family is Family.CG and definiteness == "indefinite"):
        return left
    solved = attempt.outcome is Outcome.SOLVED
    spent = {f"{family}_products": attempt.products if solved else None}
    spent[f"{family}_unfinished"] = None if solved else attempt.products
    foretold_before = getattr(left, f"{family}_expected") is not None
    spent[f"{family}_expected"] = (
        None if solved or foretold_before else _foretold(attempt, tolerance)
    )
    return replace(left, tolerance=tolerance, **spent)


def _foretold(attempt: Attempt, tolerance: float) -> int | None:
    """Return the products to the tolerance if the residual goes on falling as it did.

    Conjugate gradients converge faster as they go on (van der Sluis and van der Vorst 1986), so
    it is rather too many.
    """
    residual = attempt.residual
    if residual is None or not 0.0 < residual <= _PROGRESS or not attempt.products:
        return None
    return math.ceil(attempt.products * math.log(2 / tolerance) / -math.log(residual))
