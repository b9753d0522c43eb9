"""What QNewton cannot train, refused by name instead of trained wrongly."""

import sys
from collections.abc import Iterable

import torch
from torch import Tensor

from qnewton.curvature import Evaluation
from qnewton.operators.private_torch import is_flattened

HALF_PRECISION = (
    "QNewton does not train in float16: loss scaling would scale the curvature, too; autocast to "
    "torch.bfloat16, which needs no GradScaler"
)


def refuse_sharded(parameters: Iterable[Tensor]) -> None:
    """Refuse parameters of which this process holds only a part.

    Raises:
        ValueError: If FSDP, of either version, or another DTensor placement owns a parameter.
    """
    # A parameter can only be a DTensor where their module, which takes long to import, is loaded.
    tensors = sys.modules.get("torch.distributed.tensor")
    for parameter in parameters:
        if is_flattened(parameter) or (
            tensors is not None and isinstance(parameter, tensors.DTensor)
        ):
            raise ValueError(
                "QNewton needs whole parameters, which FSDP and tensor parallelism shard; use "
                "DistributedDataParallel"
            )


def refuse_half_precision(evaluation: Evaluation) -> None:
    """Refuse a closure that ran layers in float16.

    Raises:
        ValueError: With the way out, bfloat16.
    """
    if any(call.output.dtype is torch.float16 for call in evaluation.calls):
        raise ValueError(HALF_PRECISION)
