"""From a model and a closure to one linear system per block."""

from collections.abc import Iterable
from typing import Literal

from torch import Tensor, nn

from qnewton.curvature.blocks import Block, Partition, partition
from qnewton.curvature.capture import Closure, Evaluation, evaluate
from qnewton.curvature.hessian import hessian_operators
from qnewton.curvature.patches import layers_of
from qnewton.operators import LinearSystem

Kind = Literal["hessian", "ggn", "fisher"]

# One function a kind: evaluation, live root and blocks to operators and their records.
_KINDS = {"hessian": hessian_operators}


class Curvature:
    """The curvature of one model's loss, step after step.

    Args:
        model: A module, or its parameters (then the generic route and no ``layer`` blocks).
        kind: ``hessian``, H = ∂²L/∂θ².
        blocks: ``full``, ``layer`` or ``tensor``; see :func:`~qnewton.curvature.partition`.

    Attributes:
        blocks: The blocks, in ``named_parameters`` order.
        parameters: All trainable parameters, in the same order.

    Raises:
        ValueError: If the kind or partition is unknown or impossible.

    Example:
        >>> import torch
        >>> net, x = nn.Linear(3, 1), torch.ones(4, 3)
        >>> curvature = Curvature(net, blocks="full")
        >>> evaluation = curvature.evaluate(lambda: (net(x) ** 2).mean())
        >>> [system] = curvature.systems(evaluation)
        >>> system.curvature.route, system.operator.dense()[0]
        ('closed-form', tensor([2., 2., 2., 2.]))
    """

    def __init__(
        self,
        model: nn.Module | Iterable[Tensor],
        kind: Kind = "hessian",
        blocks: Partition = "layer",
    ) -> None:
        if kind not in ("hessian", "ggn", "fisher"):
            raise ValueError(f"kind={kind!r} is unknown; use kind='hessian'")
        if kind not in _KINDS:
            raise ValueError(f"kind={kind!r} is not built yet; use kind='hessian'")
        self._operators = _KINDS[kind]
        self.blocks: tuple[Block, ...] = partition(model, blocks)
        self.parameters = tuple(p for block in self.blocks for p in block.parameters)
        self._layers = layers_of(model) if isinstance(model, nn.Module) else []

    def evaluate(self, closure: Closure, curvature: bool = True) -> Evaluation:
        """Run the closure once: loss, gradient in ``.grad``, and the graph for :meth:`systems`.

        Args:
            closure: Calls ``loss.backward()``, or returns the live loss, or both.
            curvature: ``False`` for a first-order step: no hooks, no graph kept.

        Raises:
            ValueError: If the closure yields no scalar loss or no gradient.

        Cost: the closure's own; with ``curvature`` its activations stay in memory until the
        evaluation and its systems are dropped.
        """
        return evaluate(closure, self.parameters, self._layers, curvature)

    def systems(self, evaluation: Evaluation) -> list[LinearSystem]:
        """Return A x = -g of every block; the right-hand side is -``.grad`` after the closure.

        Args:
            evaluation: From :meth:`evaluate` of this object, with ``curvature=True``.

        Raises:
            ValueError: If the evaluation holds no graph, or the loss is not twice
                differentiable.

        Cost: see :func:`~qnewton.curvature.hessian.hessian_operators`; no block is formed.
        """
        if evaluation.root is None:
            raise ValueError(
                "this evaluation keeps no graph; use evaluate(closure, curvature=True) and call "
                "systems before release()"
            )
        operators = self._operators(evaluation, evaluation.root, self.blocks)
        return [
            LinearSystem(
                operator=operator,
                rhs=-evaluation.gradient(block.parameters),
                parameters=block.parameters,
                name=block.name,
                curvature=record,
            )
            for block, (operator, record) in zip(self.blocks, operators, strict=True)
        ]


def systems(
    model: nn.Module | Iterable[Tensor],
    closure: Closure,
    kind: Kind = "hessian",
    blocks: Partition = "layer",
) -> list[LinearSystem]:
    """Return one lazy Newton system per block, A x = -g, from one run of ``closure``.

    Args:
        model: A module, or its parameters.
        closure: Calls ``loss.backward()``, or returns the live loss, or both.
        kind: ``hessian``.
        blocks: ``full``, ``layer`` or ``tensor``.

    Raises:
        ValueError: As :class:`Curvature`, its ``evaluate`` and its ``systems`` do.

    Cost: one forward-backward pass, per-sample derivatives and one product a block.

    Example:
        >>> import torch
        >>> net, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)), torch.ones(4, 3)
        >>> [(s.name, s.n) for s in systems(net, lambda: net(x).square().mean())]
        [('0', 8), ('2', 3)]
    """
    curvature = Curvature(model, kind, blocks)
    return curvature.systems(curvature.evaluate(closure))
