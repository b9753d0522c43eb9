"""Whether the derivatives that a model's operations come with are right, asked once per model."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from qnewton.curvature.autograd import grad, graph_nodes
from qnewton.curvature.differences import (
    ASYMMETRY,
    PRECISIONS,
    Differences,
    Products,
    asymmetric_layer,
)
from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.rerun import NUMERICAL, Rerun, Reruns
from qnewton.curvature.routes import LIMIT, Refused, difference, graph_work, random_like
from qnewton.operators.private_torch import custom_function, leaf

Alike = Callable[[float], float]
"""Returns the largest of a number over all processes."""

# Of a gradient, in a precision for which there is no limit.
_COARSE = 0.5
# Units in the last place that parameters are moved by to see what rounding does to a product, how
# many times more counts as an error of the operations, and what is taken for rounding where other
# processes would have to look with this one.
_ULPS, _ROUNDINGS, _ALONE = 4.0, 30.0, 1e-2 / 30.0
# How far from the parameters the check is made, of their norm.
_NEARBY = 1e-3
_CHECKPOINT = "CheckpointFunctionBackward"
_WEIGHT_NORM = "WeightNormInterfaceBackward0"


class Verification:
    """Compares what curvature rests on with plain gradients, and refuses what is wrong.

    Nothing in PyTorch says whether an operation's double backward is right, or there at all: what
    ``torch.autograd.grad`` does not reach counts as constant. At the first evaluation, and when
    the graph holds an operation or reaches a parameter that none before it did:

    1. What ``backward`` brings to a parameter has to be what ``torch.autograd.grad`` finds, for
       every kind of curvature.
    2. For the Hessian, random u and v have to give uᵀHv = vᵀHu,
    3. and a random d has to give H·d = (g(θ+hd) - g(θ-hd)) / 2h. Where it does not, and the
       reason may be another (a kink, noise, something held constant), the record says so.

    Args:
        names: The parameters' names.
        parameters: Trainable parameters.
        model: Their module, if known.

    Attributes:
        note: What could not be told at the last check of second derivatives; empty if all agreed.

    Cost: for the Hessian, once per model, three runs of the closure with their gradients and three
    products; three runs more if 3 disagrees, and two, with two products per layer, if 2 does. For
    other kinds one run, and only if the graph leaves out a parameter that has a gradient.
    """

    def __init__(
        self, names: Sequence[str], parameters: Sequence[Tensor], model: nn.Module | None
    ) -> None:
        self._names, self._parameters, self._model = names, parameters, model
        self._known: dict[bool, frozenset[str]] = {}
        self._several = False
        self.note = ""

    def check(
        self, evaluation: Evaluation, root: Tensor, second: bool, alike: Alike | None = None
    ) -> None:
        """Check what is new in the graph of ``root``."""
        if evaluation.closure is None:
            return
        graph = evaluation.work or graph_work(root)
        operations = graph.names
        pairs = zip(self._names, self._parameters, strict=True)
        reached = {f"parameter {name}" for name, p in pairs if id(p) in graph.leaves}
        known = self._known.get(second)
        if known is not None and (alike is not None or operations | reached <= known):
            return
        together = alike or (lambda value: value)
        self._several = alike is not None
        nodes = graph_nodes([root.grad_fn])
        others = {id(found): found for node in nodes if (found := leaf(node)) is not None}
        for parameter in self._parameters:
            others.pop(id(parameter), None)
        reruns = Reruns(evaluation.closure, self._parameters, self._model, [*others.values()])
        refused: ValueError | None = None
        try:
            if second:
                self.note = self._second(reruns, operations, together)
            else:
                hidden = any(
                    g is not None and id(p) not in graph.leaves and bool(g.any())
                    for p, g in zip(self._parameters, evaluation.gradients, strict=True)
                )
                if together(float(hidden or _CHECKPOINT in operations)):
                    with reruns.at(self._place(reruns), keep_graph=True) as here:
                        self._first(here, operations)
        except ValueError as error:
            refused = error
        if together(float(refused is not None)) and refused is None:
            refused = ValueError("another process refuses this model; its error says why")
        if refused is not None:
            raise refused
        self._known[second] = operations | reached | (known or frozenset())

    def _first(self, here: Rerun, operations: frozenset[str]) -> None:
        """Refuse a parameter whose gradient ``torch.autograd.grad`` does not find."""
        assert here.evaluation.root is not None
        found = grad(here.evaluation.root, self._parameters)
        for name, brought, mine in zip(self._names, here.gradients, found, strict=True):
            if brought is None or not torch.isfinite(brought).all():
                continue
            off = difference(torch.zeros_like(brought) if mine is None else mine, brought)
            if off > LIMIT.get(here.precision, _COARSE):
                way_out = (
                    "checkpoint with use_reentrant=False"
                    if _CHECKPOINT in operations
                    else "let the loss reach it by operations that autograd can follow"
                )
                raise ValueError(
                    f"backward gives {name} a gradient that torch.autograd.grad does not find (off "
                    f"by {off:.2g} of its norm), so its curvature would be wrong; {way_out}"
                )

    def _second(self, reruns: Reruns, operations: frozenset[str], together: Alike) -> str:
        """Refuse wrong second derivatives, and return what could not be told of them."""
        # What runs the closure or speaks to other processes does not depend on what this one
        # found.
        refused: ValueError | None = None
        note, differences = "", None
        try:
            begun = self._begun(reruns, operations)
            note, differences = (begun, None) if isinstance(begun, str) else ("", begun)
        except ValueError as error:
            refused = error
        if together(float(differences is not None)):
            suspicious = False if differences is None else differences.look()
            if together(float(suspicious)) and differences is not None:
                verdict = differences.look_closer(operations)
                if suspicious and isinstance(verdict, Refused):
                    layer = differences.wrong_layer(self._names, self._parameters)
                    refused = _wrong(layer, differences.here, verdict.reason)
                elif suspicious and verdict is not None:
                    note = f"differences of gradients could not confirm it: {verdict}"
        if refused is not None:
            raise refused
        return note

    def _begun(self, reruns: Reruns, operations: frozenset[str]) -> Differences | str:
        """Return what to compare with differences, or what a record says of why nothing can be."""
        place = self._place(reruns)
        try:
            with reruns.at(place, keep_graph=True) as here:
                self._first(here, operations)
                found = self._products(here)
                if isinstance(found, str):
                    return found
                off = found.asymmetry()
                if off <= ASYMMETRY[here.precision]:
                    return Differences(reruns, here, place, found)
                graph = here.evaluation.gradient_graph()
                layer = asymmetric_layer(graph, self._names, self._parameters)
            how = f"uᵀHv and vᵀHu differ by {off:.2g} of their size"
            rounding = _ALONE if self._several else self._rounding(reruns, place, found)
            if off > _ROUNDINGS * rounding and (self._several or self._stays(reruns, place)):
                raise _wrong(layer, here, how)
            return f"{how} at layer {layer!r}, which rounding may do"
        except NUMERICAL as error:
            return f"derivatives not checked: run again, the closure raises {error!r}"

    def _rounding(self, reruns: Reruns, place: Tensor, found: Products) -> float:
        """Return how much the products change, of their size, if every number is off by ulps."""
        flat = self._there(place)
        ulps = _ULPS * torch.finfo(flat.dtype).eps * flat.abs() * self._random(14).sign()
        with reruns.at(place + ulps, keep_graph=True) as again:
            other = self._products(again)
        return 0.0 if isinstance(other, str) else found.change(other)

    def _stays(self, reruns: Reruns, place: Tensor) -> bool:
        """Return whether products are asymmetric at half of the parameters, too.

        Where a fit is nearly perfect, a softmax less its label is a difference of two numbers
        near 1: its rounding is a share of it that no change of the parameters tells of.
        """
        with reruns.at(place - self._there(place) / 2, keep_graph=True) as half:
            found = self._products(half)
        return isinstance(found, str) or not found.asymmetry() <= ASYMMETRY[half.precision]

    def _there(self, place: Tensor) -> Tensor:
        """Return the parameters after a move, shape [N]."""
        return torch.cat([p.detach().flatten() for p in self._parameters]) + place

    def _place(self, reruns: Reruns) -> Tensor:
        """Return a move to a point nearby where no unit sits on a kink, as many do at zero."""
        move = self._random(10)
        return move * (_NEARBY * reruns.size / float(move.norm()))

    def _random(self, draw: int) -> Tensor:
        n = sum(parameter.numel() for parameter in self._parameters)
        return random_like(self._parameters[0].detach(), (n,), draw=draw)

    def _products(self, here: Rerun) -> Products | str:
        """Return H times three random vectors, or what a record says of why not."""
        vectors = torch.stack([self._random(draw) for draw in (11, 12, 13)])
        # Autograd takes an embedding's row at its padding index for a constant, and so do we what
        # has no gradient: differences of gradients would see the loss change with it.
        vectors *= here.flat != 0
        vectors[2] /= vectors[2].norm()
        try:
            images = here.evaluation.gradient_graph().products(self._parameters, vectors)
        except ValueError:
            # There is none: the products that are asked for say which operation lacks it.
            return ""
        if not (torch.isfinite(images).all() and torch.isfinite(here.flat).all()):
            return ""  # the step has its own word for this
        if here.precision not in PRECISIONS:
            return f"derivatives not checked: the closure works in {here.precision}"
        return Products(vectors, images)


def _wrong(layer: str, here: Rerun, how: str) -> ValueError:
    root = here.evaluation.root
    nodes = list(graph_nodes([None if root is None else root.grad_fn]))
    custom = {n.name().removesuffix("Backward") for n in nodes if custom_function(n) is not None}
    cause = "an operation or a gradient hook has a wrong backward"
    way_out = "write it with operations that can be differentiated twice"
    if any(node.name() == _WEIGHT_NORM for node in nodes):
        cause = "PyTorch's double backward of weight_norm is wrong"
        way_out = "write the weight as g * v / v.norm(...) in a parametrization of your own"
    elif custom:
        cause = f"the graph holds {', '.join(sorted(custom))}"
    return ValueError(
        f"second derivatives at layer {layer!r} are wrong: {how}; {cause}: {way_out}, or use "
        "kind='fisher', which needs none"
    )
