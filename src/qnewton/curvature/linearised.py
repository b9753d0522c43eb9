"""The closed form of a network that is linearised: the Hessian's, without the network's own."""

from collections.abc import Sequence

from torch import Tensor

from qnewton.curvature.factors import LayerFactors
from qnewton.curvature.layer_signal import LayerSignal
from qnewton.curvature.layered import LayeredHessian


def linearised(
    signals: Sequence[LayerSignal], parameters: Sequence[Tensor], signs: Tensor | None = None
) -> LayeredHessian:
    """Return Σ_ic σ_ic u_ic u_icᵀ for u_ic = d[i,c] ⊗ a[i], the columns of layers by sample.

    This is the Hessian's closed form with B^{lm} = Σ_c σ_c d_l[c] d_m[c]ᵀ and J = 0, so forming it
    takes c times fewer operations than multiplying the columns.

    Args:
        signals: Of layers that saw one vector a sample, in the order they ran.
        parameters: Each the weight or bias of one of the layers.
        signs: σ = ±1, n·c numbers; ``None`` for ones.

    Cost: n·c·(Σ out)² operations and n·(Σ out)² entries, for B.
    """
    columns = [signal.signals[:, :, 0] for signal in signals]
    signed = columns
    if signs is not None:
        width = columns[0].shape[1]
        signed = [signs.reshape(-1, width, 1) * column for column in columns]
    factors = _without_second(signals)
    calls = dict(enumerate(signal.call for signal in signals))
    for late in range(len(columns)):
        for early in range(late + 1):
            factors.second[early, late] = signed[early].mT @ columns[late]
    return LayeredHessian(factors, None, False, calls, parameters)


def linearised_flops(signals: Sequence[LayerSignal], parameters: Sequence[Tensor]) -> float:
    """Return the operations that form the entries of :func:`linearised`."""
    calls = dict(enumerate(signal.call for signal in signals))
    factors = _without_second(signals)
    return LayeredHessian(factors, None, False, calls, parameters).cost.forming_flops


def _without_second(signals: Sequence[LayerSignal]) -> LayerFactors:
    """Return the factors without B; δ counts with the network's own curvature only, so zeros do."""
    zero = signals[0].inputs.new_zeros(())
    return LayerFactors(
        inputs={m: signal.inputs[:, 0] for m, signal in enumerate(signals)},
        deltas={m: zero.expand_as(s.signals[:, 0, 0]) for m, s in enumerate(signals)},
    )
