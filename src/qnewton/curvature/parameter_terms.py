"""Terms of the loss that depend on parameters alone, such as weight decay."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from qnewton.curvature.autograd import (
    Gradients,
    grad,
    grad_along,
    grad_with_graph,
    graph_nodes,
    leaf_counts,
    leaf_uses,
    nodes_to,
)
from qnewton.curvature.layers import LayerCall
from qnewton.curvature.routes import LIMIT, difference, random_like
from qnewton.operators.private_torch import leaf


class ParameterTerms(NamedTuple):
    """What a loss L(θ) = data(s_1(θ), …) + R(θ) adds beside its layers.

    Attributes:
        diagonals: ∂²R/∂θ² of each parameter whose rows of it are diagonal, shape [numel], by the
            parameter's id.
        elsewhere: How often each parameter enters the loss outside R, by its id; those without a
            diagonal enter there with all of their uses.
    """

    diagonals: dict[int, Tensor]
    elsewhere: Counter[int]


def parameter_terms(
    root: Tensor, calls: Sequence[LayerCall], parameters: Sequence[Tensor]
) -> ParameterTerms:
    """Find the terms that no layer's output enters and that are added to the rest.

    The graph tells both: a term's node has no layer's output behind it, and is added (with a
    constant factor) if ∂L/∂term depends on nothing. Its Hessian is then differentiated alone,
    without the network, so that a small one does not drown in the rounding of the data's. D = R″·1
    is the diagonal of R″ if it is diagonal; R″v = D∘v for a random v says (almost surely), row by
    row, whether it is.

    Args:
        root: The live loss.
        calls: Passes through layers.
        parameters: Those to differentiate in.

    Raises:
        ValueError: If a term cannot be differentiated twice.

    Cost: two walks over the graph's nodes and, if there is a term, two double backward passes
    through it alone.
    """
    outputs = [call.output for call in calls]
    inside = {output.grad_fn for output in outputs}
    around = nodes_to(root, inside)
    added, refused = _added(root, around, inside)
    diagonals = _diagonals(added, parameters)
    # What the network, or anything that is not simply added, has a use for as well counts.
    behind = graph_nodes([*(output.grad_fn for output in outputs), *refused])
    elsewhere, everywhere = leaf_counts({*around, *behind}), leaf_uses([root])
    for parameter in parameters:
        if id(parameter) not in diagonals:
            elsewhere[id(parameter)] = everywhere[id(parameter)]
    return ParameterTerms(diagonals, elsewhere)


def _added(
    root: Tensor, around: set[Node], inside: set[Node | None]
) -> tuple[list[tuple[GradientEdge, Tensor]], list[Node]]:
    """Return the terms that the loss is linear in, with their factors, and all other terms."""
    found = {
        (node, number)
        for parent in around
        for node, number in parent.next_functions
        if node is not None and node not in around and node not in inside
    }
    # A parameter itself is counted where it is used.
    edges = [GradientEdge(*pair) for pair in found if leaf(pair[0]) is None]
    if not edges:
        return [], []
    added, refused = [], []
    for edge, factor in zip(edges, grad(root, edges, live=True), strict=True):
        if factor is None or factor.requires_grad:
            refused.append(edge.node)
        else:
            added.append((edge, factor))
    below = set(graph_nodes([other for edge in edges for other, _ in edge.node.next_functions]))
    if any(edge.node in below for edge in edges):
        # One term inside another: its factor holds the other's already.
        return [], [edge.node for edge in edges]
    return added, refused


def _diagonals(
    added: Sequence[tuple[GradientEdge, Tensor]], parameters: Sequence[Tensor]
) -> dict[int, Tensor]:
    """Return R″·1 of each parameter in which R is a sum over entries."""
    if not added:
        return {}
    edges, factors = zip(*added, strict=True)
    gradients = grad_with_graph(edges, parameters, factors)
    slopes = {id(p): g for p, g in zip(parameters, gradients, strict=True) if g is not None}
    held = [p for p in parameters if id(p) in slopes]

    def products(vectors: Sequence[Tensor]) -> Gradients:
        joined = torch.cat([vector.flatten() for vector in vectors])
        return grad_along(slopes, held, held, joined[None])

    vectors = [random_like(p.detach(), p.shape, draw=i) for i, p in enumerate(held)]
    sums, images = products([torch.ones_like(p) for p in held]), products(vectors)
    diagonals = {}
    for p, total, vector, image in zip(held, sums, vectors, images, strict=True):
        # A gradient without a graph, of a linear term, adds nothing.
        diagonal = torch.zeros_like(p) if total is None else total[0]
        moved = torch.zeros_like(p) if image is None else image[0]
        if difference(moved, diagonal * vector) <= LIMIT[p.dtype]:
            diagonals[id(p)] = diagonal.flatten()
    return diagonals
