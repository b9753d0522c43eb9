"""The squares that a loss is a sum of: declared by a closure, or found in the loss's graph."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node

from qnewton.curvature.routes import Refused
from qnewton.operators.private_torch import Saved, kept, leaf, result_shape, saved

_MOST_TERMS = 4096
# ``reduction`` as PyTorch's losses save it.
_MEAN = 1
# What products save their second factor as.
_FACTORS = {"MulBackward0": Saved.OTHER, "DotBackward0": Saved.TENSOR}
RESHAPES = {
    "ViewBackward0",
    "UnsafeViewBackward0",
    "ReshapeAliasBackward0",
    "AliasBackward0",
    "CloneBackward0",
    "ToCopyBackward0",
    "SqueezeBackward0",
    "SqueezeBackward1",
    "SqueezeBackward2",
    "UnsqueezeBackward0",
}
"""Operations that keep the entries and their order."""


class Residuals:
    """What a closure returns to declare a least-squares loss, L = ½ Σ_k ‖r_k‖².

    Args:
        residuals: r_1, r_2, …, of any shapes, with their graphs. Scale each as it is to count: a
            mean over n entries with weight w is ``(w / n) ** 0.5 * r``.

    Raises:
        ValueError: If there is none, or one of them is no tensor of real numbers.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> Residuals(x - 1, 2 * x[:1]).loss
        tensor(2.5000, grad_fn=<MulBackward0>)
    """

    def __init__(self, *residuals: Tensor) -> None:
        if not residuals:
            raise ValueError("Residuals() got no residual; pass at least one tensor")
        for residual in residuals:
            if not (isinstance(residual, Tensor) and residual.is_floating_point()):
                found = residual.dtype if isinstance(residual, Tensor) else type(residual).__name__
                raise ValueError(f"a residual is {found}; pass tensors of float32 or float64")
        self.residuals = residuals

    @property
    def loss(self) -> Tensor:
        """½ Σ_k ‖r_k‖², with its graph."""
        first, *others = (residual.square().sum() for residual in self.residuals)
        return 0.5 * sum(others, start=first)


def with_loss(closure: Callable[[], Any]) -> Callable[[], Any]:
    """Return the closure with the loss in place of the residuals it may declare; refuse a loss."""
    if not callable(closure):
        raise TypeError(
            f"the closure is a {type(closure).__name__}, which cannot be evaluated again; pass a "
            "function that returns the loss, such as lambda: loss_fn(model(inputs), targets)"
        )

    def evaluated() -> Any:
        returned = closure()
        return returned.loss if isinstance(returned, Residuals) else returned

    return evaluated


@dataclass(frozen=True, eq=False)
class Term:
    """One part Σ_i w_i·ρ(r_i) of a loss, ρ a square or a robust relative of one.

    Attributes:
        residual: r, with its graph.
        weight: w, none of them negative, of a shape that r's broadcasts.
        rho: Returns ρ(r_i), ρ′(r_i) and ρ″(r_i).
    """

    residual: Tensor
    weight: Tensor
    rho: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]

    @cached_property
    def _weighted(self) -> tuple[Tensor, Tensor, Tensor]:
        value, slope, curvature = self.rho(self.residual.detach())
        return self.weight * value, self.weight * slope, self.weight * curvature

    @property
    def value(self) -> Tensor:
        """Σ_i w_i·ρ(r_i)."""
        return self._weighted[0].sum()

    @property
    def slope(self) -> Tensor:
        """w_i·ρ′(r_i), in the shape of r."""
        return self._weighted[1]

    @property
    def curvature(self) -> Tensor:
        """w_i·ρ″(r_i), none of them negative, in the shape of r."""
        return self._weighted[2]


@dataclass(frozen=True, eq=False)
class SumOfSquares:
    """A loss as a sum of terms.

    Attributes:
        terms: The terms.
        has_constant: Whether something was added to them that depends on no parameter.
    """

    terms: tuple[Term, ...]
    has_constant: bool

    @property
    def values(self) -> Tensor:
        """The residuals of all terms one after the other, shape [M], without their graph."""
        return torch.cat([term.residual.detach().flatten() for term in self.terms])

    @cached_property
    def slope(self) -> Tensor:
        """ρ′ of all of them, weighted, shape [M]."""
        return torch.cat([term.slope.flatten() for term in self.terms])

    @cached_property
    def curvature(self) -> Tensor:
        """ρ″ of all of them, weighted, shape [M]."""
        return torch.cat([term.curvature.flatten() for term in self.terms])


class _Unknown(Exception):
    """An operation is none of those that make a sum of squares."""


def sum_of_squares(root: Tensor) -> SumOfSquares | Refused:
    """Return the terms whose sum ``root`` is, as its graph tells, or why it is no such sum.

    Sums, means and weighted sums of ``r ** 2``, ``r.square()``, ``r * r``, ``r @ r``, squared
    norms, ``mse_loss``, ``smooth_l1_loss`` and ``huber_loss`` are known, with constant weights.

    Args:
        root: Live scalar, whose graph is kept.

    Cost: a walk over the operations between the loss and the residuals.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> [term] = sum_of_squares(3 * (x - 2).square().mean()).terms
        >>> term.residual, term.curvature
        (tensor([-1.,  0.], grad_fn=<SubBackward0>), tensor([3., 3.]))
    """
    try:
        return _walk(root)
    except _Unknown as unknown:
        return Refused(f"the loss is no sum of squares: {unknown}", lasting=True)


def count_squares(root: Tensor) -> int | None:
    """Return how many squares a loss is the sum of; ``None`` if it is no such sum.

    Cost: that of :func:`sum_of_squares`.
    """
    sums = sum_of_squares(root)
    return None if isinstance(sums, Refused) else sums.values.numel()


def _walk(root: Tensor) -> SumOfSquares:
    terms: list[Term] = []
    has_constant = False
    one = torch.ones((), dtype=root.dtype, device=root.device)
    waiting: list[tuple[Node | None, Tensor]] = [(root.grad_fn, one)]
    while waiting:
        node, factor = waiting.pop()
        if node is None:
            has_constant = True
            continue
        if leaf(node) is not None:
            raise _Unknown("a parameter enters it linearly")
        if len(terms) >= _MOST_TERMS:
            raise _Unknown(f"it has more than {_MOST_TERMS} terms")
        term = _TERMS.get(node.name())
        found = None if term is None else term(node, factor)
        if found is not None:
            terms.append(found)
            continue
        step = _LINEAR.get(node.name())
        if step is None:
            raise _Unknown(f"{node.name().removesuffix('0').removesuffix('Backward')} is in it")
        waiting += step(node, factor)
    return SumOfSquares(tuple(terms), has_constant)


# What makes a term of an operation, or nothing


def _term(residual: Tensor, factor: Tensor, rho: Callable[[Tensor], Any]) -> Term:
    factor = factor.detach()
    if bool((factor < 0).any()):
        raise _Unknown("a square is subtracted")
    return Term(residual, factor.to(residual.dtype), rho)


def _square(values: Tensor) -> Any:
    return values.square(), 2 * values, torch.full_like(values, 2.0)


def _huber(values: Tensor, delta: float, scale: float) -> Any:
    """Return those of scale·½r² up to |r| = δ and scale·δ(|r| - ½δ) beyond."""
    sizes = values.abs()
    inside = sizes <= delta
    value = torch.where(inside, values.square() / 2, delta * (sizes - delta / 2))
    slope = values.clamp(-delta, delta)
    return scale * value, scale * slope, scale * inside.to(values.dtype)


def _live(node: Node, what: Saved) -> Tensor:
    found = kept(node, what)
    if found is None:
        raise _Unknown(f"{node.name()} no longer has what it was given")
    return found


def _of_power(node: Node, factor: Tensor) -> Term:
    exponent = saved(node, Saved.EXPONENT)
    if exponent != 2:
        raise _Unknown(f"a power of {exponent} is in it")
    residual = _live(node, Saved.SELF)
    norm = residual.grad_fn
    if norm is not None and norm.name() == "LinalgVectorNormBackward0" and residual.numel() == 1:
        if saved(norm, Saved.ORD) != 2:
            raise _Unknown("a norm other than the Euclidean one is in it")
        return _term(_live(norm, Saved.SELF), factor.reshape(()), _square)
    return _term(residual, factor, _square)


def _of_product(node: Node, factor: Tensor) -> Term | None:
    """Return the square that a product of equal factors is; that of others is none."""
    # The same numbers may have been computed twice, as in (f(x) - y) @ (f(x) - y).
    if any(operand is None for operand, _ in node.next_functions):
        return None
    first, second = _live(node, Saved.SELF), _live(node, _FACTORS[node.name()])
    return _term(first, factor, _square) if torch.equal(first, second) else None


def _difference(node: Node) -> Tensor:
    with torch.enable_grad():
        return _live(node, Saved.SELF) - _live(node, Saved.TARGET)


def _reduced(node: Node, factor: Tensor, residual: Tensor) -> Tensor:
    return factor / residual.numel() if saved(node, Saved.REDUCTION) == _MEAN else factor


def _of_mse(node: Node, factor: Tensor) -> Term:
    residual = _difference(node)
    return _term(residual, _reduced(node, factor, residual), _square)


def _of_huber(node: Node, factor: Tensor) -> Term:
    residual, delta = _difference(node), float(saved(node, Saved.DELTA))
    return _term(residual, _reduced(node, factor, residual), lambda r: _huber(r, delta, 1.0))


def _of_smooth_l1(node: Node, factor: Tensor) -> Term:
    residual, beta = _difference(node), float(saved(node, Saved.BETA))
    if beta <= 0.0:
        raise _Unknown("an absolute value is in it")
    scaled = _reduced(node, factor, residual)
    return _term(residual, scaled, lambda r: _huber(r, beta, 1.0 / beta))


_TERMS: dict[str, Callable[[Node, Tensor], Term | None]] = {
    "PowBackward0": _of_power,
    "MulBackward0": _of_product,
    "DotBackward0": _of_product,
    "MseLossBackward0": _of_mse,
    "HuberLossBackward0": _of_huber,
    "SmoothL1LossBackward0": _of_smooth_l1,
}


# What hands a factor on

_Step = Iterator[tuple[Node | None, Tensor]]


def _shape(node: Node) -> torch.Size:
    shape = result_shape(node)
    if shape is None:
        raise _Unknown(f"the shape of {node.name()} is unknown")
    return shape


def _same_shape(node: Node, following: tuple[Node | None, int], factor: Tensor) -> Tensor:
    """Return the factor of an operand that the operation did not broadcast."""
    operand, place = following
    if operand is not None and result_shape(operand, place) != _shape(node):
        raise _Unknown("a square is broadcast")
    return factor


def _sum(node: Node, factor: Tensor) -> _Step:
    yield node.next_functions[0][0], factor.reshape(())


def _mean(node: Node, factor: Tensor) -> _Step:
    yield node.next_functions[0][0], factor.reshape(()) / saved(node, Saved.NUMEL)


def _over(node: Node, factor: Tensor, mean: bool) -> _Step:
    sizes = saved(node, Saved.SIZES)
    dims = saved(node, Saved.DIM)
    dims = dims or range(len(sizes))
    # PyTorch keeps a negative dimension as an unsigned number.
    dims = sorted((d - 2**64 if d >= 2**63 else d) % max(len(sizes), 1) for d in dims)
    spread, count = factor.expand(_shape(node)), 1
    for dim in dims:
        count *= sizes[dim]
        if not saved(node, Saved.KEEPDIM):
            spread = spread.unsqueeze(dim)
    yield node.next_functions[0][0], (spread / count if mean else spread).expand(sizes)


def _added(node: Node, factor: Tensor, sign: float) -> _Step:
    first, second = node.next_functions
    alpha = saved(node, Saved.ALPHA)
    scale = sign * float(1 if alpha is None else alpha)
    yield first[0], _same_shape(node, first, factor)
    yield second[0], _same_shape(node, second, scale * factor)


def _scaled(node: Node, factor: Tensor) -> _Step:
    first, second = node.next_functions
    if first[0] is not None and second[0] is not None:
        raise _Unknown("a product of two parts that both depend on the parameters is in it")
    which = first if first[0] is not None else second
    other = _live(node, Saved.OTHER if which is first else Saved.SELF).detach()
    yield which[0], _same_shape(node, which, factor * other)


def _divided(node: Node, factor: Tensor) -> _Step:
    first, second = node.next_functions
    if second[0] is not None:
        raise _Unknown("a quotient by something that depends on the parameters is in it")
    yield first[0], _same_shape(node, first, factor / _live(node, Saved.OTHER).detach())


def _negated(node: Node, factor: Tensor) -> _Step:
    yield node.next_functions[0][0], -factor


def _subtracted(node: Node, factor: Tensor) -> _Step:
    yield node.next_functions[0][0], -float(saved(node, Saved.ALPHA)) * factor
    yield None, factor


def _reshaped(node: Node, factor: Tensor) -> _Step:
    operand, place = node.next_functions[0]
    shape = None if operand is None else result_shape(operand, place)
    if factor.ndim and shape is not None:
        factor = factor.expand(_shape(node)).reshape(shape)
    yield operand, factor


def _joined(node: Node, factor: Tensor) -> _Step:
    if factor.numel() != 1:
        raise _Unknown("parts with weights of their own are joined")
    for operand, _ in node.next_functions:
        yield operand, factor.reshape(())


_LINEAR: dict[str, Callable[[Node, Tensor], _Step]] = {
    "SumBackward0": _sum,
    "SumBackward1": lambda node, factor: _over(node, factor, mean=False),
    "MeanBackward0": _mean,
    "MeanBackward1": lambda node, factor: _over(node, factor, mean=True),
    "AddBackward0": lambda node, factor: _added(node, factor, 1.0),
    "SubBackward0": lambda node, factor: _added(node, factor, -1.0),
    "MulBackward0": _scaled,
    "DivBackward0": _divided,
    "NegBackward0": _negated,
    "RsubBackward1": _subtracted,
    "StackBackward0": _joined,
    "CatBackward0": _joined,
} | dict.fromkeys(RESHAPES, _reshaped)
