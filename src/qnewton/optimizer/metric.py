"""The variables in which the step of a fit is taken, so that it does not depend on units.

With D = diag(d), d_i the largest norm that any step saw of column i of the Jacobian J (Moré
1978), a step in y = Dθ has a system that looks like any other, D⁻¹JᵀJD⁻¹ + λI, and moves θ by
D⁻¹y. Entries of a matrix are weights of one kind, and this metric slows down the training of
networks; single numbers and vectors hold quantities with units of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qnewton.curvature import ResidualChange, pieces_of
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    SymmetricOperator,
)
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.memory import COLUMNS, Memory
from qnewton.optimizer.movable import scaled_operator

_MOST = 256
"""Unknowns up to which a loss may be a fit."""

_HELD = 1 / 30
"""A column may be nearly zero at first and let its parameter run away: its d_i is then held up to
this share of ‖Dθ‖ in units of the parameter."""

_MOST_HELD = 1e6
"""Up to this many times its norm; a smaller parameter says nothing by its size."""

_NOTE = "in the metric of the largest columns so far"


@dataclass(frozen=True, eq=False)
class Metric:
    """D of the variables y = Dθ.

    Attributes:
        scale: d, shape [N]; ``None`` for the parameters themselves.
    """

    scale: Tensor | None = None

    def covector(self, gradient: Tensor) -> Tensor:
        """Return D⁻¹g, the gradient in y."""
        return gradient if self.scale is None else gradient / self.scale

    def movement(self, step: Tensor) -> Tensor:
        """Return D⁻¹s, what a step s of y moves the parameters by."""
        return step if self.scale is None else step / self.scale

    def variables(self, step: Tensor) -> Tensor:
        """Return Ds, the step of y that moves the parameters by s."""
        return step if self.scale is None else self.scale * step

    def size(self, parameters: Sequence[Tensor]) -> float:
        """Return ‖Dθ‖."""
        flat = torch.cat([parameter.detach().flatten() for parameter in parameters])
        return safe_norm(flat if self.scale is None else self.scale * flat)

    def operator(self, operator: SymmetricOperator) -> SymmetricOperator:
        """Return D⁻¹HD⁻¹."""
        if self.scale is None:
            return operator
        if isinstance(operator, LowRankOperator):
            factor = operator.factor.dense() / self.scale[:, None]
            return LowRankOperator(DenseFactor(factor), operator.shift, operator.treatment)
        return scaled_operator(operator, 1 / self.scale)

    def residuals(self, change: ResidualChange) -> ResidualChange:
        """Return the residuals with their Jacobian by y."""
        return change if self.scale is None else replace(change, rows=change.rows / self.scale)

    def systems(
        self, systems: list[LinearSystem], parameters: Sequence[Tensor]
    ) -> list[LinearSystem]:
        """Return systems whose unknowns are those of y."""
        if self.scale is None:
            return systems
        at = pieces_of(parameters, self.scale)
        return [
            _in_metric(system, Metric(torch.cat([at[id(p)] for p in system.parameters])))
            for system in systems
        ]


PLAIN = Metric()
"""The parameters' own variables."""


def next_metric(
    memory: Memory, parameters: Sequence[Tensor], residuals: ResidualChange | None
) -> Metric:
    """Return the metric of a step on a fit, and keep it; that of the parameters for other losses.

    Args:
        memory: What earlier steps left, changed.
        parameters: θ.
        residuals: Those of the loss, if it is a sum of squares.
    """
    n = sum(parameter.numel() for parameter in parameters)
    if residuals is None or n > _MOST or any(parameter.ndim > 1 for parameter in parameters):
        return PLAIN
    return metric_of(memory, parameters, torch.linalg.vector_norm(residuals.rows, dim=0))


def metric_of(memory: Memory, parameters: Sequence[Tensor], norms: Tensor) -> Metric:
    """Return the metric of the largest columns so far, and keep it.

    Args:
        memory: What earlier steps left, changed.
        parameters: θ.
        norms: The norms of the Jacobian's columns, shape [N].
    """
    # One step that cannot be used is not to be remembered.
    norms = torch.where(torch.isfinite(norms), norms, torch.zeros_like(norms))
    known = memory.vector(COLUMNS, parameters)
    scale = _first(norms, parameters) if known is None else torch.maximum(norms, known)
    memory.keep_vector(COLUMNS, parameters, scale)
    return Metric(scale)


def _in_metric(system: LinearSystem, metric: Metric) -> LinearSystem:
    operator, record = system.operator, system.curvature
    if not isinstance(operator, LowRankOperator):
        operator = DenseOperator(operator.dense())  # which any solver reads
    noted = record and replace(record, reason=f"{record.reason}; {_NOTE}")
    return replace(
        system,
        operator=metric.operator(operator),
        rhs=metric.covector(system.rhs),
        curvature=noted,
    )


def _first(norms: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return the metric of a first step."""
    sizes = torch.cat([parameter.detach().flatten() for parameter in parameters]).abs()
    scale = torch.where(norms > 0, norms, torch.ones_like(norms))
    least = _HELD * safe_norm(scale * sizes)
    if least == 0.0:
        return scale
    # Of a parameter at zero nothing is known.
    sized = torch.maximum(sizes, least / (_MOST_HELD * scale))
    return torch.where(sizes > 0, torch.maximum(scale, least / sized), scale)
