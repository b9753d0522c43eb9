"""Which parameters share a Newton system: the whole model, a layer, or one tensor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

Partition = Literal["full", "layer", "tensor"]
"""Which parameters share a block: all, those of a layer, or those of a tensor."""


@dataclass(frozen=True)
class Block:
    """Parameters whose curvature is one matrix.

    Attributes:
        name: ``full``, the module's name, or the parameter's name.
        parameters: The tensors, flattened row-major and concatenated to give the N unknowns.
        names: Their names, in the same order.
    """

    name: str
    parameters: tuple[Tensor, ...]
    names: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return sum(parameter.numel() for parameter in self.parameters)


class BlockLimits(NamedTuple):
    """How large blocks may be, in unknowns; ``None`` for no limit.

    Attributes:
        max_dense: The largest block whose entries anyone will ask for; larger ones of kind
            ``hessian`` prepare products alone.
        max_newton: The largest block that gets a system.

    Example:
        >>> BlockLimits(max_newton=1000)
        BlockLimits(max_dense=None, max_newton=1000)
    """

    max_dense: int | None = None
    max_newton: int | None = None


def partition(
    source: nn.Module | Iterable[Tensor],
    blocks: Partition,
    only: Iterable[Tensor] | None = None,
) -> tuple[Block, ...]:
    """Return the blocks of a model's trainable parameters.

    ``full`` is one block in ``named_parameters`` order; ``layer`` is one block per module that
    owns trainable parameters, weight and bias together; ``tensor`` is one block per parameter.
    A tied parameter belongs to its first module.

    Args:
        source: A module, or parameter tensors (then only ``full`` and ``tensor`` make sense).
        blocks: The partition.
        only: Those of a module's parameters that are meant; ``None`` for all.

    Raises:
        ValueError: If the partition is unknown, needs a module, or there is nothing to train; if
            parameters differ in dtype or device, or are neither float32 nor float64.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> [(block.name, block.n) for block in partition(net, "layer")]
        [('0', 15), ('2', 8)]
    """
    if blocks not in get_args(Partition):
        raise ValueError(f"blocks={blocks!r} is unknown; choose 'full', 'layer' or 'tensor'")
    if isinstance(source, nn.Module):
        named = [(name, p) for name, p in source.named_parameters() if p.requires_grad]
        owned = [(name.rpartition(".")[0], name, p) for name, p in named]
    elif blocks == "layer":
        raise ValueError("blocks='layer' needs a module; pass one, or choose 'tensor' or 'full'")
    else:
        tensors = [parameter for parameter in source if parameter.requires_grad]
        owned = [("", f"parameter{index}", tensor) for index, tensor in enumerate(tensors)]
    if only is not None:
        meant = {id(parameter) for parameter in only}
        owned = [entry for entry in owned if id(entry[2]) in meant]
    _check_trainable([tensor for _, _, tensor in owned])
    if blocks == "full":
        shared = {"full": owned}
    elif blocks == "tensor":
        shared = {entry[1]: [entry] for entry in owned}
    else:
        shared = {}
        for entry in owned:
            shared.setdefault(entry[0] or "model", []).append(entry)
    return tuple(
        Block(name, tuple(p for _, _, p in entries), tuple(known for _, known, _ in entries))
        for name, entries in shared.items()
    )


def unknowns(parameters: Sequence[Tensor]) -> list[slice]:
    """Return where each parameter's entries are among the unknowns of all of them."""
    ends = accumulate(parameter.numel() for parameter in parameters)
    return [slice(end - p.numel(), end) for p, end in zip(parameters, ends, strict=True)]


def slices_of(parameters: Sequence[Tensor]) -> dict[int, slice]:
    """Return the same by each parameter's id."""
    return dict(zip(map(id, parameters), unknowns(parameters), strict=True))


def pieces_of(parameters: Sequence[Tensor], flat: Tensor) -> dict[int, Tensor]:
    """Return each parameter's entries of a vector of all unknowns, by its id."""
    sizes = [parameter.numel() for parameter in parameters]
    return dict(zip(map(id, parameters), flat.split(sizes), strict=True))


def _check_trainable(parameters: list[Tensor]) -> None:
    if not parameters:
        raise ValueError("no parameter requires a gradient; nothing can be trained")
    first = parameters[0]
    for parameter in parameters:
        if parameter.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"a parameter has dtype {parameter.dtype}; curvature needs float32 or float64 "
                "(autocast may still run the model in bfloat16)"
            )
        if (parameter.dtype, parameter.device) != (first.dtype, first.device):
            raise ValueError(
                f"parameters mix {first.dtype} on {first.device} with {parameter.dtype} on "
                f"{parameter.device}; move the model to one dtype and device"
            )
