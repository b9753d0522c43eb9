"""What is known of a block before anything of it is formed or measured."""

from qnewton import operators, records
from qnewton.survey import envelope
from qnewton.survey.eigenbasis import held_by

GIVEN = records.CurvatureRecord(kind="hessian", route="given", reason="passed in by the caller")
"""The curvature of a system that no route of this package made."""


def planned_facts(
    system: operators.LinearSystem, earlier: records.Earlier | None = None
) -> records.Facts:
    """Return what is known of a system before anything of it is formed or measured.

    Args:
        system: The system as curvature left it.
        earlier: What the block's last solve left.

    Cost: nothing; O(entries) for the envelope of a sparse one.

    Example:
        >>> import torch
        >>> from qnewton.operators import DenseOperator, LinearSystem
        >>> planned_facts(LinearSystem(DenseOperator(torch.eye(2)), torch.ones(2))).held
        Formed(entries=None, envelope=None)
    """
    operator, curvature = system.operator, system.curvature or GIVEN
    return records.Facts(
        n=system.n,
        held=_held(system, curvature, None if earlier is None else earlier.envelope),
        earlier=earlier,
        rank=operator.rank if isinstance(operator, operators.LowRankOperator) else None,
        batch=curvature.batch,
        semidefinite=_semidefinite(operator, curvature),
        notes=("decided from shapes and the last step: nothing was measured",),
    )


def _semidefinite(
    operator: operators.SymmetricOperator, curvature: records.CurvatureRecord
) -> bool:
    """Return whether the form of a matrix says that it has no negative eigenvalue."""
    if isinstance(operator, operators.LowRankOperator):
        return True
    negated = isinstance(operator, operators.NegatedOperator)
    return curvature.kind in ("ggn", "fisher") and not negated


def _held(
    system: operators.LinearSystem,
    curvature: records.CurvatureRecord,
    known_envelope: float | None,
) -> records.Held:
    operator = system.operator
    if isinstance(operator, operators.DenseOperator):
        return records.Formed()
    if isinstance(operator, operators.SparseOperator):
        filled = envelope(operator) if known_envelope is None else known_envelope
        return records.Sparse(entries=operator.entries, envelope=filled)
    if isinstance(operator, operators.EigenbasisOperator):
        return held_by(operator)
    if not isinstance(operator, operators.LowRankOperator):
        return records.Products(
            product_flops=curvature.product_flops,
            product_operations=curvature.product_operations,
            forming=curvature.forming,
        )
    factor, columns = operator.factor, operator.factor.shape[1]
    structured = not isinstance(factor, operators.DenseFactor)
    # U·Uᵀ, where curvature knows no cheaper way.
    forming = curvature.forming or records.FormingWork(flops=2.0 * operator.n**2 * columns)
    return records.LowRank(
        columns=columns,
        product_flops=factor.product_flops if structured else curvature.product_flops,
        gram_flops=factor.gram_flops if structured else None,
        forming=forming,
        target=system.target is not None,
    )
