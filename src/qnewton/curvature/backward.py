"""Watching a closure call ``backward``."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_ACCUMULATES = (
    "the closure added to a .grad that it had not cleared, whose curvature and loss are unknown; "
    "begin the closure with optimizer.zero_grad() and loop over the micro-batches inside it, or "
    "let the optimizer repeat them: attach() or repeatable(), or under Lightning QNewton(self)"
)


class BackwardPass(NamedTuple):
    """One call of ``backward``.

    Attributes:
        root: What it differentiated, with its graph.
        calls: Which of the layers' calls came between the call before it and this one.
        outputs: Which of the model's calls.
        frees_graph: Whether it would free its graph, so that no later call shares it.
    """

    root: Tensor
    calls: slice
    outputs: slice
    frees_graph: bool


class BackwardRecorder(TorchFunctionMode):
    """Lets ``Tensor.backward`` run as it is, but keeps the graph and remembers the root.

    Args:
        parameters: Whose gradients to follow.
        keep_graph: Whether the graph is needed.
        accumulates: Whether the first call may add to gradients that are there.
        mark: Counts the layers' and the model's calls up to now.

    Attributes:
        seen: Whether ``backward`` ran.
        root: What it differentiated since the gradients were cleared.
        passes: Its calls since then, with the graph.
        gradients: Copies of ``.grad`` after its last call.
        accumulated: Whether the first call found gradients.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        keep_graph: bool,
        accumulates: bool,
        mark: Callable[[], tuple[int, int]],
    ) -> None:
        super().__init__()
        self._parameters = parameters
        self._keep_graph = keep_graph
        self._accumulates = accumulates
        self._mark = mark
        self._marked = (0, 0)
        self.seen = False
        self.root: Tensor | None = None
        self.passes: list[BackwardPass] = []
        self.gradients: list[Tensor | None] = []
        self.accumulated = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not Tensor.backward:
            return func(*args, **kwargs)
        if kwargs.get("inputs") is not None:
            raise ValueError(
                "the closure calls backward(inputs=...), so its gradient is not that of one loss; "
                "call loss.backward() and freeze other parameters with requires_grad_(False)"
            )
        self._look_at_what_is_there()
        self.seen = True
        if not self._keep_graph:
            returned = func(*args, **kwargs)
        else:
            frees = not (kwargs.get("retain_graph") or kwargs.get("create_graph"))
            self._add_root(args[0], kwargs.get("gradient"), frees)
            returned = func(*args, **{**kwargs, "retain_graph": True})
        self.gradients = [
            None if p.grad is None else p.grad.detach().clone() for p in self._parameters
        ]
        return returned

    def _look_at_what_is_there(self) -> None:
        there = [p.grad for p in self._parameters if p.grad is not None]
        if self.seen:
            if not there:  # cleared in between, so what came before does not count
                self.root, self.accumulated = None, False
                self.passes.clear()
            return
        self.accumulated = any(
            bool((g.coalesce().values() if g.is_sparse else g).any()) for g in there
        )
        if self.accumulated and not self._accumulates:
            raise ValueError(_ACCUMULATES)

    def _add_root(self, loss: Tensor, gradient: Tensor | None, frees_graph: bool) -> None:
        # A copy, because the closure may go on to change its loss tensor in place.
        with torch.enable_grad():
            term = loss.clone() if gradient is None else (loss * gradient.detach()).sum()
            term = term.reshape(())
            self.root = term if self.root is None else self.root + term
        (calls, outputs), self._marked = self._marked, self._mark()
        self.passes.append(
            BackwardPass(
                root=term,
                calls=slice(calls, self._marked[0]),
                outputs=slice(outputs, self._marked[1]),
                frees_graph=frees_graph,
            )
        )
