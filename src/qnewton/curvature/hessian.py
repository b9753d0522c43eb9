"""The exact Hessian of the loss, block by block, by the cheapest route that is right."""

from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from qnewton.curvature.autograd import leaf_uses
from qnewton.curvature.blocks import Block
from qnewton.curvature.directions import Directions
from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.generic import (
    BlockHessian,
    GenericHessian,
    HessianOperator,
    MixedHessian,
    Operators,
)
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.layers import LayerCall, adjoints, layer_factors
from qnewton.curvature.parameter_terms import ParameterTerms, parameter_terms
from qnewton.curvature.routes import GraphWork, Refused, RouteMemory, Scale, Spent
from qnewton.records import CurvatureRecord

# What the closed form may hold of the layers: 1 GB in float32. Beyond it the layers are so
# wide that no dense block could be formed either.
_MAX_ENTRIES = 1 << 28
# Routes as a memory of rejections names them.
_BY_SAMPLE, _BY_DIRECTIONS = "closed-form", "directions"


def hessian_operators(
    evaluation: Evaluation,
    root: Tensor,
    blocks: Sequence[Block],
    max_dense: int | None = None,
    memory: RouteMemory | None = None,
) -> Operators:
    """Return each block's Hessian operator and how it is computed.

    The closed form is used for a block when the structure allows it and a random product by
    double backward agrees with it, at every step; the generic route otherwise. Where that product
    disagrees because samples interact, directions in the weights, which do not mind, are tried
    before the generic route. Single parameters of a block without a closed form get their rows by
    double backward.

    Args:
        evaluation: The loss at the present parameters.
        root: Its live root.
        blocks: Blocks to return, each on the diagonal of the Hessian.
        max_dense: Blocks with more rows go by double backward without a look at the closed form,
            whose factors would be as large as they are; ``None`` for no limit.
        memory: What earlier steps rejected, which is not tried again.

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: the per-sample derivatives of :func:`~qnewton.curvature.layers.layer_factors` and one
    product per block; no entries are formed.
    """
    builder = _Builder(evaluation, root, memory or RouteMemory())
    forms = builder.forms([b for b in blocks if max_dense is None or b.n <= max_dense])
    operators: Operators = []
    for block in blocks:
        too_large = Refused(f"N = {block.n:,} is above max_dense, so products alone")
        source, reason = builder.source(block, forms.get(block.name, too_large))
        record = CurvatureRecord(
            kind="hessian",
            route=source.route,
            reason=reason,
            batch=evaluation.batch,
            **builder.spent.recorded(source.cost),
        )
        operators.append((HessianOperator(source, block), record))
    return operators


