"""Trying lengths of a step on the true loss."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.metric import PLAIN, Metric
from qnewton.optimizer.proposals import Candidate, Proposal

MOST_TRIES = 12
_MOST_BENDS = 4
_ENOUGH = 1e-4  # share of the predicted decrease that a length has to keep (Armijo)


class LineSearch:
    """Lengths of one or several candidate steps, shortened until the loss falls enough.

    Args:
        parameters: What is moved.
        loss: The loss at whatever they are.
        before: The loss where they are now.
        proposal: One step to try, or two.
        lengths: How many are tried at most.
        bend: What a step whose ρ is off may turn into, given it, what was tried last and ρ there;
            the best of them is taken.
        metric: The variables that steps are in.

    Attributes:
        proposal: The same.
        taken: The step that was taken, shape [N]; zero if none was.
        predicted: The model's change for the last length tried.
        actual: The true one; ``None`` if it was not looked at or is not finite.
        ratio: ρ of the first length tried; ``None`` if none was, -inf for a loss not finite.
        step_norm: ‖taken‖₂.
        length: The share of the candidate that was taken; 0 if none was.
        shortest: The last length that was tried.
        count: Evaluations of the loss.

    Example:
        >>> place, step = torch.tensor([1.0]), torch.tensor([-4.0])
        >>> whole = Proposal(origin="newton", candidates=(Candidate(step, -8.0, 0.0),))
        >>> search = LineSearch([place], lambda: float(place**2), 1.0, whole)
        >>> search.run(rounding=0.0)
        >>> place, search.length
        (tensor([0.]), 0.25)
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        loss: Callable[[], float],
        before: float,
        proposal: Proposal,
        lengths: int = MOST_TRIES,
        bend: Callable[[Tensor, Tensor, float], Tensor | None] | None = None,
        metric: Metric = PLAIN,
    ) -> None:
        self._parameters, self._loss, self._before = parameters, loss, before
        self.proposal = proposal
        self._lengths, self._bend, self._metric = lengths, bend, metric
        self.taken = torch.zeros_like(proposal.candidates[0].step)
        self.predicted: float | None = None
        self.actual: float | None = None
        self.ratio: float | None = None
        self.step_norm = self.length = 0.0
        self.shortest = 1.0
        self.count = 0

    def run(self, rounding: float) -> None:
        """Move the parameters to the first good length, or leave them where they were.

        Whatever is raised on the way, they are left where they were.
        """
        base = [p.detach().clone() for p in self._parameters]
        try:
            self._try(base, rounding)
        except BaseException:
            self._put_back(base)
            raise

    def _try(self, base: list[Tensor], rounding: float) -> None:
        first = self.proposal.candidates[0]
        if abs(first.change()) <= rounding:
            # Neither model nor loss can tell this step from none: it is taken on the model's word.
            self.predicted = first.change()
            self._move(base, first.step, 1.0)
            self._accept(first.step, 1.0)
            return
        length, actual = 1.0, math.inf
        for _ in range(self._lengths):
            self.shortest = length
            for candidate in self.proposal.candidates:
                predicted = candidate.change(length)
                if predicted >= 0.0 <= candidate.slope:
                    continue  # uphill at every length, which no trial can mend
                step, actual = self._moved(base, candidate, length)
                ratio = _ratio(actual, predicted)
                if self.ratio is None:
                    self.ratio = ratio
                self.predicted = predicted
                self.actual = actual if math.isfinite(actual) else None
                if predicted < 0.0 and ratio > _ENOUGH:
                    self._accept(step, length)
                    return
            length *= _shorter(first.slope * length, actual) if math.isfinite(actual) else 0.25
        self._put_back(base)

    def _moved(
        self, base: list[Tensor], candidate: Candidate, length: float
    ) -> tuple[Tensor, float]:
        """Move along a step, or what it bends to as long as the loss is lower there."""
        step = taken = candidate.step
        actual, predicted = self._tried(base, step, length), candidate.change(length)
        if self._bend is None or length < 1.0:
            return step, actual
        for _ in range(_MOST_BENDS):
            ratio = _ratio(actual, predicted)
            bent = self._bend(step, taken, ratio) if math.isfinite(ratio) else None
            if bent is None:
                break
            found = self._tried(base, bent, length)
            if not found < actual:
                self._move(base, taken, length)
                break
            taken, actual = bent, found
        return taken, actual

    def _tried(self, base: list[Tensor], step: Tensor, length: float) -> float:
        self._move(base, step, length)
        self.count += 1
        return self._loss() - self._before

    def _put_back(self, base: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, kept in zip(self._parameters, base, strict=True):
                parameter.copy_(kept)

    def _move(self, base: list[Tensor], step: Tensor, length: float) -> None:
        pieces = self._metric.movement(step).split([p.numel() for p in self._parameters])
        with torch.no_grad():
            for parameter, kept, piece in zip(self._parameters, base, pieces, strict=True):
                parameter.copy_(torch.add(kept, piece.view_as(kept), alpha=length))

    def _accept(self, step: Tensor, length: float) -> None:
        self.taken = length * step
        self.length = length
        self.step_norm = safe_norm(self.taken)


def _ratio(actual: float, predicted: float) -> float:
    return actual / predicted if math.isfinite(actual) and predicted else -math.inf


def _shorter(slope: float, actual: float) -> float:
    """Return the share at which the parabola through the two losses and the slope is lowest."""
    bottom = -slope / (2 * (actual - slope)) if actual > slope else 0.5
    return min(max(bottom, 0.1), 0.5)
