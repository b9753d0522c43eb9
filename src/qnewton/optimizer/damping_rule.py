"""How λ and the trust radius follow what steps came to; plain numbers, no tensors."""

import math
from dataclasses import dataclass

GROWTH = 4.0
"""λ's factor after a step the model did not predict."""

FAILURE_GROWTH = 10.0
"""λ's factor after a step that could not be taken, or a loss that is not finite."""

_FIRST_SHARE = 0.1  # of the curvature along the gradient, for the first λ
_RADIUS_GROWTH = 2.0
_CLIPPED_GROWTH = 2.0


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


def first_strength(curvature_along_gradient: float) -> float:
    """Return the first λ: a tenth of |gᵀHg|/gᵀg, whatever the units of the loss.

    Args:
        curvature_along_gradient: gᵀHg/gᵀg.

    Example:
        >>> first_strength(-20.0), first_strength(0.0)
        (2.0, 1.0)
    """
    found = _FIRST_SHARE * abs(curvature_along_gradient)
    return found if 0.0 < found < math.inf else 1.0


def next_rule(
    strength: float,
    radius: float,
    *,
    ratio: float | None,
    step_norm: float,
    clipped: bool,
    refused: bool,
    floor: float,
) -> Rule:
    """Return the next λ and Δ.

    λ falls where the model predicts well (ρ > 0.9: to a fifth; ρ > ¾: to a half), and grows
    fourfold where it does not (ρ < ¼); tenfold where no length lowers the loss. Δ is at most half
    the step after a bad prediction, at least twice the step after a good one.

    Args:
        strength: λ.
        radius: Δ.
        ratio: ρ of the first length tried; ``None`` below rounding; -inf for a loss that is not
            finite.
        step_norm: Length of the step taken.
        clipped: Whether Δ cut it.
        refused: Whether no length was taken.
        floor: Smallest λ: below it, λ is lost in the rounding of H.

    Reference: Marquardt 1963; Conn, Gould and Toint, Trust-Region Methods, 17.1; Martens 2010.

    Example:
        >>> next_rule(1.0, 4.0, ratio=0.95, step_norm=1.0, clipped=False, refused=False,
        ...           floor=1e-9).strength
        0.2
    """
    if refused:
        grown = strength * FAILURE_GROWTH
        return Rule(grown, radius / GROWTH, "no length tried lowers the loss, so λ grows tenfold")
    if ratio is None:
        return Rule(strength, radius, "the change of the loss is below rounding, so λ stays")
    if ratio < 0.25:
        factor = GROWTH if math.isfinite(ratio) else FAILURE_GROWTH
        shorter = min(radius, step_norm / 2) if step_norm > 0 else radius
        return Rule(
            strength * factor, shorter, f"ρ = {ratio:.2f} is below ¼, so λ grows ×{factor:g}"
        )
    if ratio <= 0.75:
        return Rule(strength, radius, f"ρ = {ratio:.2f} lies between ¼ and ¾, so λ stays")
    if clipped:
        return Rule(
            strength * _CLIPPED_GROWTH,
            max(radius, _RADIUS_GROWTH * step_norm),
            f"ρ = {ratio:.2f} is above ¾, but the step reached past Δ, so both grow twofold",
        )
    factor = 0.2 if ratio > 0.9 else 0.5
    return Rule(
        max(strength * factor, floor),
        max(radius, _RADIUS_GROWTH * step_norm),
        f"ρ = {ratio:.2f} is above ¾, so λ falls ×{factor:g}",
    )
