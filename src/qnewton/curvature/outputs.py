"""The model's output as the closure saw it, to differentiate the loss and the network at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from qnewton.operators.private_torch import version

_OTHERWISE = "or use kind='hessian', which needs no output"


@dataclass(frozen=True)
class RecordedOutput:
    """What one call of the model returned.

    Attributes:
        tensor: The output, or its ``logits``; ``None`` if there is neither.
        kind: The type of what was returned.
        version: Counts the tensor's in-place changes up to now.
    """

    tensor: Tensor | None
    kind: str
    version: int


def output_recorder(outputs: list[RecordedOutput]) -> Callable[..., Any]:
    """Return a forward hook that appends every output with a graph to ``outputs``."""

    def record(module: nn.Module, args: Any, output: Any) -> Any:
        tensor = output if isinstance(output, Tensor) else _logits(output)
        if tensor is not None and not tensor.requires_grad:
            return None
        changes = 0 if tensor is None else version(tensor)
        outputs.append(RecordedOutput(tensor, type(output).__name__, changes))
        # The closure gets a copy, which it may overwrite. An output object is left as it is: a
        # loss computed inside the model already hangs on its logits.
        return output.clone() if isinstance(output, Tensor) else None

    return record


def single_output(outputs: Sequence[RecordedOutput]) -> Tensor:
    """Return the output of the model's only call.

    Raises:
        ValueError: If there was not exactly one call, or it returned no tensor; with the way out.
    """
    if not outputs:
        raise ValueError(
            "the closure never called the model with gradients, so there is no output to "
            f"differentiate at; call model(inputs) in the closure, {_OTHERWISE}"
        )
    if len(outputs) > 1:
        raise ValueError(
            f"the closure called the model {len(outputs)} times, limit 1; concatenate the inputs "
            f"into one batch, or call backward after each call, {_OTHERWISE}"
        )
    [output] = outputs
    if output.tensor is None:
        raise ValueError(
            f"the model returned {output.kind}; return one tensor, or an object or mapping with "
            f"logits, {_OTHERWISE}"
        )
    if version(output.tensor) != output.version:
        raise ValueError(
            f"the closure overwrote the model's logits in place; work on a copy, {_OTHERWISE}"
        )
    return output.tensor


def _logits(output: Any) -> Tensor | None:
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    return found if isinstance(found, Tensor) else None
