"""Which operation has no second derivative, and what to write in its place."""

import re
from collections.abc import Iterable

import torch
from torch.autograd.graph import Node

from qnewton.operators.private_torch import is_once_differentiable

_FIRST_ONLY = ", or use kind='fisher', which differentiates the network once"

# What PyTorch calls the first derivative that has none of its own, what users call the operation,
# and the way out. The first that is found in PyTorch's name counts.
_OPERATIONS = (
    (
        "attention",
        "this kernel of scaled_dot_product_attention",
        f"run attention under SDPBackend.MATH{_FIRST_ONLY}",
    ),
    (
        "ctc_loss",
        "ctc_loss",
        "write the loss with torch.logsumexp over the alignments, one time step after the other",
    ),
    ("cdist", "torch.cdist", "take the norm of the differences x[:, None] - y[None]"),
    ("pdist", "pdist", "take the norm of the differences x[:, None] - x[None]"),
    (
        "embedding_bag",
        "EmbeddingBag",
        "look up with nn.Embedding and take the sum, mean or maximum over each bag",
    ),
    ("segment_reduce", "segment_reduce", "use index_add or scatter_reduce"),
    ("margin_loss", "a multi-class margin loss", "write the margins with clamp(min=0)"),
    (
        "cudnn_rnn",
        "the cuDNN kernel of recurrent layers",
        "run the layer under torch.backends.cudnn.flags(enabled=False)",
    ),
)

# What PyTorch says where no operation is named, as a part of its sentence.
_SENTENCES = (
    (
        "torch.compile",
        "a compiled model has no double backward",
        "run the model without torch.compile",
    ),
    (
        "use_reentrant=True",
        "reentrant checkpointing is differentiated by loss.backward() alone",
        "checkpoint with use_reentrant=False",
    ),
)

_NAMED = re.compile(r"derivative for '?(?:aten::)?_*(\w+?)(?:_backward)?'? is not implemented")


def not_twice_differentiable(error: Exception, graph: Iterable[Node] = ()) -> ValueError:
    """Return the error that names the operation without a second derivative, and the way out.

    Args:
        error: What PyTorch raised.
        graph: Nodes to look for a function that is marked ``once_differentiable`` in.

    Returns:
        The error to raise, of one line.

    Raises:
        torch.OutOfMemoryError: If that is what ``error`` is.

    Example:
        >>> said = RuntimeError("the derivative for '_cdist_backward' is not implemented.")
        >>> print(not_twice_differentiable(said))
        the loss cannot be differentiated twice (torch.cdist has no double backward); take the \
norm of the differences x[:, None] - y[None]
    """
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    said = str(error).strip().partition("\n")[0]
    reason, way_out = _reason(said, graph)
    advice = f"; {way_out}" if way_out else ""
    return ValueError(f"the loss cannot be differentiated twice ({reason}){advice}")


def _reason(said: str, graph: Iterable[Node]) -> tuple[str, str]:
    """Return what has no second derivative, and the way out."""
    named = _NAMED.search(said)
    if named is not None:
        operation = named.group(1)
        for part, name, way_out in _OPERATIONS:
            if part in operation:
                return f"{name} has no double backward", way_out
        known = f"write it with operations that have one{_FIRST_ONLY}"
        return f"the operation {operation} has no double backward", known
    for part, reason, way_out in _SENTENCES:
        if part in said:
            return reason, way_out
    if "once_differentiable" in said:
        names = sorted(
            {node.name().removesuffix("Backward") for node in graph if is_once_differentiable(node)}
        )
        return (
            f"{', '.join(names) or 'a function'} is marked once_differentiable",
            f"write its backward with differentiable operations, without the mark{_FIRST_ONLY}",
        )
    return said, ""
