"""Weights watched while a closure uses them, so that one backward pass tells every sample's part.

A layer maps x to W·x: a matrix product, or a convolution. Derivatives that the closure takes of
its inputs use W again, transposed. Each such use is recorded as it happens. One backward pass of
the residuals then gives the signal that comes back to every use, and the rows of the Jacobian of
W are the sum of what each use makes of its signal.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.functional import linear, unfold
from torch.overrides import TorchFunctionMode

from qnewton.operators.private_torch import inside_a_transform, will_run

_backward_of_convolution: Any = torch.ops.aten.convolution_backward


class Map(ABC):
    """A map W·x that is linear in W and in x."""

    @abstractmethod
    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return W·x."""

    @abstractmethod
    def transposed(self, g: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return Wᵀ·g for x of ``shape``."""

    @abstractmethod
    def outer(self, x: Tensor, g: Tensor, weight: Tensor) -> Tensor:
        """Return ∂(gᵀ(W·x))/∂W, summed over the samples."""

    @abstractmethod
    def sides(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors whose outer products make up the same for each sample.

        Args:
            x: Shape [B, …].
            g: K for each sample, shape [K, B, …].

        Returns:
            Those of g, shape [B, K, T, out], and of x, shape [B, 1, T, in].
        """

    @abstractmethod
    def shifts(self, g: Tensor) -> Tensor:
        """Return what a bias that is added to W·x has of K signals, shape [B, K, out]."""


class MatrixMap(Map):
    """W x on the last dimension, of a linear layer."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return x Wᵀ."""
        return linear(x, weight)

    def transposed(self, g: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return g W."""
        return g @ weight

    def outer(self, x: Tensor, g: Tensor, weight: Tensor) -> Tensor:
        """Return Σ g ⊗ x."""
        return g.flatten(0, -2).mT @ x.flatten(0, -2)

    def sides(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and x by sample, T the positions of one."""
        samples = x.shape[0]
        left = g.reshape(len(g), samples, -1, g.shape[-1]).transpose(0, 1)
        return left, x.reshape(samples, 1, -1, x.shape[-1])

    def shifts(self, g: Tensor) -> Tensor:
        """Return the sum over positions."""
        return g.reshape(*g.shape[:2], -1, g.shape[-1]).sum(2).transpose(0, 1)


@dataclass(frozen=True)
class ConvolutionMap(Map):
    """A convolution in one or two dimensions, without groups.

    Attributes:
        stride, padding, dilation: One for each dimension.
        kernel: Sizes of the kernel.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    kernel: tuple[int, ...]

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution."""
        zeros = (0,) * len(self.kernel)
        return torch.convolution(
            x, weight, None, self.stride, self.padding, self.dilation, False, zeros, 1
        )

    def transposed(self, g: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return the gradient in the input."""
        return self._backward(g, g.new_empty(shape), weight, 0)

    def outer(self, x: Tensor, g: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient in the weight."""
        return self._backward(g, x, weight.detach(), 1)

    def _backward(self, g: Tensor, x: Tensor, weight: Tensor, which: int) -> Tensor:
        zeros, mask = (0,) * len(self.kernel), [which == at for at in range(3)]
        return _backward_of_convolution(
            g, x, weight, None, self.stride, self.padding, self.dilation, False, zeros, 1, mask
        )[which]

    def sides(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return g by position, and the patches of x that the kernel saw there."""
        flat = (1,) * (2 - len(self.kernel))
        given = x.reshape(*x.shape[:2], *flat, *x.shape[2:])
        patches = unfold(
            given,
            (*flat, *self.kernel),
            (*flat, *self.dilation),
            (*(0,) * len(flat), *self.padding),
            (*flat, *self.stride),
        )
        return g.flatten(3).mT.transpose(0, 1), patches.mT[:, None]

    def shifts(self, g: Tensor) -> Tensor:
        """Return the sum over positions."""
        return g.flatten(3).sum(3).transpose(0, 1)


@dataclass(frozen=True)
class Use:
    """One product with a weight W.

    Attributes:
        place: The product's place in the graph.
        shape: Its shape.
        factor: What W was multiplied with: x, or g where ``transposed``.
        transposed: Whether it was Wᵀ·g rather than W·x.
        map: The map.
    """

    place: GradientEdge
    shape: torch.Size
    factor: Tensor
    transposed: bool
    map: Map

    def sides(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two sides of the rows of W, [B, K, T, out] and [B, K or 1, T, in]."""
        factor = self.factor.detach()
        if not self.transposed:
            return self.map.sides(factor, signal)
        # gᵀ(W·s) with the signal s in place of x: one x for each of K, and the same g.
        pairs = [self.map.sides(one, factor[None]) for one in signal]
        lefts, rights = zip(*pairs, strict=True)
        return torch.cat(lefts, dim=1), torch.cat(rights, dim=1)


@dataclass
class Tape:
    """The uses of one weight.

    Attributes:
        view: W as the products see it, one node of the graph before W itself.
        uses: In the order they ran.
    """

    view: Tensor
    uses: list[Use] = field(default_factory=list)

    def product(self, x: Tensor, map: Map) -> Tensor:
        """Return W·x, recorded unless nothing will be differentiated again."""
        if not torch.is_grad_enabled():
            return map.product(x, self.view)
        return self._recorded(_Product.apply(x, self.view, self, map), x, False, map)

    def transposed(self, g: Tensor, map: Map, shape: torch.Size) -> Tensor:
        """Return Wᵀ·g, recorded unless nothing will be differentiated again."""
        if not torch.is_grad_enabled():
            return map.transposed(g, self.view, shape)
        made = _TransposedProduct.apply(g, self.view, self, map, shape)
        return self._recorded(made, g, True, map)

    def _recorded(self, result: Any, factor: Tensor, transposed: bool, map: Map) -> Tensor:
        self.uses.append(Use(get_gradient_edge(result), result.shape, factor, transposed, map))
        return result


class _Product(torch.autograd.Function):
    """W·x, whose derivative in x is a use of W, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tape: Tape, map: Map) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tape, ctx.map = tape, map
        return map.product(x, weight)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> Any:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        differs = ctx.needs_input_grad[0]
        given = ctx.tape.transposed(signal, ctx.map, x.shape) if differs else None
        asked = will_run(weight.grad_fn)
        return given, ctx.map.outer(x, signal, weight) if asked else None, None, None


class _TransposedProduct(torch.autograd.Function):
    """Wᵀ·g, whose derivative in g is a use of W, too."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, weight: Tensor, tape: Tape, map: Map, shape: torch.Size
    ) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.tape, ctx.map = tape, map
        return map.transposed(g, weight, shape)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> Any:  # type: ignore[override]
        g, weight = ctx.saved_tensors
        given = ctx.tape.product(signal, ctx.map) if ctx.needs_input_grad[0] else None
        asked = will_run(weight.grad_fn)
        found = ctx.map.outer(signal, g, weight) if asked else None
        return given, found, None, None, None


class Taps(TorchFunctionMode):
    """Records the uses of trained weights by layers, and what derives from them.

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
        kwargs = kwargs or {}
        # A compiler and the transforms of torch.func cannot pass our functions.
        if func in _LAYERS and torch.is_grad_enabled() and not _is_foreign():
            found = _LAYERS[func](*args, **kwargs)
            if found is not None and self._may_record(found[0], found[1]):
                return self._applied(*found)
        return func(*args, **kwargs)

    def _may_record(self, input: Tensor, weight: Tensor) -> bool:
        # Autocast would change the dtype of one side alone.
        mixed = input.dtype != weight.dtype or torch.is_autocast_enabled(input.device.type)
        return id(weight) in self._trained and not mixed

    def _applied(self, input: Tensor, weight: Tensor, bias: Tensor | None, map: Map) -> Tensor:
        if id(weight) not in self.tapes:
            self.tapes[id(weight)] = Tape(weight.view_as(weight))
        tape = self.tapes[id(weight)]
        result = tape.product(input, map)
        if bias is None:
            return result
        self.shifts.setdefault(id(bias), []).append(tape.uses[-1])
        return result + bias.view(-1, *[1] * (weight.ndim - 2))


_Layer = tuple[Tensor, Tensor, Tensor | None, Map]


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> _Layer | None:
    return (input, weight, bias, _MATRIX) if input.ndim >= 2 else None


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> _Layer | None:
    kernel = tuple(weight.shape[2:])
    if groups != 1 or input.ndim != weight.ndim:
        return None
    steps, spread = _each(stride, kernel), _each(dilation, kernel)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(spread, kernel, strict=True)]
        if any(r % 2 for r in reach):
            return None
        around = tuple(r // 2 for r in reach)
    else:
        around = (0,) * len(kernel) if padding == "valid" else _each(padding, kernel)
    return input, weight, bias, ConvolutionMap(steps, around, spread, kernel)


def _each(number: Any, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Return one number for each dimension of a kernel."""
    return (number,) * len(kernel) if isinstance(number, int) else tuple(number)


_MATRIX = MatrixMap()
_LAYERS: dict[Any, Any] = {linear: _linear, torch.conv1d: _convolution, torch.conv2d: _convolution}


def _is_foreign() -> bool:
    """Return whether a compiler or a transform runs."""
    return torch.compiler.is_compiling() or inside_a_transform()
