"""The factor U of a curvature U Uᵀ made sample by sample, from few backward passes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from qnewton.curvature.agreement import LIMIT, beyond_rounding, difference, random_like
from qnewton.curvature.autograd import batched_grad, leaf_uses
from qnewton.curvature.blocks import Block
from qnewton.curvature.jacobian import JacobianGraph
from qnewton.curvature.khatri_rao import KhatriRaoFactor
from qnewton.curvature.layer_signal import LayerSignal, layer_signal, patch_shape
from qnewton.curvature.linearised import linearised, linearised_flops
from qnewton.curvature.patches import LayerCall
from qnewton.curvature.probe import Verdict
from qnewton.operators import DenseFactor, Factor, LowRankOperator, StackedFactor

# Entries of a block's columns formed one by one, and of the signals of all layers: 1 GB in float32.
_MAX_ENTRIES = 1 << 28
# Columns differentiated in one batch.
_CHUNK = 32


class SampleFactors:
    """U[:, (i,c)] = Jᵀ(e_i ∘ u_c): the columns that c cotangents u of the output give by sample.

    c backward passes give the columns of every layer that is linear in its weight (``nn.Linear``,
    ``nn.Conv1d``, ``nn.Conv2d``), as Khatri-Rao products of its inputs and the signals at its
    output; a layer that ran several times adds up. Columns of other parameters take one backward
    pass each.

    Args:
        output: The model's output f.
        cotangents: u, shape [c, *f.shape].
        sample_dims: Leading dimensions of f that count samples.
        calls: Passes through layers.
        jacobian: J = ∂f/∂θ.

    Attributes:
        samples: n.
        sample_dims: The same argument.
        rank: k = n·c.

    Cost: c backward passes through activations, at the first factor.
    """

    def __init__(
        self,
        output: Tensor,
        cotangents: Tensor,
        sample_dims: int,
        calls: Sequence[LayerCall],
        jacobian: JacobianGraph,
    ) -> None:
        self.samples = math.prod(output.shape[:sample_dims])
        self.sample_dims = sample_dims
        self.rank = self.samples * cotangents.shape[0]
        self._output = output
        self._cotangents = cotangents
        self._lead = output.shape[:sample_dims]
        self._jacobian = jacobian
        calls = [call for call in calls if patch_shape(call, self._lead) is not None]
        self._owners = _owners(output, jacobian.parameters, calls)
        self._calls = [
            call for call in calls if any(id(p) in self._owners for p in call.layer.parameters())
        ]
        self._found: dict[int, LayerSignal] | None = None

    def missing(self, block: Block) -> list[str]:
        """Return the names of the block's parameters whose columns take a pass each."""
        known = self._owners
        pairs = zip(block.names, block.parameters, strict=True)
        return [name for name, parameter in pairs if id(parameter) not in known]

    def by_layers(self, block: Block) -> bool:
        """Return whether a parameter of ``block`` has its columns from passes of its layer."""
        return any(self._owners.get(id(p)) for p in block.parameters)

    def columns_apart(self, block: Block) -> int:
        """Return the backward passes that the factor of ``block`` takes, one for each column."""
        return self.rank if self.missing(block) else 0

    def obstacle(self, block: Block) -> str | None:
        """Return what forbids the factor of ``block``, or ``None``."""
        others = sum(p.numel() for p in block.parameters if id(p) not in self._owners)
        if others * self.rank > _MAX_ENTRIES:
            return (
                f"columns of {self.missing(block)[0]} need {others * self.rank:.2g} entries, "
                f"limit {_MAX_ENTRIES:.2g}"
            )
        entries = self._cotangents.shape[0] * sum(call.output.numel() for call in self._calls)
        shapes = [patch_shape(call, self._lead) for call in self._calls]
        entries += sum(self.samples * math.prod(shape) for shape in shapes if shape is not None)
        if entries > _MAX_ENTRIES:
            return f"inputs and signals need {entries:.2g} entries, limit {_MAX_ENTRIES:.2g}"
        return None

    def layered_obstacle(self, block: Block) -> str | None:
        """Return what forbids the closed form of ``block``, or ``None``.

        Every parameter must belong to one pass of a layer that saw one vector a sample.
        """
        obstacle = self.obstacle(block)
        if obstacle is not None:
            return obstacle
        passes = self._passes(block)
        if passes is None:
            missing = self.missing(block)
            if missing:
                return f"{missing[0]} is not used by linear or convolution layers alone"
            return "a parameter belongs to several passes of layers, or to none"
        shapes = [patch_shape(call, self._lead) for call in passes]
        if any(shape is None or shape[0] != 1 for shape in shapes):
            return "a layer sees several positions of a sample"
        entries = self.samples * sum(call.layer.weight.shape[0] for call in passes) ** 2
        if entries > _MAX_ENTRIES:
            return f"B of all layers needs {entries:.2g} entries, limit {_MAX_ENTRIES:.2g}"
        return None

    def signals(self, block: Block) -> list[LayerSignal]:
        """Return the signals of the block's layers as they ran, or none if it has others, too."""
        return [self._signals()[id(call)] for call in self._passes(block) or ()]

    def low_rank(self, block: Block) -> tuple[LowRankOperator, float]:
        """Return U Uᵀ of ``block`` and the operations that form its entries."""
        factor, parameters = self.factor(block), block.parameters
        if self.layered_obstacle(block) is not None:
            n = float(block.n)
            return LowRankOperator(factor), n * n * self.rank
        signals = self.signals(block)
        operator = LowRankOperator(factor, outer=lambda: linearised(signals, parameters).dense())
        return operator, linearised_flops(signals, parameters)

    def factor(self, block: Block) -> Factor:
        """Return U of ``block``, its rows in the order of the block's parameters."""
        others = [p for p in block.parameters if id(p) not in self._owners]
        formed = dict(zip(map(id, others), self._columns(others), strict=True))
        rows = [
            formed[id(p)] if id(p) in formed else self._from_layers(p) for p in block.parameters
        ]
        return rows[0] if len(rows) == 1 else StackedFactor(rows)

    def verdict(self, factor: Factor, block: Block) -> Verdict:
        """Compare U·y with Jᵀ Σ_ic y[i,c] (e_i ∘ u_c), y random.

        Cost: one backward pass and one product.
        """
        y = random_like(block.parameters[0].detach(), (self.rank,))
        weights = y.view(*self._lead, -1).movedim(-1, 0)
        trailing = self._output.ndim - len(self._lead)
        cotangent = (self._cotangents * weights[(..., *[None] * trailing)]).sum(0)
        expected = self._jacobian.backward(block.parameters, cotangent[None])[0]
        off, limit = difference(factor @ y, expected), LIMIT[y.dtype]
        if off <= limit:
            return Verdict(True, f"a random product agrees to {off:.1g}, limit {limit:.0g}")
        return Verdict(
            False,
            f"the factor's random product is off by {off:.2g}, limit {limit:.0g}: samples "
            "interact in the network",
            structural=beyond_rounding(off, limit),
        )

    def interact(self, block: Block) -> Verdict | None:
        """Return a verdict against the factor where one sample's layers reach another's output.

        With u random and w one random factor a sample, the signals of w∘u at the layers of
        ``block`` are w∘(those of u) only if no output of theirs of one sample reaches the
        network's output of another. ``None`` where that holds; :meth:`verdict` has the last word.

        Cost: two backward passes through activations, far fewer than the factor takes.
        """
        calls = {id(c): c for p in block.parameters for c in self._owners.get(id(p), ())}
        outputs = [call.output for call in calls.values()]
        if not outputs or self.samples < 2:
            return None
        lead = len(self._lead)
        plain = random_like(self._cotangents, self._output.shape)
        factors = random_like(self._cotangents, self._lead, draw=1)
        both = torch.stack([plain, factors.view(*self._lead, *[1] * (plain.ndim - lead)) * plain])
        limit = LIMIT[self._cotangents.dtype]
        for found in batched_grad([self._output], outputs, [both.to(self._output.dtype)]):
            if found is None:
                continue
            rows = found.to(factors.dtype).reshape(2, self.samples, -1)
            off = difference(rows[1], factors.reshape(-1, 1) * rows[0])
            if beyond_rounding(off, limit):
                return Verdict(
                    False,
                    f"a product of samples weighed apart is off by {off:.2g}, limit "
                    f"{limit:.0g}: samples interact in the network",
                    structural=True,
                )
        return None

    def without_layers(self) -> "SampleFactors":
        """Return the same columns, all of them by a backward pass each."""
        lead = len(self._lead)
        return SampleFactors(self._output, self._cotangents, lead, (), self._jacobian)

    def _passes(self, block: Block) -> list[LayerCall] | None:
        """Return the passes that the block's parameters belong to, if to one each, as they ran."""
        owners = [self._owners.get(id(parameter), []) for parameter in block.parameters]
        if any(len(calls) != 1 for calls in owners):
            return None
        wanted = {id(calls[0]) for calls in owners}
        return [call for call in self._calls if id(call) in wanted]

    def _signals(self) -> dict[int, LayerSignal]:
        if self._found is None:
            outputs = [call.output for call in self._calls]
            cotangents = self._cotangents.to(self._output.dtype)
            found = batched_grad([self._output], outputs, [cotangents]) if outputs else []
            self._found = {
                id(call): layer_signal(call, signal, self._lead, len(self._cotangents))
                for call, signal in zip(self._calls, found, strict=True)
            }
        return self._found

    def _from_layers(self, parameter: Tensor) -> Factor:
        found = [self._signals()[id(call)] for call in self._owners[id(parameter)]]
        if not found:
            return DenseFactor(parameter.new_zeros(()).expand(parameter.numel(), self.rank))
        signals = torch.cat([signal.signals for signal in found], dim=2)
        if parameter is found[0].call.layer.bias:
            return DenseFactor(signals.sum(2).flatten(0, 1).mT)
        return KhatriRaoFactor(torch.cat([signal.inputs for signal in found], dim=1), signals)

    def _columns(self, parameters: Sequence[Tensor]) -> list[Factor]:
        """Return the rows of ``parameters``, one backward pass a column, several in a batch."""
        if not parameters:
            return []
        example = parameters[0]
        n = sum(parameter.numel() for parameter in parameters)
        signals = self._cotangents.shape[0]
        columns = torch.empty(self.rank, n, dtype=example.dtype, device=example.device)
        flat = self._cotangents.reshape(signals, self.samples, -1)
        for start in range(0, self.rank, _CHUNK):
            index = torch.arange(start, min(start + _CHUNK, self.rank), device=flat.device)
            sample, signal, place = index // signals, index % signals, index - start
            cotangents = flat.new_zeros((len(index), *flat.shape[1:]))
            cotangents[place, sample] = flat[signal, sample]
            cotangents = cotangents.view(-1, *self._output.shape)
            columns[start : start + len(index)] = self._jacobian.backward(parameters, cotangents)
        sizes = [parameter.numel() for parameter in parameters]
        return [DenseFactor(rows.mT) for rows in columns.split(sizes, dim=1)]


def _owners(
    output: Tensor, parameters: Sequence[Tensor], calls: Sequence[LayerCall]
) -> dict[int, list[LayerCall]]:
    """Return the passes of each parameter that the output reaches through them alone, or never."""
    uses = leaf_uses([output])
    owners: dict[int, list[LayerCall]] = {id(p): [] for p in parameters if not uses[id(p)]}
    for call in calls:
        for parameter in call.layer.parameters():
            if uses[id(parameter)]:
                owners.setdefault(id(parameter), []).append(call)
    return {key: passes for key, passes in owners.items() if uses[key] == len(passes)}
