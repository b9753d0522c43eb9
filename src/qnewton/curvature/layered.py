"""The exact Hessian of a network of linear layers, in closed form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from qnewton.curvature.capture import LayerCall
from qnewton.curvature.factors import LayerFactors
from qnewton.curvature.products import WORKSPACE_ENTRIES, fill_cross, fill_own, own_flops
from qnewton.curvature.symmetric import mirror_upper_


@dataclass(frozen=True)
class _Place:
    """Where a layer's parameters sit in a block; ``None`` is not in the block."""

    weight: slice | None
    bias: slice | None


class LayeredHessian:
    """A diagonal block of the Hessian, from the per-sample derivatives of its linear layers.

    H[(l,j,p),(m,q,r)] = Σ_n ã_{l-1}[p] ( B^{lm}[j,q] ã_{m-1}[r] + [l<m] δ_m[q] J^{lm}[j,r] ),
    with ã = (a; 1) for the bias, l ≤ m; factors such as 1/n are inside B and δ.

    Args:
        factors: δ, B and J of the layers (without cross terms if the block has one layer).
        calls: The layers, in the order of ``factors``.
        parameters: The block's parameters in order; each a weight or bias of one of the layers.

    Reference: Dangel, Harmeling and Hennig 2020 (arXiv:1902.01813).
    """

    def __init__(
        self, factors: LayerFactors, calls: Sequence[LayerCall], parameters: Sequence[Tensor]
    ) -> None:
        self._factors = factors
        slices: dict[int, slice] = {}
        offset = 0
        for parameter in parameters:
            slices[id(parameter)] = slice(offset, offset + parameter.numel())
            offset += parameter.numel()
        self._n = offset
        self._places: dict[int, _Place] = {}
        for index, call in enumerate(calls):
            place = _Place(slices.get(id(call.layer.weight)), slices.get(id(call.layer.bias)))
            if place.weight is not None or place.bias is not None:
                self._places[index] = place

    @property
    def forming_flops(self) -> float:
        """Operations that form the entries, to leading order, zeros not skipped."""
        samples, flops, weights = self._factors.inputs[0].shape[0], 0.0, []
        for m, place in self._places.items():
            inputs = self._factors.inputs[m].shape[1]
            outputs = self._factors.deltas[m].shape[1]
            if place.weight is not None:
                weights.append((inputs, outputs))
                flops += own_flops(samples, inputs, outputs)
            if place.bias is not None:
                flops += samples * outputs**2
        for early, late in combinations(weights, 2):
            flops += 2.0 * samples * math.prod(early) * math.prod(late)
        return flops

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N] without forming H.

        Cost: O(n·((Σ out)² + Σ in·out)) operations.
        """
        f = self._factors
        pushed, weights = {}, {}  # change of s_m caused by m's own parameters; V_m
        for m, place in self._places.items():
            a, outputs = f.inputs[m], f.deltas[m].shape[1]
            moved = a.new_zeros((a.shape[0], outputs))
            if place.weight is not None:
                weights[m] = vector[place.weight].view(outputs, a.shape[1])
                moved = a @ weights[m].mT
            pushed[m] = moved if place.bias is None else moved + vector[place.bias]
        through = {m: torch.zeros_like(moved) for m, moved in pushed.items()}  # change of δ_m
        inside = {m: torch.zeros_like(f.inputs[m]) for m in pushed}  # change of a_{m-1}
        for early in pushed:
            for late in pushed:
                if early > late:
                    continue
                second = f.second[early, late]
                through[late] += _forward(second, pushed[early])
                if early == late:
                    continue
                through[early] += _backward(second, pushed[late])
                jacobian = f.jacobians.get((early, late))
                if jacobian is not None and late in weights:
                    inside[late] += _forward(jacobian, pushed[early])
                    turned = f.deltas[late] @ weights[late]
                    through[early] += _backward(jacobian, turned)
        result = torch.zeros_like(vector)
        for m, place in self._places.items():
            if place.weight is not None:
                grown = through[m].mT @ f.inputs[m] + f.deltas[m].mT @ inside[m]
                result[place.weight] = grown.flatten()
            if place.bias is not None:
                result[place.bias] = through[m].sum(0)
        return result

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric.

        Cost: ``forming_flops`` in matrix products, fewer where units are inactive (their exact
        zeros are skipped); N² entries of memory and a workspace of some megabytes.
        """
        example = self._factors.inputs[0]
        matrix = example.new_empty((self._n, self._n))
        workspace = example.new_empty(WORKSPACE_ENTRIES)
        indices = list(self._places)
        for position, early in enumerate(indices):
            self._fill_own(matrix, early, workspace)
            for late in indices[position + 1 :]:
                self._fill_cross(matrix, early, late, workspace)
        return matrix

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


def _weight_bias(a: Tensor, second: Tensor) -> Tensor:
    """Return Σ_n a[n,p] B[n,j,q] as [(j,p), q]."""
    summed = (a.mT @ second.flatten(1)).unflatten(1, second.shape[1:])
    return summed.transpose(0, 1).flatten(0, 1)


def _forward(derivative: Tensor, vector: Tensor) -> Tensor:
    """Return Σ_j D[n,j,q] v[n,j]."""
    return (derivative * vector[:, :, None]).sum(1)


def _backward(derivative: Tensor, vector: Tensor) -> Tensor:
    """Return Σ_q D[n,j,q] v[n,q]."""
    return (derivative * vector[:, None, :]).sum(2)
