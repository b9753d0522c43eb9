"""Blocks of the Hessian in closed form, where the structure allows it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from qnewton.curvature.adjoints import adjoints
from qnewton.curvature.autograd import leaf_uses
from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.directions import Directions
from qnewton.curvature.factors import layer_factors
from qnewton.curvature.independence import independent_samples
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.parameter_terms import ParameterTerms, parameter_terms
from qnewton.curvature.patches import LayerCall
from qnewton.curvature.structure import memory_obstacle, structural_obstacles


@dataclass(frozen=True)
class ClosedForm:
    """What is known in closed form of a block; the probe has yet to confirm it.

    Attributes:
        source: Computes the entries of the parameters covered; ``None`` if there are none.
        rest: Parameters without a closed form.
        reason: Why those have none; empty if all have.
    """

    source: LayeredHessian | None
    rest: tuple[Tensor, ...] = ()
    reason: str = ""


def closed_forms(
    evaluation: Evaluation, root: Tensor, blocks: Sequence[Block], per_sample: bool = True
) -> list[ClosedForm]:
    """Return what has a closed form of each block.

    Args:
        evaluation: The loss at the present parameters.
        root: Its live root.
        blocks: The blocks.
        per_sample: Use per-sample derivatives of layers that see one vector a sample. Without,
            all layers go by directions in their weights, which is right if samples interact.

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: :func:`~qnewton.curvature.factors.layer_factors`, with layers on patches two more double
    backward passes, and :func:`~qnewton.curvature.parameter_terms.parameter_terms` if a parameter
    enters the loss twice.
    """
    calls = evaluation.calls
    # What forbids all of it whatever the loss looks like, such as a second pass through every
    # layer, is cheaper to find than what enters the loss beside them.
    obstacles = structural_obstacles(Counter(), calls, blocks)
    if all(len(known) == len(b.parameters) for b, known in zip(blocks, obstacles, strict=True)):
        return [ClosedForm(None, reason=next(iter(known.values()), "")) for known in obstacles]
    terms = _terms_beside_layers(root, calls, blocks)
    obstacles = structural_obstacles(terms.elsewhere, calls, blocks)
    within = [
        _calls_of(calls, [p for k, p in enumerate(block.parameters) if k not in known])
        for block, known in zip(blocks, obstacles, strict=True)
    ]
    used = {index: call for layers in within for index, call in layers.items()}
    single = _one_vector_a_sample(used) if per_sample else {}
    patched = [index for index in used if index not in single]
    too_large = memory_obstacle([*single.values()], [*used.values()] if patched else [])
    if not used or too_large is not None:
        reasons = (next(iter(known.values()), too_large or "") for known in obstacles)
        return [ClosedForm(None, reason=reason) for reason in reasons]
    slopes = adjoints(root, calls, received=bool(patched))
    cross = any(sum(index in single for index in layers) > 1 for layers in within)
    factors = layer_factors(single, slopes.deltas, cross)
    directions = Directions(calls, slopes) if patched else None
    independent = (
        directions is not None and per_sample and independent_samples(directions, patched, [*used])
    )
    forms = []
    for block, layers, known in zip(blocks, within, obstacles, strict=True):
        rest = tuple(block.parameters[position] for position in known)
        source = LayeredHessian(
            factors, directions, independent, layers, block.parameters, rest, terms.diagonals
        )
        reason = next(iter(known.values()), "")
        forms.append(ClosedForm(source if layers else None, rest, reason))
    return forms


def _terms_beside_layers(
    root: Tensor, calls: Sequence[LayerCall], blocks: Sequence[Block]
) -> ParameterTerms:
    uses = leaf_uses([root])
    parameters = [parameter for block in blocks for parameter in block.parameters]
    if all(uses[id(parameter)] <= 1 for parameter in parameters):
        return ParameterTerms({}, uses)
    return parameter_terms(root, calls, parameters)


def _calls_of(calls: Sequence[LayerCall], parameters: Sequence[Tensor]) -> dict[int, LayerCall]:
    """Return the passes, by index, through layers that own some of the parameters."""
    inside = {id(parameter) for parameter in parameters}
    return {
        index: call
        for index, call in enumerate(calls)
        if id(call.layer.weight) in inside or id(call.layer.bias) in inside
    }


def _one_vector_a_sample(calls: Mapping[int, LayerCall]) -> dict[int, LayerCall]:
    """Return the linear layers whose rows are samples.

    Samples are what the fewest rows stand for: where rows outnumber them (tokens of a flattened
    sequence, say), rows may interact.
    """
    samples = min((call.samples for call in calls.values()), default=0)
    return {
        index: call
        for index, call in calls.items()
        if isinstance(call.layer, nn.Linear) and call.output.ndim == 2 and call.samples == samples
    }
