"""How the length of an averaged step follows what the next batch says of it; plain numbers."""

import math
from dataclasses import dataclass
from typing import Any

from qnewton.optimizer.damping_rule import usual_norm

GAIN = 0.3
"""The most that the logarithm of α changes per step, per unit of agreement."""

FORGETTING = 3.0
"""How fast the gain falls: to FORGETTING/k after k steps, so that lengths settle."""

SETTLED_FIRST, SETTLED_LAST = 0.3, -0.1
"""Agreements at which lengths stay, in the first and in late steps. Lengths that grow until batches
disagree are too long when it is heard, and some losses never come back from there. Late, greedy
steps would settle before slow directions have come."""

FIRST_SHARE = 0.1
"""Share of Newton's length that the first step takes, if that is short."""

FIRST_OF_SIZE = 0.003
"""Share of the parameters' length that the first step takes at most."""

_HEARD_FIRST, _HEARD_LAST, _HEARD_LATER_BY = 4, 20, 1 / 10  # batches that agreement is made of
_EARLY = 100  # steps
_FALLS_FROM = 200  # k, as though there had been more steps: the first lengths are not that wrong
_NEWEST_RISE, _NEWEST_SLOPE, _NEWEST_BEND, _NEWEST_LOSS = 1 / 20, 1 / 10, 0.3, 1 / 20
_SOONEST = 10  # steps before which no loss is called an outlier
_OUT = 8.0  # standard deviations of the loss
_MOST = 100.0  # times the usual gradient
_SMALLEST = 1e-300