class _Builder:
    """What the blocks of one evaluation share, and what was spent on them."""

    def __init__(self, evaluation: Evaluation, root: Tensor, memory: RouteMemory) -> None:
        self._evaluation = evaluation
        self._root = root
        self._memory = memory
        self._graph = evaluation.gradient_graph()
        self._work = evaluation.work or GraphWork(0.0, 0)
        # The gradient's own graph takes one pass.
        self.spent = Spent(self._work.flops, self._work.flops, calls=1)

    def forms(self, blocks: Sequence[Block]) -> dict[str, LayeredHessian | Refused]:
        """Return the closed form of each block that did not reject it before, by its name."""
        found: dict[str, LayeredHessian | Refused] = {}
        by_sample, by_directions = [], []
        for block in blocks:
            before = self._rejected(block, _BY_SAMPLE)
            if before is None:
                by_sample.append(block)
            elif self._rejected(block, _BY_DIRECTIONS) is None:
                by_directions.append(block)
            else:
                found[block.name] = Refused(f"the closed form was rejected at step {before}")
        for chosen, per_sample in ((by_sample, True), (by_directions, False)):
            if chosen:
                forms = self._closed_forms(chosen, per_sample)
                found |= {block.name: form for block, form in zip(chosen, forms, strict=True)}
        return found

    def source(self, block: Block, form: LayeredHessian | Refused) -> tuple[BlockHessian, str]:
        """Return the cheapest computation of a block that is right, and why it is that one."""
        generic = GenericHessian(self._graph, block.parameters, self._work)
        if isinstance(form, Refused):
            return generic, form.reason
        interact = self._rejected(block, _BY_SAMPLE)
        verdict = self._probed(block, form)
        reason = verdict.reason if isinstance(verdict, Refused) else verdict
        if interact is not None:
            reason = f"samples interact, as step {interact} found; by directions {reason}"
        elif isinstance(verdict, Refused) and form.per_sample:
            self._reject(block, verdict, _BY_SAMPLE)
            [again] = self._closed_forms([block], per_sample=False)
            if isinstance(again, LayeredHessian):
                form, verdict = again, self._probed(block, again)
                if not isinstance(verdict, Refused):
                    reason = f"samples interact; by directions in the weights {verdict}"
        if isinstance(verdict, Refused):
            self._reject(block, verdict, _BY_SAMPLE, _BY_DIRECTIONS)
            return generic, reason
        if form.diagonal is not None:
            reason += "; terms of parameters alone (weight decay) are added on its diagonal"
        rest = form.rest
        if not rest:
            return form, reason
        count = sum(parameter.numel() for parameter in rest)
        mixed = MixedHessian(form, self._graph, block.parameters, tuple(rest), self._work)
        return (
            mixed,
            f"{next(iter(rest.values()))}: {count} rows by double backward; of the others {reason}",
        )

    def _rejected(self, block: Block, route: str) -> int | None:
        return self._memory.rejected(block.name, "hessian", route)

    def _reject(self, block: Block, verdict: Refused, *routes: str) -> None:
        for route in routes if verdict.lasting else ():
            if self._rejected(block, route) is None:
                self._memory.reject(block.name, "hessian", route)

    def _closed_forms(
        self, blocks: Sequence[Block], per_sample: bool
    ) -> list[LayeredHessian | Refused]:
        calls = self._evaluation.calls
        forms = _closed_forms(self._root, calls, blocks, per_sample)
        if any(isinstance(form, LayeredHessian) for form in forms):
            # δ's derivatives are a backward pass through activations for every output of a layer,
            # those of its input, where another layer is before it, one for every input.
            rows = sum(call.outputs for call in calls) if per_sample else 2
            rows += sum(call.inputs for call in calls[1:]) if per_sample else 0
            self.spent.backward(rows, 2 * len(calls))
        return forms

    def _probed(self, block: Block, form: LayeredHessian) -> str | Refused:
        one = self._graph.passes * self._work.flops
        self.spent.flops += one + (form.cost.product_flops or 0.0)
        self.spent.calls += 1
        return form.compared(self._graph, Scale(self._memory, f"{block.name}.hessian"))


