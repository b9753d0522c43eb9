"""The exact Hessian of a network of linear and convolution layers, in closed form."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, combinations_with_replacement

import torch
from torch import Tensor

from qnewton.curvature.blocks import unknowns
from qnewton.curvature.directions import Directions, LayerRows
from qnewton.curvature.entries import WORKSPACE_ENTRIES, fill_cross, fill_own, own_flops
from qnewton.curvature.generic import BlockHessian, CurvatureProducts
from qnewton.curvature.layers import LayerCall, LayerFactors, LayerSignal, Place, places
from qnewton.curvature.routes import Refused, Scale, SourceCost, compared, random_like
from qnewton.operators.symmetric import mirror_upper_

# Operations of the graph of δ per layer: the layer, its activation, and what derives them.
_OPERATIONS_OF_LAYER = 4
# Entries a sample up to which a product by elements takes a third to two thirds of bmm's time.
_TINY = 320


@dataclass(frozen=True, eq=False)
class LayeredHessian(BlockHessian):
    """A diagonal block of the Hessian, from derivatives inside the network and matrix products.

    H[(l,j,p),(m,q,r)] = Σ_n ã_{l-1}[p] ( B^{lm}[j,q] ã_{m-1}[r] + [l<m] δ_m[q] J^{lm}[j,r] ),
    with ã = (a; 1) for the bias, l ≤ m; factors such as 1/n are inside B and δ. That is for two
    layers with factors; the rows of layers without come from :class:`Directions`.

    Attributes:
        factors: δ, B and J of linear layers (without cross terms if the block has one layer).
        calls: The layers with parameters in the block, without their graphs, by index, in the
            order they ran.
        parameters: The block's parameters in order; each a weight or bias of one of the layers.
        directions: Derivatives along directions in the weights of all layers.
        independent: Whether samples are known not to interact.
        rest: Parameters whose rows and columns are left as they come, and why each is.
        diagonals: Second derivatives of terms of parameters alone (weight decay), by the id of
            the parameter, to be added on the diagonal.

    Reference: Dangel, Harmeling and Hennig 2020 (arXiv:1902.01813).
    """

    factors: LayerFactors
    calls: Mapping[int, LayerCall]
    parameters: Sequence[Tensor]
    directions: Directions | None = None
    independent: bool = False
    rest: Mapping[Tensor, str] = field(default_factory=dict)
    diagonals: Mapping[int, Tensor] = field(default_factory=dict)

    route = "closed-form"

    @cached_property
    def _places(self) -> dict[int, Place]:
        return places(self.calls, self.parameters, tuple(self.rest))

    @cached_property
    def per_sample(self) -> list[int]:
        """Layers whose entries are wrong if samples interact and only a product would tell."""
        return [m for m in self._places if m in self.factors.inputs]

    @cached_property
    def _on_patches(self) -> list[int]:
        return [m for m in self._places if m not in self.factors.inputs]

    @cached_property
    def _rows(self) -> list[LayerRows]:
        """The rows of layers on patches, each with the layers whose blocks with it are its own."""
        if self.directions is None:
            return []
        return [
            LayerRows(
                self.directions,
                m,
                self._places,
                sorted([*self.per_sample, *(late for late in self._on_patches if late > m)]),
                self.independent,
            )
            for m in self._on_patches
        ]

    @cached_property
    def diagonal(self) -> Tensor | None:
        """The diagonal that is added, zero where nothing is known; ``None`` if all of it is."""
        rest = set(map(id, self.rest))
        parts = zip(self.parameters, unknowns(self.parameters), strict=True)
        known = [
            (part, found)
            for parameter, part in parts
            if id(parameter) not in rest
            and (found := self.diagonals.get(id(parameter))) is not None
            and found.any()
        ]
        if not known:
            return None
        diagonal = self.parameters[0].new_zeros(sum(p.numel() for p in self.parameters))
        for part, found in known:
            diagonal[part] = found
        return diagonal

    @property
    def cost(self) -> SourceCost:
        """Operations to leading order, zeros not skipped."""
        flops, product, weights = 0.0, 0.0, []
        for m in self.per_sample:
            place, call = self._places[m], self.calls[m]
            n, inputs, outputs = call.samples, call.inputs, call.outputs
            product += 6.0 * n * inputs * outputs + 2.0 * n * outputs**2
            if place.weight is not None:
                weights.append(call)
                flops += own_flops(n, inputs, outputs)
            if place.bias is not None:
                flops += n * outputs**2
        for early, late in combinations(weights, 2):
            sizes = (early.inputs, early.outputs, late.inputs, late.outputs)
            flops += 2.0 * late.samples * math.prod(sizes)
        for m, late in combinations(self.per_sample, 2):
            call, outputs = self.calls[late], self.calls[m].outputs
            product += 4.0 * call.samples * outputs * (call.outputs + call.inputs)
            product += 2.0 * call.samples * call.inputs * call.outputs
        operations = None
        if self.directions is not None and self._on_patches:
            passes = 2 if self.per_sample else 1
            layers = self.directions.calls
            operations = passes * _OPERATIONS_OF_LAYER * len(layers)
            product += passes * sum(8.0 * call.output.numel() * call.inputs for call in layers)
        rows, through = 0, 0.0
        for cost in (rows.cost for rows in self._rows):
            flops += cost.forming_flops
            rows += cost.forming_rows
            through += cost.forming_rows_flops
        return SourceCost(flops, product, operations, rows, through)

    def compared(self, graph: CurvatureProducts, scale: Scale | None = None) -> str | Refused:
        """Compare H·v with automatic differentiation, v random on what is covered.

        The product is a combination of the very factors or rows that the entries are made of, so
        a term that they lack shows (almost surely); double backward differentiates the whole loss
        in the parameters themselves and knows nothing of layers.
        """
        rest = set(map(id, self.rest))
        covered = torch.cat(
            [torch.full((p.numel(),), id(p) not in rest, device=p.device) for p in self.parameters]
        )
        vector = random_like(self.parameters[0].detach(), covered.shape) * covered
        expected = graph.products(self.parameters, vector[None])[0] * covered
        return compared(
            self.product(vector),
            expected,
            off="the closed form's random product",
            since="samples or layers interact in a way it does not cover",
            scale=scale,
        )

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N] without forming H."""
        moves = {m: self._move(vector, m) for m in self._places}
        result = torch.zeros_like(vector)
        if self.diagonal is not None:
            result += self.diagonal * vector
        if self.per_sample:
            self._add_per_sample(result, {m: moves[m] for m in self.per_sample})
        if self.directions is not None and self._on_patches:
            # What layers on patches cause everywhere, and what the others cause at them.
            patched = {m: moves[m] for m in self._on_patches}
            self._add_rows(result, self.directions.along(patched, list(self._places)))
            if self.per_sample:
                others = {m: moves[m] for m in self.per_sample}
                self._add_rows(result, self.directions.along(others, self._on_patches))
        return result

    def _move(self, vector: Tensor, layer: int) -> tuple[Tensor, Tensor | None]:
        """Return how ``vector`` moves a layer's weight, [out, in], and its bias, [out]."""
        place, call = self._places[layer], self.calls[layer]
        weight = vector.new_zeros((call.outputs, call.inputs))
        if place.weight is not None:
            weight = vector[place.weight].view_as(weight)
        return weight, None if place.bias is None else vector[place.bias]

    def _add_rows(self, result: Tensor, rows: Mapping[int, tuple[Tensor, Tensor]]) -> None:
        for m, (weight, bias) in rows.items():
            place = self._places[m]
            if place.weight is not None:
                result[place.weight] += weight
            if place.bias is not None:
                result[place.bias] += bias

    def _add_per_sample(
        self, result: Tensor, moves: Mapping[int, tuple[Tensor, Tensor | None]]
    ) -> None:
        f = self.factors
        pushed = {}  # change of s_m caused by m's own parameters
        for m, (weight, bias) in moves.items():
            moved = f.inputs[m] @ weight.mT
            pushed[m] = moved if bias is None else moved + bias
        through = {m: torch.zeros_like(moved) for m, moved in pushed.items()}  # change of δ_m
        inside: dict[int, Tensor] = {}  # change of a_{m-1}, where there is one
        for early, late in combinations(pushed, 2):
            second = f.second[early, late]
            through[late] += _forward(second, pushed[early])
            through[early] += _backward(second, pushed[late])
            jacobian = f.jacobians.get((early, late))
            if jacobian is not None:
                caused = _forward(jacobian, pushed[early])
                inside[late] = inside[late] + caused if late in inside else caused
                through[early] += _backward(jacobian, f.deltas[late] @ moves[late][0])
        for m, own in pushed.items():
            moved = through[m] + _forward(f.second[m, m], own)
            weight = moved.mT @ f.inputs[m]
            if m in inside:
                weight.addmm_(f.deltas[m].mT, inside[m])
            self._add_rows(result, {m: (weight.flatten(), moved.sum(0))})

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric."""
        n = sum(parameter.numel() for parameter in self.parameters)
        matrix = self.parameters[0].detach().new_empty((n, n))
        if self.per_sample:
            self._fill_per_sample(matrix)
        for rows in self._rows:
            rows.fill(matrix)
        if self.diagonal is not None:
            matrix.diagonal().add_(self.diagonal)
        return matrix

    def _fill_per_sample(self, matrix: Tensor) -> None:
        """Write the blocks between weights and biases of layers with factors."""
        f, workspace = self.factors, matrix.new_empty(WORKSPACE_ENTRIES)
        sides = [
            (m, part, inputs)
            for m, place in ((m, self._places[m]) for m in self.per_sample)
            for part, inputs in ((place.weight, f.inputs[m]), (place.bias, None))
            if part is not None
        ]
        for (early, rows, a), (m, columns, later) in combinations_with_replacement(sides, 2):
            second, jacobian = f.second[early, m], f.jacobians.get((early, m))
            block = matrix[rows, columns]
            if a is not None and later is not None and early == m:
                fill_own(block, a, second, workspace)
                continue
            if a is not None and later is not None:
                turned = None if jacobian is None else (f.deltas[m], jacobian)
                fill_cross(block, a, later, second, turned, workspace)
            elif a is not None:
                block.copy_(_weight_bias(a, second))
            elif later is not None:
                strip = _weight_bias(later, second.mT)
                if jacobian is not None:
                    turned = (f.deltas[m].mT @ jacobian.flatten(1)).unflatten(1, jacobian.shape[1:])
                    strip = strip + turned.transpose(1, 2).flatten(0, 1)
                block.copy_(strip.mT)
            else:
                block.copy_(second.sum(0))
            if rows is columns:
                mirror_upper_(block)
            else:
                matrix[columns, rows] = block.mT


def _weight_bias(a: Tensor, second: Tensor) -> Tensor:
    """Return Σ_n a[n,p] B[n,j,q] as [(j,p), q]."""
    summed = (a.mT @ second.flatten(1)).unflatten(1, second.shape[1:])
    return summed.transpose(0, 1).flatten(0, 1)


def _forward(derivative: Tensor, vector: Tensor) -> Tensor:
    """Return Σ_j D[n,j,q] v[n,j]."""
    if derivative.shape[1:].numel() <= _TINY:
        return (derivative * vector[:, :, None]).sum(1)
    return torch.bmm(vector[:, None, :], derivative).squeeze(1)


def _backward(derivative: Tensor, vector: Tensor) -> Tensor:
    """Return Σ_q D[n,j,q] v[n,q]."""
    # A row times Dᵀ takes a seventh of the time of D times a column, which says the same.
    return torch.bmm(vector[:, None, :], derivative.mT).squeeze(1)


def linearised(
    signals: Sequence[LayerSignal], parameters: Sequence[Tensor], signs: Tensor | None = None
) -> LayeredHessian:
    """Return Σ_ic σ_ic u_ic u_icᵀ for u_ic = d[i,c] ⊗ a[i], the columns of layers by sample.

    This is the Hessian's closed form with B^{lm} = Σ_c σ_c d_l[c] d_m[c]ᵀ and J = 0, so forming it
    takes c times fewer operations than multiplying the columns.

    Args:
        signals: Of layers that saw one vector per sample, in the order they ran.
        parameters: Each the weight or bias of one of the layers.
        signs: σ = ±1, n·c numbers; ``None`` for ones.

    Cost: n·c·(Σ out)² operations and n·(Σ out)² entries, for B.
    """
    columns = [signal.signals[:, :, 0] for signal in signals]
    signed = columns
    if signs is not None:
        signed = [signs.reshape(*column.shape[:2], 1) * column for column in columns]
    closed = linearised_without_second(signals, parameters)
    for late in range(len(columns)):
        for early in range(late + 1):
            closed.factors.second[early, late] = signed[early].mT @ columns[late]
    return closed


def linearised_without_second(
    signals: Sequence[LayerSignal], parameters: Sequence[Tensor]
) -> LayeredHessian:
    """Return :func:`linearised` without B, for its cost alone."""
    # δ counts with the network's own curvature only, so zeros do.
    zero = signals[0].inputs.new_zeros(())
    factors = LayerFactors(
        inputs={m: signal.inputs[:, 0] for m, signal in enumerate(signals)},
        deltas={m: zero.expand_as(s.signals[:, 0, 0]) for m, s in enumerate(signals)},
    )
    return LayeredHessian(factors, dict(enumerate(s.call for s in signals)), parameters)
