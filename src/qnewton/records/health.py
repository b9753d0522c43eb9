"""How a run goes, told from the records of its last steps: what is wrong, and what to do."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Literal

from qnewton.records.damping import Convergence
from qnewton.records.steps import StepRecord

WINDOW = 16
"""Steps whose median is the running loss."""

SOONEST = 8
"""Steps before which nothing is said of a share of them."""

_SURE = {WINDOW: 0.95, 64: 0.75}  # share of pairs that noise alone reaches once in 2e6 windows
_OF_BEST, _OF_FIRST = 0.1, 0.01
_FROM_FIRST = 3.0
_REFUSED = 0.5
_FLAT = 1e-5  # ‖g‖ over that of the first step, below which a step that changes nothing is no loss
_AT_CEILING = 5


class HealthWarning(UserWarning):
    """What is wrong with a run, and what to do; each cause is reported once."""


class Cause(StrEnum):
    """What may be wrong with a run."""

    LOSS = "loss"
    DAMPING = "damping"
    REFUSED = "refused"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        cause: Which one.
        sentence: What was seen.
        remedy: What to do.
    """

    cause: Cause
    sentence: str
    remedy: str

    def __str__(self) -> str:
        """Return what was seen and what to do, in one line."""
        return f"{self.sentence}: {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a run goes.

    A loss has risen if its last 16 values lie above those of the best 16 steps in 95 of 100 pairs,
    or its last 64 above those of the best 64 in 75 of 100, which noise of any distribution does in
    one of two million comparisons (Mann and Whitney 1947), and if the medians differ by more than a
    tenth of the best and a hundredth of the first. Of a loss around zero, with both signs in these
    steps, there is no such share, and nothing is said. A positive loss that is three times the
    first one has risen, too, after 16 steps. λ at its ceiling is wrong after five steps in a row;
    at its floor it is harmless. A ceiling and refused steps are harmless as well where the run has
    converged, or its gradient is 1e-5 of the first.

    Attributes:
        steps: How many steps there are records of.
        loss: The running loss, the median of the last 16 steps (or fewer); ``None`` without any.
        trend: Its change since the 16 steps before; ``None`` where there are not as many.
        best: The lowest running loss (the highest where the loss is maximised) of earlier steps.
        refused: Share of the last 16 steps that changed nothing; ``None`` without any.
        converged: Why steps on the same loss can do nothing more, as the last one found.
        damping: λ that the next step begins with, where it sets itself.
        bound: Which of its bounds λ is at.
        findings: What is wrong; empty in a healthy run.

    Cost: a look at every record, a fifth of a millisecond for 1,000.

    Example:
        >>> Health.of([]).findings, str(Health.of([]))
        ((), 'healthy: no step so far')
    """

    steps: int
    loss: float | None = None
    trend: float | None = None
    best: float | None = None
    refused: float | None = None
    converged: Convergence | None = None
    damping: float | None = None
    bound: Literal["floor", "ceiling"] | None = None
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, records: Iterable[StepRecord], maximize: bool = False) -> "Health":
        """Return what the records of consecutive steps say.

        Args:
            records: The oldest first.
            maximize: Whether the loss is to rise.
        """
        kept = list(records)
        if not kept:
            return cls(steps=0)
        sign = -1.0 if maximize else 1.0
        # A loss that is not a number is worse than any.
        losses = [sign * r.loss if math.isfinite(r.loss) else math.inf for r in kept]
        now, *earlier = map(median, _windows(losses, WINDOW))
        last, recent = kept[-1], kept[-WINDOW:]
        refused = [record for record in recent if record.skipped and not _is_idle(record, kept[0])]
        damping = last.damping
        bound = None
        if damping is not None and damping.at_bound:
            bound = "ceiling" if damping.at_ceiling else "floor"
        findings = (
            _risen(losses, sign, whole=kept[0].step == 0),
            _at_ceiling(kept),
            _refused(recent, refused, kept[0]),
        )
        return cls(
            steps=len(kept),
            loss=sign * now,
            trend=sign * (now - earlier[0]) if earlier and math.isfinite(earlier[0]) else None,
            best=sign * min(earlier) if earlier else None,
            refused=sum(record.skipped is not None for record in recent) / len(recent),
            converged=None if damping is None else damping.converged,
            damping=None if damping is None else damping.next_strength,
            bound=bound,
            findings=tuple(finding for finding in findings if finding is not None),
        )

    def __str__(self) -> str:
        """Return one line: whether all is well, the numbers, what is wrong and what to do."""
        if self.loss is None or self.refused is None:
            return "healthy: no step so far"
        loss = f"{self.loss:.4g}" if math.isfinite(self.loss) else "not a finite number"
        parts = [f"{'unhealthy' if self.findings else 'healthy'}: loss {loss}"]
        if self.trend is not None:
            parts.append(f"{self.trend:+.2g} in {WINDOW} steps")
        parts.append(f"{self.refused:.0%} of the steps refused")
        if self.damping is not None:
            at = "" if self.bound is None else f" at its {self.bound}"
            parts.append(f"λ {self.damping:.3g}{at}")
        end = [] if self.converged is None else [f"converged: {self.converged.sentence}"]
        return "; ".join([", ".join(parts), *end, *map(str, self.findings)])


def _windows(losses: Sequence[float], size: int) -> list[Sequence[float]]:
    """Return the losses of ``size`` steps each, the last ones first; all of fewer steps."""
    ends = range(len(losses), size - 1, -size)
    return [losses[end - size : end] for end in ends] or [losses]


def _risen(losses: Sequence[float], sign: float, whole: bool) -> Finding | None:
    """Return that the loss lies above its best steps, or its first one, if it does beyond noise.

    Args:
        losses: Of every step, the lower the better.
        sign: That they were multiplied with.
        whole: Whether the first one is the run's.
    """
    for size, sure in _SURE.items():
        now, *earlier = _windows(losses, size)
        late, medians = median(now), [median(window) for window in earlier]
        around_zero = min(now) < 0.0 < max(now)  # as a policy's surrogate is when all is well
        if not medians or not math.isfinite(min(medians)) or around_zero:
            continue
        best = medians.index(min(medians))
        least = _OF_BEST * abs(medians[best]) + _OF_FIRST * abs(medians[-1])
        if late - medians[best] > least and _share_above(now, earlier[best]) >= sure:
            return _worse(sign * medians[best], sign * late, (best + 1) * size)
    late = median(losses[-WINDOW:])
    if whole and len(losses) >= WINDOW and 0.0 < losses[0] < late / _FROM_FIRST:
        return _worse(sign * losses[0], sign * late, len(losses))
    return None


def _share_above(late: Sequence[float], early: Sequence[float]) -> float:
    return sum(x > y for x in late for y in early) / (len(late) * len(early))


def _worse(before: float, now: float, steps: int) -> Finding:
    return Finding(
        Cause.LOSS,
        f"the loss went the wrong way within {steps} steps, from {before:.3g} to {now:.3g}",
        "take larger batches, lower lr, or give damping a larger number",
    )


def _is_idle(record: StepRecord, first: StepRecord) -> bool:
    """Return whether a step had nothing to do: it was held, or the run is at its end."""
    over = record.damping is not None and record.damping.converged is not None
    slope, steep = record.gradient_norm, first.gradient_norm
    flat = slope is not None and steep is not None and steep > 0.0 and slope <= _FLAT * steep
    return record.held or over or flat


def _at_ceiling(records: Sequence[StepRecord]) -> Finding | None:
    """Return that λ stays at its ceiling, if it does."""
    last = [r.damping for r in records[-_AT_CEILING:] if not _is_idle(r, records[0])]
    held = [damping for damping in last if damping is not None and damping.at_ceiling]
    if len(held) < _AT_CEILING:
        return None
    return Finding(
        Cause.DAMPING,
        f"λ was at its ceiling for {_AT_CEILING} steps, {held[-1].next_strength:.3g}: "
        "no step does to the loss what its derivatives say",
        "let the closure give the same loss for the same parameters, or train in float64",
    )


def _refused(
    recent: Sequence[StepRecord], refused: Sequence[StepRecord], first: StepRecord
) -> Finding | None:
    """Return that many of the steps changed nothing, if they did not.

    Args:
        recent: The last steps.
        refused: Those of them that had something to do, and changed nothing.
        first: The first step that is known.
    """
    if len(recent) < SOONEST or len(refused) < _REFUSED * len(recent):
        return None
    if first.step == 0 and math.isnan(first.loss):
        return Finding(
            Cause.REFUSED,
            f"the loss is NaN, and was at the very first step, so that {len(refused)} of the last "
            f"{len(recent)} steps changed nothing",
            "look for NaN in the inputs or targets, or for a logarithm, root or division in the "
            "loss that has no value",
        )
    return Finding(
        Cause.REFUSED,
        f"{len(refused)} of the last {len(recent)} steps changed nothing, the last of them "
        f"because {refused[-1].skipped}",
        "look at `skipped` in the records; numbers that are not finite call for smaller inputs "
        "or a smaller lr, a loss that no length lowers for a closure that repeats itself or for "
        "float64, and one without a gradient for parameters that it depends on",
    )
