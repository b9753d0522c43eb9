"""The systems that averaged steps solve, one per parameter, as their records hold them.

The direction D of a parameter solves A·D = -M, with A = Q (√V + λ) Qᵀ and Q = Q_L ⊗ Q_R: order N,
a κ, and d = l·r entries per row, l and r the rows of Q_L and Q_R. All of it follows from V.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import is_

import torch
from torch import Tensor

from qnewton.cost import SOLVERS
from qnewton.cost.eigenbasis import factor_flops
from qnewton.operators import EigenbasisOperator, LinearSystem
from qnewton.operators.base import dtype_name
from qnewton.optimizer.averages import REFRESHED, GradientAverages
from qnewton.optimizer.buckets import DAMPING, Bucket
from qnewton.optimizer.step_context import Evaluated, StepContext
from qnewton.records import (
    Attempt,
    BlockRecord,
    CurvatureRecord,
    Decision,
    Facts,
    Outcome,
    Treatment,
)
from qnewton.survey import survey_eigenbasis
from qnewton.survey.eigenbasis import held_by

MEASURED_EVERY = 50
"""Steps from one measurement of the spectra to the next; V is an average over a hundred."""

_MEASURED_FIRST = (1, 10)
_SOLVER = SOLVERS.get("eigenbasis")
_REASON = "√V in the eigenvectors of averaged factors, from gradients of batches"
# They are solved, and timed, together; no residual is looked at.
_SOLVED = Attempt(
    solver=_SOLVER.name,
    outcome=Outcome.SOLVED,
    residual=None,
    products=0,
    measured_seconds=None,
    definiteness="positive",
)


class AveragedSystems:
    """What is known of the systems, measured now and then, and recorded at every step.

    Between two measurements steps share their records, which say when κ was measured.
    """

    def __init__(self) -> None:
        self._buckets: Sequence[Bucket] = ()
        self._records: tuple[BlockRecord, ...] = ()

    def records(
        self, context: StepContext, evaluated: Evaluated, buckets: Sequence[Bucket]
    ) -> tuple[BlockRecord, ...]:
        """Return the record of every parameter's system, solved by its kept eigenvectors.

        Args:
            context: Where the step takes place.
            evaluated: Whose curvature names the parameters.
            buckets: What moved, with the averages after this step's gradient.

        Cost: every fiftieth step some passes over V, and a third of a product with A.
        """
        step, recorded = context.memory.length.steps, self._records
        same = len(buckets) == len(self._buckets) and all(map(is_, buckets, self._buckets))
        if not same or step in _MEASURED_FIRST or step % MEASURED_EVERY == 0:
            names = _names(evaluated)
            recorded = tuple(
                _record(context, names[p], averaged_operator(averages)[0])
                for p, averages in _each(buckets)
            )
            self._buckets = [*buckets]
            self._records = tuple(_measured_at(record, context.step) for record in recorded)
        if context.hooks.solution:
            for record, (parameter, averages) in zip(recorded, _each(buckets), strict=True):
                operator, rhs = averaged_operator(averages)
                system = LinearSystem(operator, rhs, (parameter,), record.name, record.curvature)
                context.hooks.tell_solution(context.step, system, record, operator.solved(rhs))
        return recorded


def averaged_operator(averages: GradientAverages) -> tuple[EigenbasisOperator, Tensor]:
    """Return A and -M of one parameter's A·D = -M, in units of the first batch's ‖g‖.

    Cost: some passes over N numbers, and M out of the eigenvectors.
    """
    root = averages.square.sqrt()
    strength = DAMPING * float(root.mean()) + torch.finfo(root.dtype).tiny
    left, right = (side and side[1] for side in (averages.left, averages.right))
    treatment = Treatment(damping=strength)
    operator = EigenbasisOperator(root + strength, left, right, treatment)
    return operator, -operator.outside(averages.mean).flatten()


def _each(buckets: Sequence[Bucket]) -> Iterator[tuple[Tensor, GradientAverages]]:
    for bucket in buckets:
        yield from zip(bucket.parameters, bucket.averages, strict=True)


def _names(evaluated: Evaluated) -> dict[Tensor, str]:
    blocks = evaluated.curvature.blocks
    return {p: name for b in blocks for p, name in zip(b.parameters, b.names, strict=True)}


def _record(context: StepContext, name: str, operator: EigenbasisOperator) -> BlockRecord:
    held = held_by(operator, REFRESHED)
    if math.isfinite(operator.treatment.damping):
        facts = survey_eigenbasis(operator, REFRESHED)
    else:
        facts = Facts(n=operator.n, held=held, semidefinite=True, notes=("V is not finite",))
    market = replace(context.market, dtype=dtype_name(operator.dtype))
    return BlockRecord(
        name=name,
        n=operator.n,
        curvature=CurvatureRecord(
            kind="fisher",
            route="averages",
            reason=_REASON,
            forming_flops=factor_flops(operator.n, held),
        ),
        treatment=operator.treatment,
        facts=facts,
        decision=Decision(
            chosen=_SOLVER.name,
            quotes=(_SOLVER.price(facts, market),),
            policy=context.policy.name,
            reason="the averages keep the eigenvectors",
        ),
        attempts=(_SOLVED,),
    )


def _measured_at(record: BlockRecord, step: int) -> BlockRecord:
    """Return the same system as later steps record it."""
    note = f"λ, κ, d and the norms are those that step {step} measured"
    facts = record.facts
    spectrum = replace(facts.spectrum, measured_at=step)
    return replace(record, facts=replace(facts, spectrum=spectrum, notes=(*facts.notes, note)))
