"""Derivatives of autograd graphs: walks over them, and many products of one, batched."""

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node
from torch.nn.attention import SDPBackend, sdpa_kernel

from qnewton.operators.private_torch import compiler_is_loaded, is_once_differentiable, leaf

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

Gradients = Sequence[Tensor | None]
"""One for each parameter; ``None`` where nothing is reached, which counts as zeros."""


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Run what has second derivatives: attention by plain operations, compiled models as written.

    PyTorch's fused kernels and compiled graphs have first ones alone.

    Cost: 16 µs, 10 more where something may be compiled; memory for the weights between all
    positions.
    """
    with sdpa_kernel(SDPBackend.MATH), ExitStack() as stack:
        if compiler_is_loaded():
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


@cache
def load_batching() -> None:
    """Load what the first batch of products would, a third of a second, before any clock runs."""
    with torch.enable_grad():
        x = torch.zeros(2, requires_grad=True)
        batched_grad([x**2], [x], [torch.zeros(2, 2)])


def batched_grad(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor] | Sequence[GradientEdge],
    grad_outputs: Sequence[Tensor],
) -> list[Tensor | None]:
    """Return the vector-Jacobian products of K cotangents at once; the graph is kept.

    Args:
        outputs: Differentiable tensors.
        inputs: Tensors, or places in the graph, to differentiate with respect to.
        grad_outputs: Cotangents, each of shape [K, *output.shape].

    Returns:
        For each input a tensor of shape [K, *input.shape], or ``None`` where nothing is reached.

    Raises:
        ValueError: If the graph cannot be differentiated again.

    Cost: K backward passes, in one batch unless an operation has no batching rule.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> batched_grad([x**2], [x], [torch.eye(2)])[0]
        tensor([[2., 0.],
                [0., 4.]])
    """
    reached: list[bool] = []

    def one(*cotangents: Tensor) -> tuple[Tensor, ...]:
        found = torch.autograd.grad(
            outputs, inputs, cotangents, retain_graph=True, allow_unused=True
        )
        reached[:] = [tensor is not None for tensor in found]
        return tuple(tensor for tensor in found if tensor is not None)

    def each() -> Sequence[Tensor]:
        singles = [one(*pieces) for pieces in zip(*grad_outputs, strict=True)]
        return [torch.stack(column) for column in zip(*singles, strict=True)]

    try:
        if len(grad_outputs[0]) == 1:
            columns = each()
        else:
            with warnings.catch_warnings():
                # An operation without a batching rule is looped over inside vmap, which warns.
                warnings.filterwarnings("ignore", message="There is a performance drop")
                columns = torch.func.vmap(one)(*grad_outputs)
    except RuntimeError:
        # Some operations refuse vmap altogether (random or in-place ones): one at a time.
        try:
            columns = each()
        except RuntimeError as error:
            raise not_twice_differentiable(error, _behind(outputs)) from error
    following = iter(columns)
    return [next(following) if known else None for known in reached]


def grad(
    output: Tensor | Sequence[GradientEdge],
    inputs: Sequence[Tensor] | Sequence[GradientEdge],
    cotangent: Tensor | Sequence[Tensor] | None = None,
    live: bool = False,
) -> Gradients:
    """Return the gradients of ``output``, with a graph if ``live``; that of ``output`` is kept.

    Raises:
        ValueError: If the graph cannot be differentiated.
    """
    with torch.enable_grad():
        try:
            return torch.autograd.grad(
                output, inputs, cotangent, retain_graph=True, create_graph=live, allow_unused=True
            )
        except RuntimeError as error:
            raise not_twice_differentiable(error, _behind(output)) from error


def grad_with_graph(
    output: Tensor | Sequence[GradientEdge],
    inputs: Sequence[Tensor],
    cotangent: Tensor | Sequence[Tensor] | None = None,
) -> Gradients:
    """Return the gradients of ``output`` with their own graph, to be differentiated again.

    Args:
        output: Differentiable tensor, or several places in a graph; its graph is kept.
        inputs: Tensors to differentiate with respect to.
        cotangent: Shape of ``output``, one each; may be left out for a scalar.

    Raises:
        ValueError: If the graph cannot be differentiated again.

    Cost: one backward pass with a graph.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> [slope] = grad_with_graph(x**2, [x])
        >>> torch.autograd.grad(slope, x)
        (tensor(2.),)
    """
    gradients = grad(output, inputs, cotangent, live=True)
    # PyTorch puts a node named Error behind a once_differentiable backward, then skips it
    # on the way to leaves it does not lead to: the curvature would silently lack a term.
    reached = [gradient.grad_fn for gradient in gradients if gradient is not None]
    if any(node.name() == "torch::autograd::Error" for node in graph_nodes(reached)):
        marked = RuntimeError("a function is marked once_differentiable")
        raise not_twice_differentiable(marked, _behind(output))
    return gradients


def grad_along(
    gradients: Mapping[int, Tensor | None],
    of: Sequence[Tensor],
    at: Sequence[Tensor],
    vectors: Tensor,
) -> Gradients:
    """Return ∂(gᵀv)/∂(each of ``at``) for K vectors v over the parameters ``of``, [K, n].

    Args:
        gradients: g of every parameter, by its id, with its graph.
        of: Parameters with n unknowns; a g without a graph counts as constant.
        at: Tensors to differentiate with respect to.
        vectors: The v.

    Cost: K backward passes through the graph of g.
    """
    live = [
        (found, piece.reshape(-1, *parameter.shape))
        for parameter, piece in zip(of, vectors.split([p.numel() for p in of], dim=1), strict=True)
        if (found := gradients[id(parameter)]) is not None and found.requires_grad
    ]
    if not live:
        return [None] * len(at)
    outputs, cotangents = zip(*live, strict=True)
    return batched_grad(outputs, at, cotangents)


def flat(gradients: Gradients, parameters: Sequence[Tensor]) -> Tensor:
    """Return gradients as one new vector."""
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def flat_rows(gradients: Gradients, parameters: Sequence[Tensor], like: Tensor) -> Tensor:
    """Return K gradients as rows, for ``like`` of shape [K, …]."""
    count = len(like)
    return torch.cat(
        [
            like.new_zeros((count, p.numel())) if g is None else g.reshape(count, -1)
            for g, p in zip(gradients, parameters, strict=True)
        ],
        dim=1,
    )


def leaf_uses(outputs: Sequence[Tensor], stop: Collection[Node | None] = ()) -> Counter[int]:
    """Count the edges of the graph that end in each leaf tensor, by the tensor's id.

    Args:
        outputs: Differentiable tensors.
        stop: The walk does not go past these nodes.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> leaf_uses([x * x.exp()])[id(x)]
        2
    """
    return leaf_counts(graph_nodes([output.grad_fn for output in outputs], stop))


def leaf_counts(nodes: Iterable[Node]) -> Counter[int]:
    """Count the edges from ``nodes`` that end in each leaf tensor, by the tensor's id."""
    found = (leaf(following) for node in nodes for following, _ in node.next_functions)
    return Counter(id(tensor) for tensor in found if tensor is not None)


