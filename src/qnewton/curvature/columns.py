"""The columns of a curvature U Uᵀ made sample by sample, from few backward passes."""

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, flat, grad, leaf_uses
from qnewton.curvature.blocks import Block
from qnewton.curvature.generic import CHUNK, JacobianGraph
from qnewton.curvature.layered import linearised, linearised_without_second
from qnewton.curvature.layers import Layer, LayerCall, LayerSignal
from qnewton.curvature.routes import (
    LIMIT,
    Refused,
    beyond_rounding,
    compared,
    difference,
    random_like,
)
from qnewton.operators import (
    DenseFactor,
    Factor,
    KhatriRaoFactor,
    LowRankOperator,
    StackedFactor,
)

# Entries of a block's columns formed one by one, and of the signals of all layers: 1 GB in float32.
_MAX_ENTRIES = 1 << 28
# Columns of a layer that saw several positions are added up once if they take no more than this.
_FORMED_ENTRIES = 1 << 26

Owners = dict[int, list[LayerCall]]
"""The passes of each parameter whose columns they tell, by its id; none if it did not run."""


class SampleColumns:
    """U[:, (i,c)] = Jᵀ(e_i ∘ u_c): the columns that c cotangents u of the output give by sample.

    The columns of a layer that is linear in its weight are Khatri-Rao products of its inputs and
    of the signals at its output; a layer that ran several times adds up. Columns of other
    parameters take one backward pass each.

    Args:
        jacobian: J = ∂f/∂θ, with the model's output f.
        cotangents: u, shape [c, *f.shape].
        sample_dims: Leading dimensions of f that count samples.
        owners: Passes through layers.
        signals: Returns the two sides of a pass.

    Attributes:
        samples: n.
        rank: k = n·c.
        jacobian, cotangents, sample_dims: The same arguments.
    """

    def __init__(
        self,
        jacobian: JacobianGraph,
        cotangents: Tensor,
        sample_dims: int,
        owners: Owners,
        signals: Callable[[LayerCall], LayerSignal],
    ) -> None:
        self._lead = jacobian.output.shape[:sample_dims]
        self.samples = math.prod(self._lead)
        self.sample_dims = sample_dims
        self.rank = self.samples * len(cotangents)
        self.jacobian = jacobian
        self.cotangents = cotangents
        self._owners = owners
        self._calls = _in_order(owners)
        self._signal = signals

    @classmethod
    def of_graph(
        cls,
        jacobian: JacobianGraph,
        cotangents: Tensor,
        sample_dims: int,
        calls: Sequence[LayerCall],
    ) -> "SampleColumns":
        """Return the columns whose signals take c backward passes, at the first factor."""
        lead = jacobian.output.shape[:sample_dims]
        calls = [call for call in calls if call.patch_shape(lead) is not None]

        owners = _owners(jacobian, calls)

        @cache
        def made() -> dict[int, LayerSignal]:
            passes, output = _in_order(owners), jacobian.output
            outputs = [call.output for call in passes]
            found = batched_grad([output], outputs, [cotangents.to(output.dtype)])
            pairs = zip(passes, found, strict=True)
            return {id(c): c.signal(signal, lead, len(cotangents)) for c, signal in pairs}

        return cls(jacobian, cotangents, sample_dims, owners, lambda call: made()[id(call)])

    def without_layers(self) -> "SampleColumns":
        """Return the same columns, all of them by a backward pass each."""
        return SampleColumns.of_graph(self.jacobian, self.cotangents, self.sample_dims, ())

    def missing(self, block: Block) -> list[str]:
        """Return the names of the block's parameters whose columns take a pass each."""
        pairs = zip(block.names, block.parameters, strict=True)
        return [name for name, parameter in pairs if id(parameter) not in self._owners]

    def all_by_layers(self, block: Block) -> Refused | None:
        """Return which parameter of ``block`` has no columns from passes of layers, if any."""
        missing = self.missing(block)
        if not missing:
            return None
        return Refused(f"{missing[0]} is not used by linear or convolution layers alone")

    def by_layers(self, block: Block) -> bool:
        """Return whether a parameter of ``block`` has its columns from passes of its layer."""
        return any(self._owners.get(id(p)) for p in block.parameters)

    def columns_apart(self, block: Block) -> int:
        """Return the backward passes that the factor of ``block`` takes, one for each column."""
        return self.rank if self.missing(block) else 0

    def refusal(self, block: Block) -> Refused | None:
        """Return what forbids the factor of ``block``, or ``None``."""
        others = sum(p.numel() for p in block.parameters if id(p) not in self._owners)
        if others * self.rank > _MAX_ENTRIES:
            return Refused(
                f"columns of {self.missing(block)[0]} need {others * self.rank:.2g} entries, "
                f"limit {_MAX_ENTRIES:.2g}"
            )
        entries = len(self.cotangents) * sum(call.output.numel() for call in self._calls)
        shapes = [call.patch_shape(self._lead) for call in self._calls]
        entries += sum(self.samples * math.prod(shape) for shape in shapes if shape is not None)
        if entries <= _MAX_ENTRIES:
            return None
        return Refused(f"inputs and signals need {entries:.2g} entries, limit {_MAX_ENTRIES:.2g}")

    def layered(self, block: Block) -> list[LayerCall] | Refused:
        """Return the passes of the block, as they ran, if its entries have a closed form.

        Every parameter must belong to one pass of a layer that saw one vector per sample.
        """
        owners = [self._owners.get(id(parameter), []) for parameter in block.parameters]
        beside = self.all_by_layers(block)
        if beside is not None:
            return beside
        if any(len(calls) != 1 for calls in owners):
            return Refused("a parameter belongs to several passes of layers, or to none")
        wanted = {id(calls[0]) for calls in owners}
        passes = [call for call in self._calls if id(call) in wanted]
        shapes = [call.patch_shape(self._lead) for call in passes]
        if any(shape is None or shape[0] != 1 for shape in shapes):
            return Refused("a layer sees several positions of a sample")
        entries = self.samples * sum(call.outputs for call in passes) ** 2
        if entries > _MAX_ENTRIES:
            limit = f"limit {_MAX_ENTRIES:.2g}"
            return Refused(f"B of all layers needs {entries:.2g} entries, {limit}")
        return passes

    def signals(self, passes: Sequence[LayerCall]) -> list[LayerSignal]:
        """Return the two sides of passes."""
        return [self._signal(call) for call in passes]

    def low_rank(self, block: Block) -> tuple[LowRankOperator, float]:
        """Return U Uᵀ of ``block`` and the operations that form its entries."""
        factor, passes = self.factor(block), self.layered(block)
        if isinstance(passes, Refused):
            return LowRankOperator(factor), float(block.n) ** 2 * self.rank
        signals, parameters = self.signals(passes), block.parameters
        operator = LowRankOperator(factor, outer=lambda: linearised(signals, parameters).dense())
        return operator, linearised_without_second(signals, parameters).cost.forming_flops

    def factor(self, block: Block) -> Factor:
        """Return U of ``block``, its rows in the order of the block's parameters."""
        others = [p for p in block.parameters if id(p) not in self._owners]
        formed = dict(zip(map(id, others), self._one_by_one(others), strict=True))
        rows = [formed.get(id(p)) or self._from_layers(p) for p in block.parameters]
        return rows[0] if len(rows) == 1 else StackedFactor(rows)

    def is_formed(self, parameter: Tensor) -> bool:
        """Return whether the columns of a weight are added up over positions once."""
        few = parameter.numel() * self.samples <= _FORMED_ENTRIES
        return len(self.cotangents) == 1 and few

    def compared(
        self, factor: Factor, parameters: Sequence[Tensor], product: str = "a random product"
    ) -> str | Refused:
        """Compare U·y with Jᵀ Σ_ic y[i,c] (e_i ∘ u_c), y random: one backward pass."""
        y = random_like(parameters[0].detach(), (self.rank,))
        weights = self._by_sample(y.view(*self._lead, -1).movedim(-1, 0))
        cotangent = (self.cotangents * weights).sum(0)
        output = self.jacobian.output
        expected = flat(grad(output, parameters, cotangent.to(output.dtype)), parameters)
        return compared(
            factor @ y,
            expected,
            off="the factor's random product",
            since="samples interact in the network",
            agreeing=product,
        )

    def interact(self, block: Block) -> Refused | None:
        """Return a refusal where one sample's layers reach another sample's output.

        With u random and w one random factor per sample, the signals of w∘u at the layers of
        ``block`` are w∘(those of u) only if no output of theirs of one sample reaches the
        network's output of another. ``None`` where that holds; :meth:`compared` has the last word.
        """
        calls = {id(c): c for p in block.parameters for c in self._owners.get(id(p), ())}
        outputs = [call.output for call in calls.values()]
        if not outputs or self.samples < 2:
            return None
        output = self.jacobian.output
        plain = random_like(self.cotangents, output.shape)
        factors = random_like(self.cotangents, self._lead, draw=1)
        both = torch.stack([plain, self._by_sample(factors) * plain])
        limit = LIMIT[self.cotangents.dtype]
        for found in batched_grad([output], outputs, [both.to(output.dtype)]):
            if found is None:
                continue
            rows = found.to(factors.dtype).reshape(2, self.samples, -1)
            off = difference(rows[1], factors.reshape(-1, 1) * rows[0])
            if beyond_rounding(off, limit):
                return Refused(
                    f"a product of samples weighed apart is off by {off:.2g}, limit "
                    f"{limit:.0g}: samples interact in the network",
                    lasting=True,
                )
        return None

    def _by_sample(self, numbers: Tensor) -> Tensor:
        """Return one number for each sample, [..., *lead], to be multiplied with the output."""
        return numbers[(..., *[None] * (self.jacobian.output.ndim - self.sample_dims))]

    def _from_layers(self, parameter: Tensor) -> Factor:
        found = self.signals(self._owners[id(parameter)])
        if not found:
            return DenseFactor(parameter.new_zeros(()).expand(parameter.numel(), self.rank))
        layer = found[0].call.layer
        signals = torch.cat([signal.signals for signal in found], dim=2)
        if parameter is not layer.weight:
            return DenseFactor(signals.sum(2).flatten(0, 1).mT)
        inputs = torch.cat([signal.inputs for signal in found], dim=1)
        if not isinstance(layer, Layer):
            return DenseFactor((signals * inputs[:, None]).sum(2).flatten(0, 1).mT)
        if inputs.shape[1] > 1 and self.is_formed(parameter):
            # Summed over positions once; every product then costs T times less.
            return DenseFactor((signals[:, 0].mT @ inputs).flatten(1).mT)
        return KhatriRaoFactor(inputs, signals)

    def _one_by_one(self, parameters: Sequence[Tensor]) -> list[Factor]:
        """Return the rows of ``parameters``, one backward pass per column, several in a batch."""
        if not parameters:
            return []
        sizes = [parameter.numel() for parameter in parameters]
        signals = len(self.cotangents)
        columns = parameters[0].detach().new_empty(self.rank, sum(sizes))
        apart = self.cotangents.reshape(signals, self.samples, -1)
        for index in torch.arange(self.rank, device=apart.device).split(CHUNK):
            sample, signal = index // signals, index % signals
            cotangents = apart.new_zeros((len(index), *apart.shape[1:]))
            cotangents[index - index[0], sample] = apart[signal, sample]
            cotangents = cotangents.view(-1, *self.jacobian.output.shape)
            columns[index] = self.jacobian.backward(parameters, cotangents)
        return [DenseFactor(rows.mT) for rows in columns.split(sizes, dim=1)]


def _in_order(owners: Owners) -> list[LayerCall]:
    """Return all passes in the order they ran."""
    return list({id(call): call for passes in owners.values() for call in passes}.values())


def _owners(jacobian: JacobianGraph, calls: Sequence[LayerCall]) -> Owners:
    """Return the passes of each parameter that the output reaches through them alone, or never."""
    uses = leaf_uses([jacobian.output])
    owners: Owners = {id(p): [] for p in jacobian.parameters if not uses[id(p)]}
    for call in calls:
        for parameter in call.layer.parameters():
            if uses[id(parameter)]:
                owners.setdefault(id(parameter), []).append(call)
    return {key: passes for key, passes in owners.items() if uses[key] == len(passes)}
