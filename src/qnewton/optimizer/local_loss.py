"""The loss around the present parameters, as a step whose damping sets itself sees it."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from qnewton.cost.kernels import ROWS_A_CALL
from qnewton.curvature import Kind, ResidualChange, pieces_of
from qnewton.operators import (
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    NegatedOperator,
    SymmetricOperator,
)
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.metric import PLAIN, Metric, metric_of, next_metric
from qnewton.optimizer.movable import scaled_operator
from qnewton.optimizer.replicas import AveragedOperator
from qnewton.optimizer.settings import in_columns, one_sign
from qnewton.optimizer.step_context import Evaluated, StepContext
from qnewton.survey.lowest import SMALL, LowestPair, lowest_pair

_ROUNDINGS = 8.0  # units in the loss's last place that count as rounding
_FLAT = 1e-3  # ‖g‖ against the usual, below which a point may be a saddle


@dataclass(frozen=True)
class LocalLoss:
    """The loss that is minimised, and its derivatives at the parameters a step begins from.

    Attributes:
        context: Where the step takes place.
        evaluated: The loss there.
        metric: The variables of the step: gradient, systems, lengths and Δ are in these.
        made: The systems of factors in the parameters' own variables, which are made once.
    """

    context: StepContext
    evaluated: Evaluated
    metric: Metric = PLAIN
    made: dict[Kind, list[LinearSystem]] = field(default_factory=dict)

    @cached_property
    def sign(self) -> float:
        """-1 where the loss is maximised."""
        return one_sign(self.context.settings.groups)

    @property
    def kind(self) -> Kind:
        """The curvature that the evaluation decides on."""
        return self.evaluated.curvature.kind_of(self.evaluated.evaluation)

    @cached_property
    def lengths(self) -> dict[int, float]:
        """β of each parameter, by its id."""
        groups = self.context.settings.groups
        return {id(p): float(group["lr"]) for group in groups for p in group["params"]}

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What may move."""
        return self.evaluated.curvature.parameters

    @cached_property
    def gradient(self) -> Tensor:
        """g, which is not clipped, shape [N]."""
        gradient = self.evaluated.evaluation.loss_gradient(self.parameters)
        return self.sign * self.metric.covector(gradient)

    @cached_property
    def asked(self) -> Tensor:
        """What the systems are to undo, ``.grad``, which may be clipped, shape [N]."""
        gradient = self.evaluated.evaluation.gradient(self.parameters)
        return self.sign * self.metric.covector(gradient)

    @property
    def value(self) -> float:
        """The loss."""
        return self.sign * self.evaluated.evaluation.judged_loss

    def whole(self, loss: float) -> float:
        """Return the loss at other parameters, of all replicas, sign included."""
        replicas = self.context.replicas
        if replicas is not None:
            loss = float(replicas.average_(self.gradient.new_tensor([loss])))
        return self.sign * loss

    @cached_property
    def residuals(self) -> ResidualChange | None:
        """Those of a sum of squares that one process minimises; ``None`` for other losses.

        It is asked for while the evaluation has its graph.
        """
        if self.context.replicas is not None or self.sign < 0:
            return None
        found = self.evaluated.curvature.residual_change(self.evaluated.evaluation)
        return None if found is None else self.metric.residuals(found)

    def systems(self, kind: Kind) -> list[LinearSystem]:
        """Return the systems of this process, in the parameters' own variables."""
        if kind in self.made:
            return self.made[kind]
        systems = self.evaluated.systems(self.context, kind)
        if all(isinstance(system.operator, LowRankOperator) for system in systems):
            self.made[kind] = systems
        return systems

    def in_its_metric(self) -> "LocalLoss":
        """Return the same in the variables that the step is to be taken in.

        Raises:
            ValueError: If groups ask for the norms of columns, and nobody holds columns.
        """
        memory = self.context.memory
        if in_columns(self.context.settings.groups):
            if self.kind == "hessian":  # of this step alone, whose squares were not proven
                return self
            metric = metric_of(memory, self.parameters, self._column_norms())
        else:
            metric = next_metric(memory, self.parameters, self.residuals)
        return self if metric.scale is None else replace(self, metric=metric)

    def _column_norms(self) -> Tensor:
        found: dict[int, Tensor] = {}
        for system in self.systems(self.kind):
            operator = system.operator
            if isinstance(operator, LowRankOperator) and self.context.replicas is None:
                norms = operator.factor.row_squares().sqrt()
            elif operator.n <= self.context.settings.max_dense and self.context.replicas is None:
                norms = operator.dense().diagonal().clamp(min=0.0).sqrt()
            else:
                raise ValueError(
                    "damping_scale='columns' reads the columns of a Jacobian that one process "
                    f"holds, and that of block {system.name!r} is not held; leave the scale out"
                )
            found |= pieces_of(system.parameters, norms)
        return torch.cat([found[id(parameter)] for parameter in self.parameters])

    @property
    def size(self) -> float:
        """The length of the parameters."""
        return self.metric.size(self.parameters)

    @property
    def rounding(self) -> float:
        """The smallest change of the loss that is no rounding."""
        return _ROUNDINGS * torch.finfo(self.gradient.dtype).eps * abs(self.value)

    @property
    def is_flat(self) -> bool:
        """Whether the gradient is so small against the usual one that this may be a saddle."""
        return safe_norm(self.gradient) <= _FLAT * self.context.memory.usual_gradient

    @cached_property
    def flat_lengths(self) -> Tensor:
        """β of every unknown, shape [N], float64."""
        return self.setting("lr")

    def setting(self, name: str) -> Tensor:
        """Return what a setting of the groups is for every unknown, shape [N], float64."""
        groups = self.context.settings.groups
        values = {id(p): float(group[name]) for group in groups for p in group["params"]}
        each = [
            p.new_full((p.numel(),), values[id(p)], dtype=torch.float64) for p in self.parameters
        ]
        return torch.cat(each)

    def quadratic(self, kind: Kind) -> SymmetricOperator:
        """Return the curvature of all parameters, by products."""
        operator = self.evaluated.curvature.quadratic(self.evaluated.evaluation, kind)
        if self.context.replicas is not None:
            operator = AveragedOperator(operator, self.context.replicas)
        operator = self.metric.operator(operator)
        return operator if self.sign > 0 else NegatedOperator(operator)

    def lowest(self, kind: Kind, lengths: Tensor) -> LowestPair | None:
        """Return the lowest eigenpair of B·H·B, B = diag(lengths); ``None`` if nobody can tell."""
        try:
            with self.context.clock.stage("survey"):
                operator = scaled_operator(self._surveyed(kind), lengths)
                return lowest_pair(operator, self.context.seed)
        except (ValueError, ArithmeticError, RuntimeError):
            # Not finite, eigenvalues that do not converge, or a loss without a Hessian (it may
            # have the Gauss-Newton matrix that the run uses): nothing is known of its signs.
            return None

    def products_spent(self, lowest: LowestPair | None) -> int:
        """Return what an eigenpair took; by entries, the batched passes that form them."""
        if lowest is None:
            return 0
        return lowest.products or math.ceil(self.gradient.numel() / ROWS_A_CALL)

    def _surveyed(self, kind: Kind) -> SymmetricOperator:
        """Return the curvature of all parameters, by its entries where those are few."""
        # Forming takes as many products as a short Lanczos run, or fewer, in batches.
        evaluated = self.evaluated
        blocks = evaluated.curvature.blocks
        large = len(blocks) != 1 or sum(block.n for block in blocks) > SMALL
        if self.context.replicas is not None or large:
            return self.quadratic(kind)
        [system] = evaluated.curvature.systems(evaluated.evaluation, kind, self.context.routes)
        operator = self.metric.operator(DenseOperator(system.operator.dense()))
        return operator if self.sign > 0 else NegatedOperator(operator)
