"""Runs a closure once, as PyTorch would, and keeps what curvature needs of it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from qnewton.curvature.autograd import Gradients, flat
from qnewton.curvature.generic import GradientGraph
from qnewton.curvature.layers import LayerCall
from qnewton.curvature.routes import GraphWork, graph_work
from qnewton.curvature.watching import (
    BackwardPass,
    BackwardRecorder,
    RecordedOutput,
    Recorder,
    SignalRecorder,
)
from qnewton.operators.private_torch import version

Closure = Callable[[], Any]

_SAY_HOW = "let the closure call loss.backward(), or return the loss with its graph"


@dataclass
class Evaluation:
    """The loss and gradient at the present parameters, with the graph curvature is made from.

    Attributes:
        loss: What the closure returned, as a float.
        root: Live scalar whose gradient is that of the closure's ``backward`` calls; ``None``
            when curvature was not asked for, or after :meth:`release`.
        parameters: Trainable parameters.
        gradients: Their ``.grad`` as the closure left it (clipping counts; not a copy), ``None``
            for a parameter the loss does not reach.
        calls: Passes through linear and convolution layers, in the order they ran.
        batch: Leading dimension of the first such layer's input, if it ran once.
        work: That of one forward and backward pass, counted from the graph of the loss, such as
            6·n·T·in·out operations a linear layer; ``None`` without a graph.
        outputs: What the model's calls returned, if they were to be recorded.
        returned: What the closure returned; a tensor without its graph, which a list of losses
            would keep alive.
        loss_gradients: ∂loss/∂parameter as ``backward`` left it, before the closure clipped or
            changed it; ``None`` for a parameter the loss does not reach. Empty where nobody
            looked.
        differentiated: The value of what was differentiated, if it may be another than the loss.
        accumulated: Whether ``.grad`` held gradients of something else before.
        by_signals: Whether a :class:`SignalRecorder` watched the backward pass.
        parts: The evaluations of which this one is the sum, with their weights.
        shares: Whether the parts' losses are shares of one mean over all samples.
        closure: The closure, to check derivatives with, until :meth:`release`; ``None`` where
            another's is checked.
    """

    loss: float
    root: Tensor | None
    parameters: tuple[Tensor, ...]
    gradients: tuple[Tensor | None, ...]
    calls: tuple[LayerCall, ...] = ()
    batch: int | None = None
    work: GraphWork | None = None
    outputs: tuple[RecordedOutput, ...] = ()
    returned: Any = None
    loss_gradients: tuple[Tensor | None, ...] = ()
    differentiated: float | None = None
    accumulated: bool = False
    by_signals: bool = False
    parts: "tuple[tuple[float, Evaluation], ...]" = ()
    shares: bool = False
    closure: Closure | None = None
    squares: Any = None
    _gradient_graph: GradientGraph | None = None

    @property
    def judged_loss(self) -> float:
        """What a change of parameters is judged by: the value whose gradient ``.grad`` is.

        A closure may return another number, as one that differentiates a share of its loss does.
        """
        return self.loss if self.differentiated is None else self.differentiated

    @property
    def forward_backward_flops(self) -> float | None:
        """Operations of one forward and backward pass, of its products and convolutions."""
        return None if self.work is None else self.work.flops

    def gradient_graph(self) -> GradientGraph:
        """Return the gradient with its graph, the same at every call until :meth:`release`.

        Raises:
            ValueError: If there is no graph.
        """
        if self.root is None:
            raise ValueError("this evaluation keeps no graph; ask before release()")
        if self._gradient_graph is None:
            self._gradient_graph = GradientGraph(self.root, self.parameters)
        return self._gradient_graph

    def gradient(self, parameters: Sequence[Tensor]) -> Tensor:
        """Return a new flat tensor with the ``.grad`` of ``parameters``; missing counts as 0."""
        return self._flat(parameters, self.gradients)

    def loss_gradient(self, parameters: Sequence[Tensor]) -> Tensor:
        """Return a new flat tensor with the loss's slope, which clipping does not change."""
        return self._flat(parameters, self.loss_gradients or self.gradients)

    def _flat(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
        known = dict(zip(map(id, self.parameters), gradients, strict=True))
        return flat([known[id(p)] for p in parameters], parameters).detach()

    def release(self) -> None:
        """Let go of the graph; losses and gradients stay."""
        self.root = None
        self._gradient_graph = None
        self.calls = ()
        self.outputs = ()
        for _, part in self.parts:
            part.release()
        self.parts = ()
        self.closure = None
        self.squares = None


def evaluate(
    closure: Closure,
    parameters: Sequence[Tensor],
    recorder: Recorder | None = None,
    accumulates: bool = False,
) -> Evaluation:
    """Run ``closure`` once and return its loss, gradients and, if recorded, its graph.

    A closure may call ``loss.backward()`` (the calls add up, as in PyTorch) and return the loss,
    live, detached or as a float; or only return the live loss, whose gradient then replaces
    ``.grad``.

    Args:
        closure: Computes the loss at the present parameters.
        parameters: Trainable parameters.
        recorder: Records what curvature needs, and the graph is kept; ``None`` for a plain step.
        accumulates: Let the closure add to gradients that it did not clear.

    Raises:
        ValueError: If no gradient can be had from the closure, or it adds to an earlier one, with
            the way out.
    """
    curvature, recorder = recorder is not None, recorder or Recorder()
    with torch.enable_grad(), ExitStack() as until_backward, ExitStack() as stack:
        watch = until_backward if recorder.through_backward else stack
        watch.enter_context(recorder.watching())
        backward = BackwardRecorder(parameters, curvature, accumulates, recorder)
        stack.enter_context(backward)
        returned = closure()
        stack.close()
        loss = loss_value(returned)
        root = backward.root
        if not backward.seen:
            root = _differentiate(returned, parameters, keep_graph=curvature)
    by_signals = isinstance(recorder, SignalRecorder)
    calls = () if by_signals else tuple(recorder.calls)
    gradients = tuple(_detached([p.grad for p in parameters]))
    evaluation = Evaluation(
        loss=loss,
        root=root if curvature else None,
        parameters=tuple(parameters),
        gradients=gradients,
        calls=calls,
        batch=_batch(calls),
        work=graph_work(root) if curvature and root is not None else None,
        outputs=tuple(recorder.outputs),
        returned=returned.detach() if isinstance(returned, Tensor) else returned,
        loss_gradients=tuple(backward.gradients) if backward.seen else gradients,
        differentiated=None if root is None else float(root.detach()),
        accumulated=backward.accumulated,
        by_signals=by_signals,
        closure=closure if curvature else None,
    )
    parts = _shares(evaluation, backward.passes) if curvature else ()
    return replace(evaluation, parts=parts, shares=bool(parts))


def _shares(
    whole: Evaluation, passes: Sequence[BackwardPass]
) -> tuple[tuple[float, Evaluation], ...]:
    """Return the evaluation of each ``backward`` that had a call of the model to itself."""
    # There are none unless that holds for all of several: two may share a graph, for one.
    alone = all(p.frees_graph and p.outputs.stop == p.outputs.start + 1 for p in passes)
    if len(passes) < 2 or not alone:
        return ()
    return tuple(
        (
            1.0,
            replace(
                whole,
                loss=float(one.root.detach()),
                root=one.root,
                calls=whole.calls[one.calls],
                batch=_batch(whole.calls[one.calls]),
                work=graph_work(one.root),
                outputs=whole.outputs[one.outputs],
                by_signals=False,
                closure=None,
            ),
        )
        for one in passes
    )


def evaluate_plainly(closure: Closure, parameters: Sequence[Tensor]) -> Evaluation:
    """Run ``closure`` once for a first-order step, at the cost it has in PyTorch.

    Nothing intercepts the closure (that costs microseconds per call of PyTorch, a quarter of a
    small model's step): whether it called ``backward`` shows in the gradients.

    Args:
        closure: Computes the loss at the present parameters.
        parameters: Trainable parameters.

    Raises:
        ValueError: If no gradient can be had from the closure, with the way out.
    """
    # The last old gradient is held, so that no new one takes over its memory and identity.
    old, before = None, []
    for parameter in parameters:
        old = parameter.grad
        before.append(None if old is None else (id(old), version(old)))
    with torch.enable_grad():
        returned = closure()
        loss = loss_value(returned)
        if not _backward_ran(returned, parameters, before):
            _differentiate(returned, parameters, keep_graph=False)
    del old
    gradients = [parameter.grad for parameter in parameters]
    if any(g is not None and g.requires_grad for g in gradients):
        gradients = _detached(gradients)
    returned = returned.detach() if isinstance(returned, Tensor) else returned
    return Evaluation(loss, None, tuple(parameters), tuple(gradients), returned=returned)


def _backward_ran(
    returned: Any, parameters: Sequence[Tensor], before: Sequence[tuple[int, int] | None]
) -> bool:
    written = False
    for parameter, past in zip(parameters, before, strict=True):
        gradient = parameter.grad
        if gradient is None:
            continue
        if past is None or past[0] != id(gradient):
            return True
        written = written or past[1] != version(gradient)
    if not written or not (isinstance(returned, Tensor) and returned.requires_grad):
        return written
    # Written in place: by backward, or by zero_grad(set_to_none=False) alone.
    return any(p.grad is not None and bool(p.grad.any()) for p in parameters)


def _detached(gradients: Gradients) -> list[Tensor | None]:
    return [None if gradient is None else gradient.detach() for gradient in gradients]


def loss_value(returned: Any) -> float:
    """Return the number that a closure returned.

    Raises:
        ValueError: If it is not one number.
    """
    if isinstance(returned, Tensor):
        if returned.numel() != 1:
            raise ValueError(
                f"the closure returned a tensor of shape {tuple(returned.shape)}; "
                "return one number, the mean or sum of the losses"
            )
        return float(returned.item())
    if isinstance(returned, int | float):
        return float(returned)
    raise ValueError(f"the closure returned {type(returned).__name__}, not a loss; {_SAY_HOW}")


def _differentiate(returned: Any, parameters: Sequence[Tensor], keep_graph: bool) -> Tensor:
    """Store the gradient of a live loss in ``.grad`` and return the loss."""
    if not isinstance(returned, Tensor) or not returned.requires_grad:
        raise ValueError(
            f"the closure returned a loss without a graph and never called backward; {_SAY_HOW}"
        )
    root = returned.reshape(())
    for parameter in parameters:
        parameter.grad = None
    try:
        root.backward(retain_graph=keep_graph)
    except RuntimeError as error:
        if "backward through the graph a second time" not in str(error):
            raise
        raise ValueError(
            "the graph of the returned loss is already freed (torch.autograd.backward cannot be "
            f"seen); {_SAY_HOW}"
        ) from error
    return root


def _batch(calls: Sequence[LayerCall]) -> int | None:
    if not calls or calls[0].input.ndim < 2:
        return None
    if sum(call.layer is calls[0].layer for call in calls) > 1:
        return None
    return calls[0].input.shape[0]