def _closed_forms(
    root: Tensor, calls: Sequence[LayerCall], blocks: Sequence[Block], per_sample: bool
) -> list[LayeredHessian | Refused]:
    """Return what has a closed form of each block."""
    # What forbids all of it whatever the loss looks like, such as a second pass through every
    # layer, is cheaper to find than what enters the loss beside them.
    owners: dict[int, list[int]] = {}
    for index, call in enumerate(calls):
        for parameter in {call.layer.weight, call.layer.bias}:
            owners.setdefault(id(parameter), []).append(index)
    refused = [_without_closed_form(Counter(), calls, owners, block) for block in blocks]
    if all(len(known) == len(b.parameters) for b, known in zip(blocks, refused, strict=True)):
        return [_first(known) for known in refused]
    terms = ParameterTerms({}, leaf_uses([root]))
    parameters = [parameter for block in blocks for parameter in block.parameters]
    if any(terms.elsewhere[id(parameter)] > 1 for parameter in parameters):
        terms = parameter_terms(root, calls, parameters)
    refused = [_without_closed_form(terms.elsewhere, calls, owners, block) for block in blocks]
    within = [
        sorted({owners[id(p)][0] for p in block.parameters if p not in known})
        for block, known in zip(blocks, refused, strict=True)
    ]
    used = sorted({index for layers in within for index in layers})
    # Linear layers whose rows are samples. Samples are what the fewest rows stand for: where rows
    # outnumber them (tokens of a flattened sequence, say), rows may interact.
    samples = min((calls[index].samples for index in used), default=0)
    single = {
        index: call
        for index, call in ((index, calls[index]) for index in used if per_sample)
        if isinstance(call.layer, nn.Linear) and call.output.ndim == 2 and call.samples == samples
    }
    patched = [index for index in used if index not in single]
    held = [calls[index] for index in used] if patched else []
    too_large = _too_large([*single.values()], held)
    if not used or too_large is not None:
        return [_first(known, too_large) for known in refused]
    slopes = adjoints(root, calls, received=bool(patched))
    cross = any(sum(index in single for index in layers) > 1 for layers in within)
    factors = layer_factors(single, slopes.deltas, cross)
    directions = Directions(calls, slopes) if patched else None
    independent = directions is not None and per_sample and directions.independent(patched, used)
    return [
        LayeredHessian(
            factors,
            # For their sizes: after the evaluation is released nothing may keep its graph.
            {index: calls[index].detached() for index in layers},
            block.parameters,
            directions,
            independent,
            {parameter: refusal.reason for parameter, refusal in known.items()},
            terms.diagonals,
        )
        if layers
        else _first(known)
        for block, layers, known in zip(blocks, within, refused, strict=True)
    ]


def _first(known: Mapping[Tensor, Refused], otherwise: Refused | None = None) -> Refused:
    """Return the refusal of the first parameter, or another if there is none."""
    return next(iter(known.values()), otherwise or Refused(""))


def _without_closed_form(
    uses: Counter[int],
    calls: Sequence[LayerCall],
    owners: Mapping[int, Sequence[int]],
    block: Block,
) -> dict[Tensor, Refused]:
    """Return which parameters have no closed form, whatever a product says, and why."""
    # A parameter must be the weight or bias of one linear or convolution layer that ran once, as a
    # linear map on patches, and must enter the loss there only, but for terms of parameters alone
    # whose second derivatives are known; ``uses`` counts how often it enters otherwise.

    def refusal(parameter: Tensor, name: str) -> str | None:
        passes = [calls[index] for index in owners.get(id(parameter), ())]
        layers = len({id(call.layer) for call in passes})
        if not passes:
            return f"{name} is not the weight or bias of a linear or convolution layer that ran"
        if layers > 1:
            return f"{name} is shared by {layers} layers"
        if len(passes) > 1:
            return f"the layer that owns {name} ran {len(passes)} times"
        unusable = passes[0].refusal()
        if unusable is not None:
            return f"the layer that owns {name} {unusable.reason}"
        if uses[id(parameter)] > 1:
            return f"{name} enters the loss in {uses[id(parameter)]} places"
        return None

    return {
        parameter: Refused(reason)
        for parameter, name in zip(block.parameters, block.names, strict=True)
        if (reason := refusal(parameter, name)) is not None
    }


def _too_large(per_sample: Sequence[LayerCall], patched: Sequence[LayerCall]) -> Refused | None:
    """Return why what the closed form holds is too large, or ``None``."""
    entries, before = 0, 0
    for call in per_sample:
        entries += call.samples * call.outputs * call.outputs
        entries += call.samples * before * (call.outputs + call.inputs)
        before += call.outputs
    for call in patched:
        entries += call.output.numel() // call.outputs * call.inputs
        entries += call.input.numel() // call.channels * call.outputs * call.offsets
    if entries <= _MAX_ENTRIES:
        return None
    return Refused(
        f"its derivatives in the layers need {entries:.2g} entries, limit {_MAX_ENTRIES:.2g}"
    )
