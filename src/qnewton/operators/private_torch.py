"""What this package uses of PyTorch without a promise of PyTorch's, all of it in this file.

``tests/operators/test_private_torch.py`` says in words which of these names a version lacks.
"""

import sys
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

_OWN_HOLDS = 2


class Saved(Enum):
    """What a node of the autograd graph keeps of its operation, by PyTorch's name for it."""

    REDUCTION = "_saved_reduction"
    OTHER = "_saved_other"
    TARGET = "_saved_target"
    IGNORE_INDEX = "_saved_ignore_index"
    WEIGHT = "_saved_weight"
    DIM = "_saved_dim"
    START = "_saved_start"
    END = "_saved_end"
    SIZES = "_saved_self_sym_sizes"
    TRANSPOSED = "_saved_transposed"
    SELF = "_saved_self"
    TENSOR = "_saved_tensor"
    EXPONENT = "_saved_exponent"
    ORD = "_saved_ord"
    ALPHA = "_saved_alpha"
    KEEPDIM = "_saved_keepdim"
    NUMEL = "_saved_self_sym_numel"
    BETA = "_saved_beta"
    DELTA = "_saved_delta"
    MAT1 = "_saved_mat1"
    MAT2 = "_saved_mat2"
    INPUT = "_saved_input"
    GRAD_OUTPUT = "_saved_grad_output"
    STRIDE = "_saved_stride"
    PADDING = "_saved_padding"
    DILATION = "_saved_dilation"
    GROUPS = "_saved_groups"
    INDICES = "_saved_indices"
    PADDING_INDEX = "_saved_padding_idx"
    BY_FREQUENCY = "_saved_scale_grad_by_freq"
    MEAN = "_saved_result1"
    INVERSE_DEVIATION = "_saved_result2"
    RUNNING_MEAN = "_saved_running_mean"
    RUNNING_VARIANCE = "_saved_running_var"
    EPS = "_saved_eps"
    TRAINING = "_saved_training"


def compiler_is_loaded() -> bool:
    """Return whether anything can have been compiled yet; to load the compiler takes a second."""
    return "torch._dynamo" in sys.modules


def saved(node: Node, what: Saved) -> Any:
    """Return what ``node`` keeps of its operation, or ``None`` if it keeps nothing of the kind."""
    return getattr(node, what.value, None)


def kept(node: Node, what: Saved) -> Tensor | None:
    """Return a tensor that ``node`` keeps; ``None`` if it was freed or changed in place since."""
    try:
        found = saved(node, what)
    except torch.OutOfMemoryError:  # a checkpoint computes it again
        raise
    except RuntimeError:
        return None
    return found if isinstance(found, Tensor) else None


def leaf(node: Node | None) -> Tensor | None:
    """Return the tensor whose gradient ``node`` accumulates; ``None`` if it is no leaf's node."""
    return getattr(node, "variable", None)


def result_shape(node: Node | None, number: int = 0) -> torch.Size | None:
    """Return the shape of a result of the operation of ``node``, or ``None`` if it is unknown."""
    known = getattr(node, "_input_metadata", ())
    return torch.Size(known[number].shape) if number < len(known) else None


def custom_function(node: Node) -> Any:
    """Return the ``torch.autograd.Function`` that ``node`` belongs to, or ``None``."""
    return getattr(type(node), "_forward_cls", None)


def is_once_differentiable(node: Node) -> bool:
    """Return whether ``node`` belongs to a function whose backward bears that mark."""
    backward = getattr(custom_function(node), "backward", None)
    # The mark wraps the backward in a function of PyTorch's own.
    marked = torch.autograd.function.once_differentiable(lambda ctx: None).__code__
    return getattr(backward, "__code__", None) is marked


def inside_a_function() -> bool:
    """Return whether the forward of a ``torch.autograd.Function`` runs: its backward is its own."""
    # It disables both modes of differentiation where ``no_grad`` disables the backward one.
    return not torch._C._is_fwd_grad_enabled()


def version(tensor: Tensor) -> int:
    """Return how often ``tensor`` was changed in place."""
    return tensor._version


def is_shared(tensor: Tensor) -> bool:
    """Return whether another tensor, a view of it or a base, holds the same memory."""
    storage = tensor.untyped_storage()
    # The tensor holds it once, and ``storage`` does.
    return torch._C._storage_Use_Count(storage._cdata) > _OWN_HOLDS  # pyright: ignore


def registered_buffers(module: nn.Module) -> dict[str, Tensor | None]:
    """Return the buffers that ``module`` itself holds, by name; writing to it registers others."""
    return module._buffers


def own_parameters(module: nn.Module) -> list[Tensor]:
    """Return the parameters that ``module`` itself holds, a tenth of ``parameters()``'s time."""
    return [parameter for parameter in module._parameters.values() if parameter is not None]


def is_flattened(parameter: Tensor) -> bool:
    """Return whether FSDP flattened this parameter."""
    return getattr(parameter, "_fsdp_flattened", False)


def norms(tensors: list[Tensor]) -> tuple[Tensor, ...]:
    """Return ‖t‖₂ of every tensor, from one call."""
    return torch._foreach_norm(tensors)  # pyright: ignore[reportPrivateImportUsage]


def sums(tensors: list[Tensor], others: list[Tensor], alpha: float) -> tuple[Tensor, ...]:
    """Return t + ``alpha``·other of every pair, from one call."""
    return torch._foreach_add(  # pyright: ignore[reportPrivateImportUsage]
        tensors, others, alpha=alpha
    )


def products(tensors: list[Tensor], factor: float) -> list[Tensor]:
    """Return ``factor``·t of every tensor, from one call."""
    return list(torch._foreach_mul(tensors, factor))  # pyright: ignore[reportPrivateImportUsage]


def multiply_(tensors: list[Tensor], factor: float) -> None:
    """Multiply every tensor by ``factor`` in place, in one call."""
    torch._foreach_mul_(tensors, factor)  # pyright: ignore[reportPrivateImportUsage]


def add_(tensors: list[Tensor], others: list[Tensor], alpha: float) -> None:
    """Add ``alpha``·other to every tensor in place, in one call."""
    torch._foreach_add_(  # pyright: ignore[reportPrivateImportUsage]
        tensors, others, alpha=alpha
    )
