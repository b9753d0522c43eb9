"""The curvature of whatever is trainable at a step."""

import operator
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from qnewton.curvature import BlockLimits, Curvature, Kind, Partition
from qnewton.optimizer.representation import (
    BlockPlan,
    check_plan,
    first_order_plan,
    plan_blocks,
)
from qnewton.optimizer.settings import settings_of_block


class TrainableCurvature:
    """Follows the parameters as they are frozen, unfrozen and added.

    Args:
        module: The module they belong to; ``None`` where only parameters are known.
        kind: The curvature.
        blocks: The partition.
        max_dense: Rows of the largest block that is formed.
        policy: The policy in force, which may need entries.
        convex_too: Whether the Gauss-Newton matrix may be asked for beside the Hessian.
        max_newton: Rows of the largest block that gets a system.

    Attributes:
        module: The module, if known.
        plan: How each block is represented.
    """

    def __init__(
        self,
        module: nn.Module | None,
        kind: Kind,
        blocks: Partition,
        max_dense: int,
        policy: str,
        convex_too: bool = False,
        max_newton: int | None = None,
    ) -> None:
        self.module = module
        self._kind: Kind = kind
        self._blocks: Partition = blocks
        self._max_dense = max_dense
        self._policy = policy
        self._convex_too = convex_too
        self._max_newton = max_newton
        self.plan: tuple[BlockPlan, ...] = ()
        self._known: list[Tensor] = []
        self._curvature: Curvature | None = None

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
        limit = self._max_dense
        limits = BlockLimits(limit, self._max_newton)
        if self.module is None:
            curvature = Curvature(trainable, self._kind, self._blocks, limits=limits)
        else:
            inside = {id(parameter) for parameter in self.module.parameters()}
            if any(id(parameter) not in inside for parameter in trainable):
                raise ValueError(
                    "a parameter group holds parameters that are not in the module QNewton was "
                    "built for; build it from the parameter groups alone"
                )
            curvature = Curvature(
                self.module,
                self._kind,
                self._blocks,
                parameters=trainable,
                convex_too=self._convex_too,
                limits=limits,
            )
        self.plan = plan_blocks(curvature.blocks, limit)
        for block, planned in zip(curvature.blocks, self.plan, strict=True):
            settings = settings_of_block(block.name, block.parameters, groups)
            check_plan(planned, self._policy, settings)
        self.plan += tuple(first_order_plan(block) for block in curvature.larger)
        return curvature

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy what it was built from; the curvature is built again where it is needed."""
        origin = (self.module, self._kind, self._blocks, self._max_dense, self._policy)
        return type(self), (*origin, self._convex_too, self._max_newton)