@dataclass(frozen=True, kw_only=True)
class LengthState:
    """What is known of the length, averaged over batches.

    Attributes:
        steps: How many there were.
        length: α; ``None`` before the first step.
        told: c, the slope of the next batch's loss along the last step, negated, per length.
        told_square: c², averaged.
        rise: αhmᵀm/2 of the steps m, averaged: the largest -c of steps that do not raise the loss.
        slope: -gᵀd/dᵀd of the step's own batch.
        bend: dᵀHd/dᵀd; ``None`` before it was measured.
        loss: The usual loss; ``None`` before the first step.
        spread: Its variance.
        unit: ‖g‖ of the first batch, which gradients are divided by before they are squared.
        usual: The usual ‖g‖.
    """

    steps: int = 0
    length: float | None = None
    told: float = 0.0
    told_square: float = 0.0
    rise: float = 0.0
    slope: float | None = None
    bend: float | None = None
    loss: float | None = None
    spread: float = 0.0
    unit: float | None = None
    usual: float = 0.0

    @property
    def agreement(self) -> float | None:
        """Return z = max(E[c], -E[αhmᵀm/2])/√E[c²]; ``None`` before the second batch.

        Along a step whose loss is -aα + ½hα² and does not rise, a ≥ ½hα, so that the slope at its
        end is at most ½hα. What a batch says beyond that it says because an epoch has every sample
        once: the next batch is unlike the last ones, most of all where epochs are short.
        """
        if self.told_square <= 0.0:
            return None
        return max(self.told, -self.rise) / math.sqrt(self.told_square)

    @property
    def settled(self) -> float:
        """The agreement z₀ at which the length stays."""
        early = math.exp(-self.steps / _EARLY)
        return SETTLED_LAST + (SETTLED_FIRST - SETTLED_LAST) * early

    @property
    def newton_length(self) -> float | None:
        """Where the own batch's loss is lowest along the direction; ``None`` if not known."""
        if self.slope is None or self.bend is None:
            return None
        return max(self.slope, _SMALLEST) / self.bend

    def is_out(self, loss: float) -> bool:
        """Return whether a loss is far above the usual ones.

        Example:
            >>> state = LengthState(steps=20, loss=1.0, spread=0.01)
            >>> state.is_out(1.5), state.is_out(2.0)
            (False, True)
        """
        if self.loss is None or self.steps <= _SOONEST:
            return False
        return loss > self.loss + _OUT * math.sqrt(self.spread)

    def share_of(self, gradient_norm: float) -> float:
        """Return by which a batch's loss is multiplied that is out of all proportion to the usual.

        Example:
            >>> LengthState(usual=1.0).share_of(50.0), LengthState(usual=1.0).share_of(1e20)
            (1.0, 1e-18)
        """
        most = _MOST * self.usual
        return most / gradient_norm if 0.0 < most < gradient_norm else 1.0

    def with_batch(self, loss: float, gradient_norm: float) -> "LengthState":
        """Return the state after one more batch; a loss that is far out teaches nothing."""
        state = replace(self, usual=usual_norm(self.usual, gradient_norm))
        if self.loss is None:
            return replace(state, loss=loss, unit=gradient_norm or 1.0)
        if self.is_out(loss):
            return state
        off = loss - self.loss
        spread = self.spread + _NEWEST_LOSS * (off * off - self.spread)
        return replace(state, loss=self.loss + _NEWEST_LOSS * off, spread=spread)

    def with_told(self, told: float) -> "LengthState":
        """Return the state, its length changed, after what the next batch said of the last step.

        log α grows by min(GAIN, FORGETTING/k)·(z - z₀), k the number of steps and z₀ from
        SETTLED_FIRST to SETTLED_LAST, and falls by 1/(k + 200) at most: steps that fall faster
        than 1/k have a finite sum, and may end anywhere.

        Args:
            told: -gᵀs/α, with g of the next batch at the end of the step s.

        Example:
            >>> short = LengthState(steps=2, length=1.0, told=1.0, told_square=1.0)
            >>> long = LengthState(steps=2, length=1.0, told=-1.0, told_square=1.0, rise=9.0)
            >>> short.with_told(1.0).length > 1.0 > long.with_told(-1.0).length
            True
        """
        heard = min(_HEARD_FIRST + _HEARD_LATER_BY * self.steps, _HEARD_LAST)
        newest = 1 / max(1.0, min(heard, self.steps))
        mean = self.told + newest * (told - self.told)
        square = self.told_square + newest * (told * told - self.told_square)
        state = replace(self, told=mean, told_square=square)
        if state.length is None or state.agreement is None:
            return state
        gain = min(GAIN, FORGETTING / (self.steps + _SOONEST))
        change = gain * (state.agreement - self.settled)
        change = max(change, -1 / (self.steps + _FALLS_FROM))
        return replace(state, length=state.length * math.exp(change))

    def with_slope(self, slope: float) -> "LengthState":
        """Return the state after the own batch's slope along one more direction."""
        if self.slope is None:
            return replace(self, slope=slope)
        return replace(self, slope=self.slope + _NEWEST_SLOPE * (slope - self.slope))

    def with_bend(self, bend: float) -> "LengthState":
        """Return the state after one more measurement of the curvature; its sign is left out."""
        if not math.isfinite(bend):
            return self
        found = max(abs(bend), _SMALLEST)
        if self.bend is None:
            return replace(self, bend=found)
        return replace(self, bend=self.bend + _NEWEST_BEND * (found - self.bend))

    def begun(self, longest: float) -> "LengthState":
        """Return the state with a first α.

        Args:
            longest: The parameters' length over that of the direction: where the loss is flat,
                Newton's length is many times as long as anything it tells of.
        """
        newton = self.newton_length
        if self.length is not None or newton is None:
            return self
        return replace(self, length=min(FIRST_SHARE * newton, FIRST_OF_SIZE * longest))

    def bounded(self) -> "LengthState":
        """Return the state with α no longer than Newton's length."""
        if self.length is None or self.newton_length is None:
            return self
        return replace(self, length=min(self.length, self.newton_length))

    def with_step(self, square: float) -> "LengthState":
        """Return the state after a step m of which mᵀm is given."""
        rise = (self.length or 0.0) * (self.bend or 0.0) * square / 2
        rise = self.rise + _NEWEST_RISE * (rise - self.rise)
        return replace(self, steps=self.steps + 1, rise=rise)

    def undone(self) -> "LengthState":
        """Return the state after a step that was put back: half as long, more spread is usual."""
        length = None if self.length is None else self.length / 2
        return replace(self, length=length, spread=1.5 * self.spread, steps=self.steps + 1)


def replace(state: LengthState, **changes: Any) -> LengthState:
    """Return a state with changes, in a third of the time of the function of dataclasses."""
    changed = object.__new__(LengthState)
    vars(changed).update(vars(state), **changes)
    return changed
