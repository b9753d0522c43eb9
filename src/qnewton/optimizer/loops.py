"""What training loops do with an optimizer beside its step: attach a model, register hooks."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from qnewton.optimizer.attachment import Attachment, LossOf, RepeatableLoss
from qnewton.optimizer.contract import ContractOptimizer
from qnewton.optimizer.hooks import SolutionHook, StageHook, StepHooks


class LoopOptimizer(ContractOptimizer):
    """An optimizer that may know the loss of a loop which passes no closure."""

    _hooks: StepHooks
    _attachment: Attachment | None

    def attach(self, model: nn.Module, loss_fn: LossOf) -> Attachment:
        """Let a bare :meth:`step` know the loss, for training loops that pass no closure.

        From then on the training passes of ``model`` are remembered until the next step, which
        repeats them for the curvature: with the same inputs, random state and autocast, weighted
        as ``backward`` weighted their losses, and without touching buffers. The right-hand side
        stays ``.grad`` as the loop left it, so accumulation and clipping count.

        Args:
            model: The module that the loop calls, before any wrapping.
            loss_fn: Maps the model's output to the tensor that the loop differentiates, such as
                ``lambda output: output.loss``.

        Returns:
            The attachment, whose ``remove()`` ends it.

        Cost: one more forward and backward pass per Newton step.

        Example:
            >>> import torch
            >>> from qnewton import QNewton
            >>> class Distance(nn.Module):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.place = nn.Parameter(torch.tensor([3.0]))
            ...     def forward(self, x):
            ...         return {"loss": (self.place - x).square().sum()}
            >>> net = Distance()
            >>> optimizer = QNewton(net, damping=0.0)
            >>> handle = optimizer.attach(net, lambda output: output["loss"])
            >>> net(torch.tensor([1.0]))["loss"].backward()
            >>> optimizer.step()
            >>> net.place.item()
            1.0
        """
        attachment = self._attach()
        attachment.watch_model(model, loss_fn)
        return attachment

    def repeatable(self, loss_of: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that computes the same loss, and which a step can repeat.

        For loops that compute their loss outside of the model; else as :meth:`attach`, which it
        replaces.

        Args:
            loss_of: Returns the loss, or a tuple that begins with it, or a mapping with ``loss``.
                It must run the module itself.

        Example:
            >>> import torch
            >>> from qnewton import QNewton
            >>> net = nn.Linear(1, 1, bias=False)
            >>> optimizer = QNewton(net, damping=0.0)
            >>> loss_of = optimizer.repeatable(lambda x, y: (net(x) - y).square().mean())
            >>> for x, y in [([[1.0]], [[2.0]]), ([[2.0]], [[4.0]])]:
            ...     (loss_of(torch.tensor(x), torch.tensor(y)) / 2).backward()
            >>> optimizer.step()
            >>> round(net.weight.item(), 5)
            2.0
        """
        return RepeatableLoss(self._attach(), loss_of)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, and forget the passes that an attachment remembers of them."""
        super().zero_grad(set_to_none)
        if self._attachment is not None:
            self._attachment.gradients_are_cleared()

    def _attach(self) -> Attachment:
        if self._attachment is not None:
            self._attachment.remove()
        self._attachment = Attachment(
            lambda: [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        )
        return self._attachment

    def register_solution_hook(self, hook: SolutionHook) -> RemovableHandle:
        """Call ``hook(step, system, record, direction)`` for every block that is solved.

        The system is the treated one, so a hook can solve it again by other means.
        """
        handle = RemovableHandle(self._hooks.solution)
        self._hooks.solution[handle.id] = hook
        return handle

    def register_stage_hook(self, hook: StageHook) -> RemovableHandle:
        """Call ``hook(step, stage)`` when a stage of a step begins, to show progress inside it."""
        handle = RemovableHandle(self._hooks.stage)
        self._hooks.stage[handle.id] = hook
        return handle

    def _begin_without_hooks(self) -> None:
        self._hooks = StepHooks()
        self._attachment = None
