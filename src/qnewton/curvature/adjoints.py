"""First derivatives of a loss inside the network, kept differentiable."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.autograd import graph_nodes
from qnewton.curvature.once_only import not_twice_differentiable
from qnewton.curvature.patches import LayerCall


@dataclass(frozen=True)
class Adjoints:
    """Gradients in what layers give and receive, with their graph.

    Attributes:
        deltas: δ_m = ∂L/∂s_m, shaped as the output; zeros where the loss does not depend on it.
        received: γ_m = δ_m·W_m, the gradient in the layer's own copy of its input; ``None``
            where the input depends on no parameter, or if not asked for.
    """

    deltas: tuple[Tensor, ...]
    received: tuple[Tensor | None, ...]


def adjoints(root: Tensor, calls: Sequence[LayerCall], received: bool) -> Adjoints:
    """Differentiate ``root`` with respect to the outputs, and if asked the inputs, of ``calls``.

    Args:
        root: Live scalar loss; its graph is kept.
        calls: Passes through layers.
        received: Also γ, which :class:`~qnewton.curvature.directions.Directions` needs.

    Raises:
        ValueError: If the loss cannot be differentiated.

    Cost: one backward pass with a graph.
    """
    outputs = [call.output for call in calls]
    inputs = [call.input for call in calls if received and call.input.requires_grad]
    with torch.enable_grad():
        try:
            found = torch.autograd.grad(
                root, [*outputs, *inputs], create_graph=True, allow_unused=True
            )
        except RuntimeError as error:
            raise not_twice_differentiable(error, graph_nodes([root.grad_fn])) from error
    deltas = [torch.zeros_like(s) if d is None else d for s, d in zip(outputs, found, strict=False)]
    known = {id(x): gradient for x, gradient in zip(inputs, found[len(outputs) :], strict=True)}
    return Adjoints(tuple(deltas), tuple(known.get(id(call.input)) for call in calls))
