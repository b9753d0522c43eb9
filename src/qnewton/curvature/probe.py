"""Whether the closed form holds for this loss: structure first, then one product compared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.autograd import leaf_uses
from qnewton.curvature.capture import LayerCall
from qnewton.curvature.generic import CurvatureProducts
from qnewton.curvature.layered import LayeredHessian

# Per-sample derivatives the closed form may hold: 1 GB in float32. Beyond it the layers are so
# wide that no dense block could be formed either.
_MAX_ENTRIES = 1 << 28
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
# The same vector at every step: a resumed run then takes the same routes as an uninterrupted one.
_SEED = 20240500252


@dataclass(frozen=True)
class Verdict:
    """Whether the closed form may be used, and why."""

    holds: bool
    reason: str


def structural_obstacle(
    root: Tensor, calls: Sequence[LayerCall], parameters: Mapping[str, Tensor], cross: bool
) -> str | None:
    """Return what rules the closed form out before any product, or ``None``.

    Every trainable parameter must be the weight or bias of one ``nn.Linear`` that ran once, on
    inputs of two dimensions, and must enter the loss there only.

    Args:
        root: The live loss.
        calls: Passes through linear layers.
        parameters: Trainable parameters by name.
        cross: Whether blocks span layers.

    Cost: one walk over the graph's nodes.
    """
    names = {id(parameter): name for name, parameter in parameters.items()}
    owners: dict[int, LayerCall] = {}
    for layer, times in Counter(call.layer for call in calls).items():
        if times > 1:
            return f"the layer that owns {_owned(layer, names)} ran {times} times"
    for call in calls:
        if call.input.ndim != 2:
            return (
                f"the layer that owns {_owned(call.layer, names)} got inputs of "
                f"{call.input.ndim} dimensions, not 2"
            )
        for parameter in call.layer.parameters():
            if id(parameter) in owners:
                return f"{names[id(parameter)]} is shared by two layers"
            if parameter.requires_grad:
                owners[id(parameter)] = call
    for key, name in names.items():
        if key not in owners:
            return f"{name} is not the weight or bias of an nn.Linear that ran"
    if len({call.input.shape[0] for call in calls}) > 1:
        return "the layers saw different numbers of samples"
    uses = leaf_uses([root])
    for key, name in names.items():
        if uses[key] > 1:
            return f"{name} enters the loss in {uses[key]} places"
    entries = _entries(calls, cross)
    if entries > _MAX_ENTRIES:
        return f"its per-sample derivatives need {entries:.2g} entries, limit {_MAX_ENTRIES:.2g}"
    return None


def probe(
    closed: LayeredHessian, graph: CurvatureProducts, parameters: Sequence[Tensor]
) -> Verdict:
    """Compare H·v of the closed form with automatic differentiation, v random on the block.

    Args:
        closed: The block in closed form.
        graph: Gives the products by automatic differentiation.
        parameters: The block's parameters.

    Cost: one product each way.
    """
    example = parameters[0]
    generator = torch.Generator().manual_seed(_SEED)
    n = sum(parameter.numel() for parameter in parameters)
    vector = torch.randn(n, generator=generator, dtype=torch.float64)
    vector = vector.to(device=example.device, dtype=example.dtype)
    expected = graph.products(parameters, vector[None])[0]
    error = float((closed.product(vector) - expected).norm())
    difference = 0.0 if error == 0.0 else error / max(float(expected.norm()), 1e-300)
    limit = _TOLERANCE[example.dtype]
    if difference <= limit:
        return Verdict(True, f"a random product agrees to {difference:.1g}, limit {limit:.0g}")
    return Verdict(
        False,
        f"the closed form's random product is off by {difference:.2g}, limit {limit:.0g}: "
        "samples or layers interact in a way it does not cover",
    )


def _owned(layer: torch.nn.Module, names: Mapping[int, str]) -> str:
    return next(names[id(p)] for p in layer.parameters() if id(p) in names)


def _entries(calls: Sequence[LayerCall], cross: bool) -> int:
    """Return how many entries B and J have."""
    total, outputs_before = 0, 0
    for call in calls:
        samples, outputs = call.output.shape
        total += samples * outputs * outputs
        if cross:
            total += samples * outputs_before * (outputs + call.input.shape[1])
        outputs_before += outputs
    return total
