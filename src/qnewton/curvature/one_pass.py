"""The empirical Fisher of every layer from the backward pass that gave the gradient."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qnewton.curvature.agreement import LIMIT, difference, random_like
from qnewton.curvature.autograd import leaf_uses
from qnewton.curvature.blocks import Block
from qnewton.curvature.khatri_rao import KhatriRaoFactor
from qnewton.curvature.layer_signal import LayerSignal, layer_signal, patch_shape
from qnewton.curvature.linearised import linearised, linearised_flops
from qnewton.curvature.once_only import not_twice_differentiable
from qnewton.curvature.output_loss import OutputLoss, past_output
from qnewton.curvature.outputs import single_output
from qnewton.curvature.patches import layers_of
from qnewton.curvature.sample_mean import Reduction, sample_mean
from qnewton.curvature.signals import LayerPass, SignalRecorder
from qnewton.operators import (
    DenseFactor,
    Factor,
    LowRankOperator,
    StackedFactor,
    SymmetricOperator,
)
from qnewton.records import CurvatureRecord

MAX_BLOCK_BYTES = 1 << 31
"""Bytes of one block's factor; a larger one is refused before it is allocated."""

# Columns of a layer that saw several positions are added up once if they take no more than this.
_FORMED_ENTRIES = 1 << 26
# The loss is differentiated twice to see whether it couples samples if its input has no more.
_PROBED_ENTRIES = 1 << 26


