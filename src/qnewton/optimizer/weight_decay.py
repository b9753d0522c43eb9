"""Decoupled weight decay of a step that is judged, θ ← (1 - β·w)·θ + s (AdamW).

H, g and ρ are those of the loss alone, so the step s is tried from parameters that have not
decayed. Judged from the decayed ones, a step that the decay has already taken, and more, would
climb at every length, and nothing would move ever again. The decay comes last, and the loss at
the very end has to be finite.
"""

import math
from dataclasses import dataclass

import torch

from qnewton.optimizer.local_loss import LocalLoss
from qnewton.optimizer.trial_loss import TrialLoss
from qnewton.optimizer.update import Change, decay_norm


@dataclass(frozen=True)
class Decay:
    """What weight decay did to a step.

    Attributes:
        norm: ‖β·w·θ‖₂, which it took off the parameters; 0 without any.
        change: Of the loss from the step's beginning to its end; ``None`` where nothing decayed.
        tries: Evaluations of the loss.
    """

    norm: float = 0.0
    change: float | None = None
    tries: int = 0

    @property
    def refusal(self) -> str | None:
        """Why the whole step was put back; ``None`` if it stands."""
        if self.change is None or math.isfinite(self.change):
            return None
        return "the loss is not finite once the weights decay"


def decay_weights(loss: LocalLoss, trial: TrialLoss) -> Decay:
    """Decay what has moved along a step, or put all parameters back to where it began.

    Cost: one evaluation of the loss where something decays, else none.
    """
    beginning = loss.evaluated.beginning
    assert beginning is not None
    starts = {id(p): at for p, at in zip(beginning.parameters, beginning.values, strict=True)}
    changes: list[Change] = []
    for group in loss.context.settings.groups:
        share = float(group["lr"]) * float(group["weight_decay"])
        if share > 0.0:
            reached = [p for p in group["params"] if id(p) in starts and p.grad is not None]
            changes.append(Change(reached, [starts[id(p)] for p in reached], -share))
    if not any(change.parameters for change in changes):
        return Decay()
    with torch.no_grad():
        for change in changes:
            if change.parameters:
                change.make()
    ended = loss.whole(trial()) - loss.value
    if not math.isfinite(ended):
        beginning.put_parameters_back()
    shares = [(change.directions, -change.length) for change in changes]
    return Decay(decay_norm(shares), ended, tries=1)
