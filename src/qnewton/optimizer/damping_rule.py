"""How λ and the trust radius follow what steps came to; plain numbers, no tensors."""

import math
from dataclasses import dataclass

GROWTH = 4.0
"""λ's factor after a step the model did not predict, or whose system nobody could solve."""

FAILURE_GROWTH = 10.0
"""λ's factor after a step that could not be taken, or a loss that is not finite."""

ENOUGH = 1e-9
"""Share of λ in the curvature along a step below which a smaller λ would not change the step."""

_FIRST_SHARE = 0.1  # of the curvature along the gradient, for the first λ
_RADIUS_GROWTH = 2.0
_CLIPPED_GROWTH = 2.0
_RAISED = 0.8  # λ's factor after a good step that was refused at a quarter of that λ
_UNSEEN = 0.2  # λ's factor where it is the reason that a step cannot be seen in the loss
_ABOVE_NORM = 10.0  # a λ this many times ‖H‖ leaves nothing of H in the step
_LEARNED = 0.2  # weight of the newest gradient in the usual one


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step came to.

    Attributes:
        ratio: ρ of the first length tried; ``None`` below rounding; -inf for a loss that is not
            finite.
        step_norm: Length of the step taken.
        clipped: Whether Δ cut it.
        refused: Whether no length was taken.
        unsolved: Whether no solver had a direction at this λ, so that the step is a damped
            gradient.
        share: λ‖x‖²/-gᵀx of the step x that the systems gave: the share of λ in the curvature along
            it. ``None`` if there is no x.
        noise: Whether the lengths that were refused went down to changes that rounding hides.
        raised: Whether the same step was refused at a smaller λ before.
    """

    ratio: float | None
    step_norm: float = 0.0
    clipped: bool = False
    refused: bool = False
    unsolved: bool = False
    share: float | None = None
    noise: bool = False
    raised: bool = False


@dataclass(frozen=True)
class Bounds:
    """Between which λ means something.

    Attributes:
        floor: Below it, λ is lost in the rounding of H.
        ceiling: Above it, H is lost beside λ, and the step in the rounding of the loss, so that
            no step can tell whether λ is too large.
    """

    floor: float = 0.0
    ceiling: float = math.inf

    def clamp(self, strength: float) -> float:
        """Return the nearest λ between the bounds."""
        return max(min(strength, self.ceiling), self.floor)


_SHORTEST, _LONGEST = 1e-300, 1e300


@dataclass(frozen=True)
class Rule:
    """λ and Δ after a step, and why.

    Attributes:
        strength: The next λ.
        radius: The next Δ.
        reason: In one sentence.
    """

    strength: float
    radius: float
    reason: str


def first_strength(curvature_along_gradient: float, otherwise: float = 1.0) -> float:
    """Return the first λ: a tenth of |gᵀHg|/gᵀg, whatever the units of the loss.

    Args:
        curvature_along_gradient: gᵀHg/gᵀg.
        otherwise: λ where that is zero or not finite: ‖g‖/Δ gives a step of length Δ.

    Example:
        >>> first_strength(-20.0), first_strength(0.0, otherwise=3.0)
        (2.0, 3.0)
    """
    for found in (_FIRST_SHARE * abs(curvature_along_gradient), otherwise):
        if 0.0 < found < math.inf:
            return found
    return 1.0


def ceiling(gradient_norm: float, curvature_norm: float, rounding: float) -> float:
    """Return the largest λ that a step can tell from a larger one.

    At a λ far above ‖H‖ the step is -g/λ and promises ‖g‖²/2λ. Where the loss cannot show that
    beside its rounding there is no evidence that λ has to be so large; nor does H need it, if λ
    is above ‖H‖.

    Args:
        gradient_norm: ‖g‖.
        curvature_norm: ‖H‖, or an estimate.
        rounding: Smallest change of the loss that is no rounding.

    Example:
        >>> ceiling(gradient_norm=2.0, curvature_norm=3.0, rounding=1e-6)
        2000000.0
    """
    by_curvature = _ABOVE_NORM * curvature_norm
    if rounding <= 0.0 or not math.isfinite(by_curvature):
        return math.inf
    try:
        return max(gradient_norm / (2.0 * rounding) * gradient_norm, by_curvature)
    except OverflowError:
        return math.inf


def usual_norm(usual: float, latest: float) -> float:
    """Return the usual size of the gradient after one more: a geometric mean that forgets.

    One batch far out of the ordinary moves it by a fifth of its distance, and is forgotten as fast.

    Example:
        >>> round(usual_norm(1.0, 1e5), 6), usual_norm(1.0, 0.0)
        (10.0, 1.0)
    """
    if not (0.0 < latest < math.inf):
        return usual
    if not (0.0 < usual < math.inf):
        return latest
    return math.exp((1 - _LEARNED) * math.log(usual) + _LEARNED * math.log(latest))


def next_rule(
    strength: float, radius: float, result: StepResult, bounds: Bounds = Bounds()
) -> Rule:
    """Return the next λ and Δ.

    λ falls where the model predicts well (ρ > 0.9: to a fifth; ρ > ¾: to a half) and λ still
    shortens the step, and grows fourfold where it does not (ρ < ¼); tenfold where no length lowers
    the loss. After a good step that was refused at a smaller λ, a fifth of λ would be refused once
    more, and λ falls to four fifths. Where rounding hides what the step did, λ falls if it is what
    made the step short, and stays otherwise. Δ is at most half the step after a bad prediction, at
    least twice the step after a good one.

    Args:
        strength: λ.
        radius: Δ.
        result: What the step came to.
        bounds: Smallest and largest λ.

    Reference: Marquardt 1963; Conn, Gould and Toint, Trust-Region Methods, 17.1; Martens 2010.

    Example:
        >>> next_rule(1.0, 4.0, StepResult(ratio=0.95, step_norm=1.0, share=0.5)).strength
        0.2
    """
    factor, radius, reason = _change(radius, result)
    radius = min(max(radius, _SHORTEST), _LONGEST)
    found = bounds.clamp(strength * factor)
    if found != strength * factor:
        which = "ceiling" if found < strength * factor else "floor"
        reason = f"{reason}, to its {which} of {found:.3g}"
    return Rule(found, radius, reason)


def _change(radius: float, result: StepResult) -> tuple[float, float, str]:
    """Return λ's factor, the next Δ, and why."""
    ratio, step_norm = result.ratio, result.step_norm
    short = result.share is not None and result.share > 0.5
    if result.refused and result.noise and short:
        hidden = "no length tried lowers the loss beyond its rounding, and λ makes the step short"
        return _UNSEEN, radius, f"{hidden}, so λ falls ×{_UNSEEN:g}"
    if result.refused and result.noise:
        return 1.0, radius, "no length tried lowers the loss beyond its rounding, so λ stays"
    if result.refused:
        reason = "no length tried lowers the loss, so λ grows tenfold"
        return FAILURE_GROWTH, radius / GROWTH, reason
    if result.unsolved:
        return GROWTH, radius, "no solver has a direction at this λ, so it grows fourfold"
    if ratio is None and short:
        hidden = "the change of the loss is below rounding because λ makes the step short"
        return _UNSEEN, radius, f"{hidden}, so λ falls ×{_UNSEEN:g}"
    if ratio is None:
        return 1.0, radius, "the change of the loss is below rounding, so λ stays"
    if ratio < 0.25:
        factor = GROWTH if math.isfinite(ratio) else FAILURE_GROWTH
        shorter = min(radius, step_norm / 2) if step_norm > 0 else radius
        return factor, shorter, f"ρ = {ratio:.2f} is below ¼, so λ grows ×{factor:g}"
    if ratio <= 0.75:
        return 1.0, radius, f"ρ = {ratio:.2f} lies between ¼ and ¾, so λ stays"
    good, longer = f"ρ = {ratio:.2f} is above ¾", max(radius, _RADIUS_GROWTH * step_norm)
    if result.clipped:
        reason = f"{good}, but the step reached past Δ, so both grow twofold"
        return _CLIPPED_GROWTH, longer, reason
    if result.share is not None and result.share <= ENOUGH:
        return 1.0, longer, f"{good}, and λ no longer changes the step, so it stays"
    factor = 0.2 if ratio > 0.9 else 0.5
    if result.raised:
        refused = f"a smaller λ was refused, so λ falls ×{_RAISED:g} only"
        return _RAISED, longer, f"{good}, but {refused}"
    return factor, longer, f"{good}, so λ falls ×{factor:g}"
