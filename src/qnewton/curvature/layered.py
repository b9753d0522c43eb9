"""The exact Hessian of a network of linear and convolution layers, in closed form."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from qnewton.curvature.directions import Directions
from qnewton.curvature.factors import LayerFactors
from qnewton.curvature.patches import LayerCall
from qnewton.curvature.places import places
from qnewton.curvature.products import WORKSPACE_ENTRIES, fill_cross, fill_own, own_flops
from qnewton.curvature.rows import fill_rows, rows_work
from qnewton.curvature.symmetric import mirror_upper_
from qnewton.curvature.work import SourceCost

# Of the graph of δ a layer: the layer, its activation, and what derives them.
_OPERATIONS_A_LAYER = 4
# Entries of a product by elements above which its temporary is the slower way: 16 MB in float32.
_IN_CACHE = 1 << 22


class LayeredHessian:
    """A diagonal block of the Hessian, from derivatives inside the network and matrix products.

    H[(l,j,p),(m,q,r)] = Σ_n ã_{l-1}[p] ( B^{lm}[j,q] ã_{m-1}[r] + [l<m] δ_m[q] J^{lm}[j,r] ),
    with ã = (a; 1) for the bias, l ≤ m; factors such as 1/n are inside B and δ. That is for two
    layers with factors; the rows of layers without come from :class:`Directions`.

    Args:
        factors: δ, B and J of linear layers (without cross terms if the block has one layer).
        directions: Derivatives along directions in the weights of all layers.
        independent: Whether samples are known not to interact.
        calls: The layers with parameters in the block, by index, in the order they ran.
        parameters: The block's parameters in order; each a weight or bias of one of the layers.
        rest: But for these, whose rows and columns are left as they come.
        diagonals: Second derivatives of terms of parameters alone (weight decay), by the id of
            the parameter, to be added on the diagonal.

    Reference: Dangel, Harmeling and Hennig 2020 (arXiv:1902.01813).
    """

    def __init__(
        self,
        factors: LayerFactors,
        directions: Directions | None,
        independent: bool,
        calls: Mapping[int, LayerCall],
        parameters: Sequence[Tensor],
        rest: Sequence[Tensor] = (),
        diagonals: Mapping[int, Tensor] | None = None,
    ) -> None:
        self._factors = factors
        self._directions = directions
        self._independent = independent
        # For their sizes: after the evaluation is released nothing here may keep its graph.
        self._calls = {
            m: replace(call, input=call.input.detach(), output=call.output.detach())
            for m, call in calls.items()
        }
        self._example = parameters[0]
        self._n = sum(parameter.numel() for parameter in parameters)
        self._places = places(calls, parameters, rest)
        self._per_sample = [m for m in self._places if m in factors.inputs]
        self._on_patches = [m for m in self._places if m not in factors.inputs]
        self._diagonal = _joined(parameters, rest, diagonals or {})

    @property
    def adds_diagonal(self) -> bool:
        """Whether a term of parameters alone has a second derivative here."""
        return self._diagonal is not None

    @property
    def assumes_independence(self) -> bool:
        """Whether entries are wrong if samples interact and nothing but the probe would tell."""
        return bool(self._per_sample)

    @property
    def cost(self) -> SourceCost:
        """Operations to leading order, zeros not skipped."""
        flops, weights = 0.0, []
        rows, rows_flops = 0, 0.0
        for m in self._per_sample:
            place, call = self._places[m], self._calls[m]
            if place.weight is not None:
                weights.append(call)
                flops += own_flops(call.samples, call.inputs, call.outputs)
            if place.bias is not None:
                flops += call.samples * call.outputs**2
        for early, late in combinations(weights, 2):
            sizes = (early.inputs, early.outputs, late.inputs, late.outputs)
            flops += 2.0 * late.samples * math.prod(sizes)
        if self._directions is not None:
            for m in self._on_patches:
                work = rows_work(
                    self._directions, m, self._places, self._partners(m), self._independent
                )
                flops += work.flops
                rows += work.passes
                rows_flops += work.passes_flops
        operations = None
        if self._directions is not None and self._on_patches:
            passes = 2 if self._per_sample else 1
            operations = passes * _OPERATIONS_A_LAYER * len(self._directions.calls)
        return SourceCost(flops, self._product_flops, operations, rows, rows_flops)

    @property
    def _product_flops(self) -> float:
        sizes = {m: (call.samples, call.inputs, call.outputs) for m, call in self._calls.items()}
        flops = 0.0
        for late in self._per_sample:
            n, inputs, outputs = sizes[late]
            flops += 6.0 * n * inputs * outputs + 2.0 * n * outputs**2
            for early in self._per_sample:
                if early < late:
                    flops += 4.0 * n * sizes[early][2] * (outputs + inputs)
                    flops += 2.0 * n * inputs * outputs
        if self._directions is not None and self._on_patches:
            layers = self._directions.calls
            through = sum(8.0 * call.output.numel() * call.inputs for call in layers)
            flops += through * (2 if self._per_sample else 1)
        return flops

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N] without forming H.

        Cost: O(n·((Σ out)² + Σ in·out)) operations; with layers on patches, a double backward
        pass through activations and O(n·T·in·out) a layer besides.
        """
        moves = {m: self._move(vector, m) for m in self._places}
        result = torch.zeros_like(vector)
        if self._diagonal is not None:
            result += self._diagonal * vector
        if self._per_sample:
            self._add_per_sample(result, {m: moves[m] for m in self._per_sample})
        if self._directions is not None and self._on_patches:
            # What layers on patches cause everywhere, and what the others cause at them.
            patched = {m: moves[m] for m in self._on_patches}
            self._add_rows(result, self._directions.along(patched, list(self._places)))
            if self._per_sample:
                others = {m: moves[m] for m in self._per_sample}
                self._add_rows(result, self._directions.along(others, self._on_patches))
        return result

    def _move(self, vector: Tensor, layer: int) -> tuple[Tensor, Tensor | None]:
        """Return how ``vector`` moves a layer's weight, [out, in], and its bias, [out]."""
        place, call = self._places[layer], self._calls[layer]
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
        f = self._factors
        pushed = {}  # change of s_m caused by m's own parameters
        for m, (weight, bias) in moves.items():
            moved = f.inputs[m] @ weight.mT
            pushed[m] = moved if bias is None else moved + bias
        through = {m: torch.zeros_like(moved) for m, moved in pushed.items()}  # change of δ_m
        inside = {m: torch.zeros_like(f.inputs[m]) for m in pushed}  # change of a_{m-1}
        for early, late in combinations(pushed, 2):
            second = f.second[early, late]
            through[late] += _forward(second, pushed[early])
            through[early] += _backward(second, pushed[late])
            jacobian = f.jacobians.get((early, late))
            if jacobian is not None:
                inside[late] += _forward(jacobian, pushed[early])
                through[early] += _backward(jacobian, f.deltas[late] @ moves[late][0])
        for m in pushed:
            through[m] += _forward(f.second[m, m], pushed[m])
        self._add_rows(
            result,
            {
                m: (
                    (through[m].mT @ f.inputs[m] + f.deltas[m].mT @ inside[m]).flatten(),
                    through[m].sum(0),
                )
                for m in pushed
            },
        )

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric.

        Cost: ``cost.forming_flops`` in matrix products, fewer where units are inactive (their exact
        zeros are skipped), and passes through activations; N² entries of memory and a workspace
        of some megabytes.
        """
        matrix = self._example.new_empty((self._n, self._n)).detach()
        if self._per_sample:
            workspace = matrix.new_empty(WORKSPACE_ENTRIES)
            for early in self._per_sample:
                self._fill_own(matrix, early, workspace)
            for early, late in combinations(self._per_sample, 2):
                self._fill_cross(matrix, early, late, workspace)
        if self._directions is not None:
            for m in self._on_patches:
                partners = self._partners(m)
                fill_rows(matrix, self._directions, m, self._places, partners, self._independent)
        if self._diagonal is not None:
            matrix.diagonal().add_(self._diagonal)
        return matrix

    def _partners(self, layer: int) -> list[int]:
        """Return the layers whose blocks with ``layer`` are its to fill."""
        later = [m for m in self._on_patches if m > layer]
        return sorted([*self._per_sample, *later])

    def _fill_own(self, matrix: Tensor, layer: int, workspace: Tensor) -> None:
        place, a = self._places[layer], self._factors.inputs[layer]
        second = self._factors.second[layer, layer]
        if place.weight is not None:
            fill_own(matrix[place.weight, place.weight], a, second, workspace)
        if place.bias is not None:
            matrix[place.bias, place.bias] = second.sum(0)
            mirror_upper_(matrix[place.bias, place.bias])
        if place.weight is not None and place.bias is not None:
            self._put(matrix, place.weight, place.bias, _weight_bias(a, second))

    def _fill_cross(self, matrix: Tensor, early: int, late: int, workspace: Tensor) -> None:
        f, row, column = self._factors, self._places[early], self._places[late]
        second, jacobian = f.second[early, late], f.jacobians.get((early, late))
        if row.weight is not None and column.weight is not None:
            target = matrix[row.weight, column.weight]
            fill_cross(
                target, f.inputs[early], f.inputs[late], second, f.deltas[late], jacobian, workspace
            )
            matrix[column.weight, row.weight] = target.mT
        if row.weight is not None and column.bias is not None:
            self._put(matrix, row.weight, column.bias, _weight_bias(f.inputs[early], second))
        if row.bias is not None and column.weight is not None:
            strip = _weight_bias(f.inputs[late], second.mT)
            if jacobian is not None:
                turned = (f.deltas[late].mT @ jacobian.flatten(1)).unflatten(1, jacobian.shape[1:])
                strip = strip + turned.transpose(1, 2).flatten(0, 1)
            self._put(matrix, column.weight, row.bias, strip)
        if row.bias is not None and column.bias is not None:
            self._put(matrix, row.bias, column.bias, second.sum(0))

    @staticmethod
    def _put(matrix: Tensor, rows: slice, columns: slice, values: Tensor) -> None:
        matrix[rows, columns] = values
        matrix[columns, rows] = values.mT


def _joined(
    parameters: Sequence[Tensor], rest: Sequence[Tensor], diagonals: Mapping[int, Tensor]
) -> Tensor | None:
    """Return the diagonal of a block, zero where nothing is known; ``None`` if all of it is."""
    aside = {id(parameter) for parameter in rest}
    held = {id(p): diagonals.get(id(p)) for p in parameters if id(p) not in aside}
    if all(part is None or not part.any() for part in held.values()):
        return None
    pieces = []
    for parameter in parameters:
        part = held.get(id(parameter))
        pieces.append(torch.zeros_like(parameter.detach()).flatten() if part is None else part)
    return torch.cat(pieces)


def _weight_bias(a: Tensor, second: Tensor) -> Tensor:
    """Return Σ_n a[n,p] B[n,j,q] as [(j,p), q]."""
    summed = (a.mT @ second.flatten(1)).unflatten(1, second.shape[1:])
    return summed.transpose(0, 1).flatten(0, 1)


def _forward(derivative: Tensor, vector: Tensor) -> Tensor:
    """Return Σ_j D[n,j,q] v[n,j]."""
    return torch.bmm(vector[:, None, :], derivative).squeeze(1)


def _backward(derivative: Tensor, vector: Tensor) -> Tensor:
    """Return Σ_q D[n,j,q] v[n,q]."""
    if derivative.numel() > _IN_CACHE:
        return torch.bmm(derivative, vector[:, :, None]).squeeze(2)
    return (derivative * vector[:, None, :]).sum(2)
