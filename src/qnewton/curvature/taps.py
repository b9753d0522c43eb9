"""Weights watched while a closure uses them, so that one backward pass tells every sample's part.

A linear layer maps x to x Wᵀ. Derivatives that the closure takes of its inputs use W again, as
g W. Each such use is recorded as it happens. One backward pass of the residuals then gives the
signal that comes back to every use, and row b of the Jacobian of W is Σ signal_b ⊗ input_b.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from qnewton.operators.private_torch import inside_a_transform, will_run


@dataclass(frozen=True)
class Use:
    """One product with a weight W.

    Attributes:
        place: The product's place in the graph.
        shape: Its shape: [B, …, out], or [B, …, in] of a product g W.
        factor: What W was multiplied with: x, [B, …, in], or g, [B, …, out].
        transposed: Whether it was g W rather than x Wᵀ.
    """

    place: GradientEdge
    shape: torch.Size
    factor: Tensor
    transposed: bool


@dataclass
class Tape:
    """The uses of one weight.

    Attributes:
        view: W as the products see it, one node of the graph before W itself.
        uses: In the order they ran.
    """

    view: Tensor
    uses: list[Use] = field(default_factory=list)

    def product(self, x: Tensor) -> Tensor:
        """Return x Wᵀ, recorded."""
        return self._recorded(_Product.apply(x, self.view, self), x, transposed=False)

    def transposed(self, g: Tensor) -> Tensor:
        """Return g W, recorded."""
        return self._recorded(_TransposedProduct.apply(g, self.view, self), g, transposed=True)

    def _recorded(self, result: Any, factor: Tensor, transposed: bool) -> Tensor:
        self.uses.append(Use(get_gradient_edge(result), result.shape, factor, transposed))
        return result


class _Product(torch.autograd.Function):
    """x Wᵀ, whose derivative in x is a use of W, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tape: Tape) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tape = tape
        return linear(x, weight)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> Any:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        given = None
        if ctx.needs_input_grad[0]:
            # Without a graph nothing is differentiated again, so nothing has to be recorded.
            given = ctx.tape.transposed(signal) if torch.is_grad_enabled() else signal @ weight
        return given, _outer(signal, x, weight), None


class _TransposedProduct(torch.autograd.Function):
    """g W, whose derivative in g is a use of W, too."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, tape: Tape) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.tape = tape
        return g @ weight

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> Any:  # type: ignore[override]
        g, weight = ctx.saved_tensors
        given = None
        if ctx.needs_input_grad[0]:
            given = ctx.tape.product(signal) if torch.is_grad_enabled() else linear(signal, weight)
        return given, _outer(g, signal, weight), None


def _outer(left: Tensor, right: Tensor, weight: Tensor) -> Tensor | None:
    """Return Σ left ⊗ right where the pass that runs asks for the gradient of ``weight``."""
    if not will_run(weight.grad_fn):
        return None
    return left.flatten(0, -2).mT @ right.flatten(0, -2)


class Taps(TorchFunctionMode):
    """Records the products of linear layers with trained weights, and what derives from them.

    Args:
        parameters: The parameters.

    Attributes:
        tapes: The uses of each weight, by the weight's id.
        shifts: What a bias was added to, by the bias's id.

    Example:
        >>> layer, x = torch.nn.Linear(2, 1), torch.ones(3, 2)
        >>> with Taps([*layer.parameters()]) as taps:
        ...     _ = layer(x)
        >>> [use] = taps.tapes[id(layer.weight)].uses
        >>> use.shape
        torch.Size([3, 1])
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        super().__init__()
        self._trained = {id(parameter) for parameter in parameters}
        self.tapes: dict[int, Tape] = {}
        self.shifts: dict[int, list[Use]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is linear and torch.is_grad_enabled() and not _is_foreign():
            return self._linear(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        # Autocast would change the dtype of one side alone.
        mixed = input.dtype != weight.dtype or torch.is_autocast_enabled(input.device.type)
        if id(weight) not in self._trained or input.ndim < 2 or mixed:
            return linear(input, weight, bias)
        if id(weight) not in self.tapes:
            self.tapes[id(weight)] = Tape(weight.view_as(weight))
        tape = self.tapes[id(weight)]
        result = tape.product(input)
        if bias is None:
            return result
        self.shifts.setdefault(id(bias), []).append(tape.uses[-1])
        return result + bias


def _is_foreign() -> bool:
    """Return whether a compiler or a transform runs, which our functions cannot pass."""
    return torch.compiler.is_compiling() or inside_a_transform()