def nodes_to(root: Tensor, targets: Collection[Node | None]) -> set[Node]:
    """Return the nodes from which a target is reached, not past other targets."""
    parents: dict[Node | None, list[Node]] = {}
    for node in graph_nodes([root.grad_fn], targets):
        for following, _ in node.next_functions:
            parents.setdefault(following, []).append(node)
    found: set[Node] = set()
    waiting = [node for target in targets for node in parents.get(target, ())]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += parents.get(node, ())
    return found


def graph_nodes(roots: Iterable[Node | None], stop: Collection[Node | None] = ()) -> Iterator[Node]:
    """Yield ``roots`` and every node of the graph behind them once, leaves included.

    Args:
        roots: The ``grad_fn`` of differentiable tensors, say.
        stop: These nodes and what lies behind them alone are left out.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> [node.name() for node in graph_nodes([x.exp().sum().grad_fn])]
        ['SumBackward0', 'ExpBackward0', 'torch::autograd::AccumulateGrad']
    """
    waiting = list(roots)
    seen: set[Node | None] = {None, *stop}
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [following for following, _ in node.next_functions]


def _behind(outputs: Tensor | Sequence[Tensor] | Sequence[GradientEdge]) -> Iterator[Node]:
    found = [outputs] if isinstance(outputs, Tensor) else outputs
    return graph_nodes([o.grad_fn if isinstance(o, Tensor) else o.node for o in found])


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
