"""The curvature of whatever is trainable at a step."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from qnewton.curvature import BlockLimits, Curvature, Kind, Partition
from qnewton.optimizer.block_plan import BlockPlan, check_plan, plan_block
from qnewton.optimizer.settings import refuse_of_squares, settings_of_block


@dataclass(eq=False)
class TrainableCurvature:
    """Follows the parameters as they are frozen, unfrozen and added.

    Attributes:
        module: The module they belong to; ``None`` where only parameters are known.
        kind: The curvature.
        blocks: The partition.
        limits: The largest blocks that are formed, and that get a system.
        policy: The policy in force, which may need entries.
        convex_too: Whether the Gauss-Newton matrix may be asked for beside the Hessian.
        plan: How each block is represented.
    """

    module: nn.Module | None
    kind: Kind
    blocks: Partition
    limits: BlockLimits
    policy: str
    convex_too: bool
    plan: tuple[BlockPlan, ...] = field(default=(), init=False)
    _known: list[Tensor] = field(default_factory=list, init=False)
    _curvature: Curvature | None = field(default=None, init=False)

    def of(self, groups: Sequence[dict[str, Any]]) -> Curvature | None:
        """Return the curvature of the groups' trainable parameters; ``None`` if there are none.

        Raises:
            ValueError: If a parameter is outside the module, a block spans groups that are
                treated differently, or the parameters have no curvature.

        Cost: a look at every parameter, unless something changed.
        """
        trainable = [p for group in groups for p in group["params"] if p.requires_grad]
        known = self._known
        if len(trainable) != len(known) or any(map(operator.is_not, trainable, known)):
            self._curvature = self._build(trainable, groups)
            self._known = trainable
        return self._curvature

    def _build(self, trainable: list[Tensor], groups: Sequence[dict[str, Any]]) -> Curvature | None:
        self.plan = ()
        if not trainable:
            return None
        if self.module is not None:
            inside = set(map(id, self.module.parameters()))
            if not inside.issuperset(map(id, trainable)):
                raise ValueError(
                    "a parameter group holds parameters that are not in the module QNewton was "
                    "built for; build it from the parameter groups alone"
                )
        curvature = Curvature(
            trainable if self.module is None else self.module,
            self.kind,
            self.blocks,
            parameters=None if self.module is None else trainable,
            convex_too=self.convex_too,
            limits=self.limits,
        )
        self.plan = tuple(plan_block(block, self.limits.max_dense) for block in curvature.blocks)
        for block, planned in zip(curvature.blocks, self.plan, strict=True):
            settings = settings_of_block(block.name, block.parameters, groups)
            check_plan(planned, self.policy, settings)
        if self.kind == "hessian":
            refuse_of_squares(groups, "curvature or policy ask for it")
        self.plan += tuple(plan_block(block, None) for block in curvature.larger)
        return curvature

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy what it was built from; the curvature is built again where it is needed."""
        origin = (self.module, self.kind, self.blocks, self.limits, self.policy, self.convex_too)
        return type(self), origin
