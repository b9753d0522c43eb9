"""Rows of the Hessian by differentiating δ along directions in the weights of layers."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from qnewton.curvature.adjoints import Adjoints
from qnewton.curvature.autograd import batched_grad
from qnewton.curvature.patches import LayerCall

# Entries of the largest activation times the directions in a batch: what one operation reads and
# writes then stays in a core's cache, and small networks still share the cost of each call.
_BATCH_ENTRIES = 1 << 21
_MAX_BATCH = 256

# Cotangents [K, *shape] beside the tensors they belong to.
Seeds = list[tuple[Tensor, Tensor]]
# C [K, n, units, T] and R [K, n, channels, X] of each target; ``None`` is zero.
Found = dict[int, tuple[Tensor | None, Tensor | None]]


class Directions:
    """Second derivatives of a loss along directions in the weights of layers on patches.

    A direction V in layer l moves s_l by U_l·V (by V itself in the bias). With
    φ = Σ_{n,t} δ_l·(U_l V), differentiating through activations only gives at every layer m

        C_m = ∂φ/∂s_m,    R_m = ∂φ/∂γ_m (how V moves the input of m),

    and the row of the Hessian

        (H V)_m[q,r] = Σ_n ( Σ_t C_m[n,q,t] U_m[n,t,r] + Σ_x D_m[n,x,q,o] R_m[n,c,x] ),  r = (c,o),

    where D is δ laid over input positions (:meth:`LayerCall.spread`). C and R come from the layers
    after l alone; for layers before l, φ is also differentiated through U_l. Samples may interact.

    Args:
        calls: The layers, in the order they ran, each once.
        adjoints: Their δ and γ.

    Reference: the R-operator of Pearlmutter 1994 (Neural Computation 6:147), restricted to
    activations, with the weights' part as matrix products.
    """

    def __init__(self, calls: Sequence[LayerCall], adjoints: Adjoints) -> None:
        self.calls = tuple(calls)
        self._adjoints = adjoints
        self._patches: dict[int, Tensor] = {}
        self._spread: dict[int, Tensor] = {}

    def along(
        self, directions: Mapping[int, tuple[Tensor, Tensor | None]], targets: Sequence[int]
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Return H V at ``targets`` for one direction V through several layers at once.

        Args:
            directions: For each layer that moves, how its weight [out, in] and its bias [out] do.
            targets: Layers to return the product at.

        Returns:
            For each target the product at its weight, [out·in], and at its bias, [out].

        Cost: one double backward pass through activations and 4·n·T·in·out operations a layer.
        """
        seeds: Seeds = []
        for layer, (weight, bias) in directions.items():
            call = self.calls[layer]
            moved = self.patches(layer) @ weight.mT
            moved = moved if bias is None else moved + bias
            seeds += self.seeds(layer, moved.mT[None], None)
            if call.input.requires_grad:
                kernel = weight.unflatten(1, (call.channels, call.offsets)).transpose(1, 2)
                moved = self.spread(layer).flatten(2) @ kernel.flatten(0, 1)
                seeds += self.seeds(layer, None, moved.mT[None])
        found = self.differentiate(seeds, targets)
        rows = {m: self.contract(m, *pair, count=1) for m, pair in found.items()}
        return {m: (weight[0], bias[0]) for m, (weight, bias) in rows.items()}

    def batch(self, layer: int, before: bool) -> int:
        """Return how many directions of a layer to differentiate together.

        Args:
            layer: The layer.
            before: Whether passes go on to layers before it.
        """
        reached = self.calls if before else self.calls[layer:]
        largest = max(max(call.output.numel(), call.input.numel()) for call in reached)
        return min(max(1, _BATCH_ENTRIES // max(1, largest)), _MAX_BATCH)

    def seeds(self, layer: int, at_output: Tensor | None, at_input: Tensor | None) -> Seeds:
        """Return a layer's δ and input with their cotangents, given as [K, n, channels, places]."""
        call, found = self.calls[layer], []
        if at_output is not None:
            found.append((self._adjoints.deltas[layer], call.shaped(at_output, call.output)))
        if at_input is not None:
            found.append((call.input, call.shaped(at_input, call.input)))
        return found

    def differentiate(self, seeds: Seeds, targets: Sequence[int]) -> Found:
        """Return C and R of every target, in the dtype of the weights.

        Cost: one double backward pass a cotangent.
        """
        live = [(output, cotangent) for output, cotangent in seeds if output.requires_grad]
        if not live:
            return dict.fromkeys(targets, (None, None))
        received = {m: self._adjoints.received[m] for m in targets}
        inputs = [self.calls[m].output for m in targets]
        inputs += [gamma for gamma in received.values() if gamma is not None]
        cotangents = [cotangent.to(output.dtype) for output, cotangent in live]
        found = batched_grad([output for output, _ in live], inputs, cotangents)
        rest = iter(found[len(targets) :])
        pairs = {
            m: (inner, None if received[m] is None else next(rest))
            for m, inner in zip(targets, found, strict=False)
        }
        return {m: (self._numbers(m, c), self._numbers(m, r)) for m, (c, r) in pairs.items()}

    def _numbers(self, layer: int, derivative: Tensor | None) -> Tensor | None:
        call = self.calls[layer]
        if derivative is None:
            return None
        return call.by_channel(derivative).to(call.layer.weight.dtype)

    def contract(
        self, layer: int, inner: Tensor | None, moved: Tensor | None, count: int
    ) -> tuple[Tensor, Tensor]:
        """Return K rows at a layer's parameters from C and R.

        Args:
            layer: The target.
            inner: C of its last units, [K, n, units, T].
            moved: R, [K, n, channels, X]; then C, if any, is of all units.
            count: K.

        Returns:
            Rows at the weights of those units, [K, units·in], and at their biases, [K, units].
        """
        call = self.calls[layer]
        units = call.outputs if inner is None else inner.shape[2]
        weight = call.layer.weight.new_zeros((count, units, call.inputs))
        bias = weight.new_zeros((count, units))
        if inner is not None:
            patches = self.patches(layer).flatten(0, 1)
            wanted = inner.transpose(1, 2).reshape(-1, len(patches))
            weight, bias = (wanted @ patches).view_as(weight), wanted.sum(1).view_as(bias)
        if moved is not None:
            spread = self.spread(layer).flatten(0, 1).flatten(1)
            turned = moved.transpose(1, 2).reshape(-1, len(spread)) @ spread
            turned = turned.view(count, call.channels, -1, call.offsets).transpose(1, 2)
            weight = weight + turned.flatten(2)
        return weight.flatten(1), bias

    def patches(self, layer: int) -> Tensor:
        """Return U of a layer, [n, T, in]."""
        if layer not in self._patches:
            self._patches[layer] = self.calls[layer].patches()
        return self._patches[layer]

    def spread(self, layer: int) -> Tensor:
        """Return D of a layer, [n, X, out, offsets]."""
        if layer not in self._spread:
            call = self.calls[layer]
            delta = self._adjoints.deltas[layer].detach().to(call.layer.weight.dtype)
            self._spread[layer] = call.spread(call.by_channel(delta))
        return self._spread[layer]