class OnePassFisher:
    """F = (1/m) Σ g_i g_iᵀ a block, g_i from the inputs and output gradients of its layers.

    A linear layer's column is g_i = m Σ_t δ_it ⊗ a_it with δ = ∂L/∂s at its output and a its
    input at position t; a normalisation's weight has m Σ_t δ_it ∘ x̂_it and its bias m Σ_t δ_it.
    All are known after the one backward pass that gives the gradient. What a sample is, and what
    is left out, is as in :func:`~qnewton.curvature.fisher.fisher_operators`.

    The first pass of given shapes is checked: a random product of all blocks against one more
    backward pass, and the loss for coupling between samples where its input is small enough to
    differentiate it twice. Later passes of the same shapes, whose parameters enter the loss as
    often, are believed.

    Args:
        model: The module.
        blocks: The blocks, on the diagonal of F.

    Attributes:
        recorder: Has to watch the closure.
    """

    def __init__(self, model: nn.Module, blocks: Sequence[Block]) -> None:
        self._blocks = tuple(blocks)
        parameters = [p for block in blocks for p in block.parameters]
        self.recorder = SignalRecorder(model, parameters)
        self._linear = {id(layer) for layer in layers_of(model)}
        self._checked: dict[tuple[Any, ...], str] = {}

    @property
    def possible(self) -> bool:
        """Whether every parameter belongs to a layer whose columns are known."""
        return self.recorder.covers_all

    def operators(
        self, root: Tensor, reduction: Reduction | None
    ) -> list[tuple[SymmetricOperator, CurvatureRecord]] | str:
        """Return each block's operator, or why there is none from this pass.

        Args:
            root: Live root of the evaluation.
            reduction: What the loss is of its samples' losses; ``None`` to look.

        Raises:
            ValueError: If the model was not called once, samples interact in the loss, nothing
                tells over how many it is a mean, or a block needs more bytes than
                :data:`MAX_BLOCK_BYTES`.

        Cost: 2n·T·in·out operations a linear layer; at the first pass of some shapes one more
        backward pass.
        """
        output = single_output(self.recorder.outputs)
        if output.ndim == 0 or self.recorder.output_gradient is None:
            return "the output is a number, or no gradient reached it"
        lead = output.shape[:1]
        mean = sample_mean(root, output, self.recorder.output_gradient, reduction)
        scale = math.sqrt(mean.counted)
        obstacle = self._obstacle(lead)
        if obstacle is not None:
            return obstacle
        for block in self._blocks:
            self._check_bytes(block, lead[0])
        factors = [self._factor(block, lead, scale) for block in self._blocks]
        reason = self._verdict(root, output, factors, scale)
        if reason is None:
            return "samples interact in the network, or a parameter is used outside its layer"
        reason += mean.note
        pairs = zip(self._blocks, factors, strict=True)
        return [self._operator(block, factor, lead, scale, reason) for block, factor in pairs]

    def _operator(
        self, block: Block, factor: Factor, lead: torch.Size, scale: float, reason: str
    ) -> tuple[SymmetricOperator, CurvatureRecord]:
        signals = self._single_signals(block, lead, scale)
        if signals is None:
            operator, flops = LowRankOperator(factor), float(block.n) ** 2 * lead[0]
        else:
            parameters = block.parameters
            entries = linearised(signals, parameters).dense
            operator = LowRankOperator(factor, outer=entries)
            flops = linearised_flops(signals, parameters)
        record = CurvatureRecord(
            kind="fisher",
            route="sample-space",
            reason=reason,
            forming_flops=flops,
            batch=lead[0],
        )
        return operator, record

    def _single_signals(
        self, block: Block, lead: torch.Size, scale: float
    ) -> list[LayerSignal] | None:
        """Return the block's layers if each ran once on one vector a sample, else ``None``."""
        passes: dict[int, LayerPass] = {}
        for parameter in block.parameters:
            seen = self._passes(parameter)
            if len(seen) != 1 or id(seen[0].layer) not in self._linear:
                return None
            passes[id(seen[0])] = seen[0]
        shapes = [patch_shape(seen.as_call(), lead) for seen in passes.values()]
        if any(shape is None or shape[0] != 1 for shape in shapes):
            return None
        if lead[0] * sum(seen.output.shape[-1] for seen in passes.values()) ** 2 > _FORMED_ENTRIES:
            return None
        return [_signal(seen, lead, scale) for seen in passes.values()]

    def _passes(self, parameter: Tensor) -> list[LayerPass]:
        return [
            seen
            for passes in self.recorder.passes.values()
            for seen in passes
            if any(p is parameter for p in seen.layer.parameters())
        ]

    def _obstacle(self, lead: torch.Size) -> str | None:
        for passes in self.recorder.passes.values():
            for seen in passes:
                if id(seen.layer) in self._linear:
                    usable = patch_shape(seen.as_call(), lead) is not None
                else:
                    usable = seen.output.ndim > 1 and seen.output.shape[:1] == lead
                if not usable:
                    return f"a layer's input of shape {tuple(seen.input.shape)} hides its samples"
        return None

    def _check_bytes(self, block: Block, samples: int) -> None:
        needed = sum(self._entries(p, samples) for p in block.parameters)
        needed *= block.parameters[0].element_size()
        if needed > MAX_BLOCK_BYTES:
            raise ValueError(
                f"the Fisher block {block.name!r} of N = {block.n:,} needs {needed:,} bytes, limit "
                f"{MAX_BLOCK_BYTES:,}; let larger blocks take first-order steps (max_newton), or "
                "use a smaller batch"
            )

    def _entries(self, parameter: Tensor, samples: int) -> int:
        """Return the entries that hold the columns of ``parameter``: formed, or as vectors."""
        formed = parameter.numel() * samples
        if parameter.ndim == 1 or formed <= _FORMED_ENTRIES:
            return formed
        return sum(p.input.numel() + p.output.numel() for p in self._passes(parameter))

    def _factor(self, block: Block, lead: torch.Size, scale: float) -> Factor:
        rows = [self._rows(parameter, lead, scale) for parameter in block.parameters]
        return rows[0] if len(rows) == 1 else StackedFactor(rows)

    def _rows(self, parameter: Tensor, lead: torch.Size, scale: float) -> Factor:
        passes = [seen for seen in self._passes(parameter) if seen.signal is not None]
        if not passes:
            return DenseFactor(parameter.new_zeros(()).expand(parameter.numel(), lead[0]))
        if id(passes[0].layer) not in self._linear:
            return DenseFactor(_scale_rows(passes, parameter, scale))
        found = [_signal(seen, lead, scale) for seen in passes]
        signals = torch.cat([signal.signals for signal in found], dim=2)
        if parameter is passes[0].layer.bias:
            return DenseFactor(signals.sum(2).flatten(0, 1).mT)
        inputs = torch.cat([signal.inputs for signal in found], dim=1)
        if inputs.shape[1] > 1 and parameter.numel() * lead[0] <= _FORMED_ENTRIES:
            # Summed over positions once; every product then costs T times less.
            return DenseFactor((signals[:, 0].mT @ inputs).flatten(1).mT)
        return KhatriRaoFactor(inputs, signals)

    def _verdict(
        self, root: Tensor, output: Tensor, factors: Sequence[Factor], scale: float
    ) -> str | None:
        """Return what a check of these shapes found, or ``None`` if the factors are wrong."""
        shapes = tuple(
            seen.output.shape for passes in self.recorder.passes.values() for seen in passes
        )
        parameters = [p for block in self._blocks for p in block.parameters]
        uses = leaf_uses([root])
        key = (output.shape, shapes, tuple(uses[id(p)] for p in parameters))
        if key in self._checked:
            return f"checked at an earlier pass of these shapes: {self._checked[key]}"
        coupling = self._coupling(root, output)
        weights = random_like(parameters[0].detach(), output.shape[:1])
        gradient = self.recorder.output_gradient
        assert gradient is not None
        cotangent = scale * gradient * weights.view(-1, *[1] * (output.ndim - 1)).to(gradient.dtype)
        try:
            found = torch.autograd.grad(
                output, parameters, cotangent, retain_graph=True, allow_unused=True
            )
        except RuntimeError as error:
            raise not_twice_differentiable(error) from error
        pairs = zip(parameters, found, strict=True)
        flat = [(torch.zeros_like(p) if g is None else g).flatten() for p, g in pairs]
        mine = torch.cat([factor @ weights for factor in factors])
        off, limit = difference(mine, torch.cat(flat)), LIMIT[weights.dtype]
        if off > limit:
            return None
        names = [name for block in self._blocks for name in block.names]
        around = past_output(root, output, names, parameters)
        text = f"a random product of all blocks agrees to {off:.1g}, limit {limit:.0g}; {coupling}"
        if around is not None:
            text += f"; left out: how the loss itself depends on {around}"
        self._checked[key] = text
        return text

    def _coupling(self, root: Tensor, output: Tensor) -> str:
        if output.numel() > _PROBED_ENTRIES:
            return (
                f"assumed, not checked: no samples interact in a loss of {output.numel():.2g} "
                "outputs"
            )
        if OutputLoss(root, output, output.dtype).couples_samples():
            raise ValueError(
                "samples interact in the loss, so there is no gradient of a single sample; use "
                "kind='ggn' or kind='hessian'"
            )
        return "no samples interact in the loss"


def _signal(seen: LayerPass, lead: torch.Size, scale: float) -> LayerSignal:
    signal = None if seen.signal is None else scale * seen.signal[None]
    return layer_signal(seen.as_call(), signal, lead, 1)


def _scale_rows(passes: Sequence[LayerPass], parameter: Tensor, scale: float) -> Tensor:
    """Return the columns of a normalisation's weight or bias, shape [N, n]."""
    total = None
    for seen in passes:
        assert seen.signal is not None
        signal = scale * seen.signal.to(parameter.dtype)
        if parameter is seen.layer.weight:
            signal = signal * seen.normalised().to(parameter.dtype)
        rows = signal.reshape(len(signal), -1, parameter.numel()).sum(1).mT
        total = rows if total is None else total + rows
    assert total is not None
    return total
