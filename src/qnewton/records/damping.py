"""How a step with self-setting damping was judged, and what became of λ and the trust radius."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Origin = Literal["newton", "gradient", "eigenvector"]
"""What a step goes along: the solution of the systems, -g, or the lowest eigenvector."""


class Convergence(StrEnum):
    """Why steps on the same loss can do nothing more.

    Example:
        >>> Convergence.LOSS.sentence
        'the loss can fall no further than its rounding'
    """

    GRADIENT = "gradient"
    STEP = "step"
    LOSS = "loss"

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Convergence.GRADIENT: "the gradient is zero",
    Convergence.STEP: "the step is lost in the rounding of the parameters",
    Convergence.LOSS: "the loss can fall no further than its rounding",
}


@dataclass(frozen=True, kw_only=True)
class DampingRecord:
    """One step of ``damping="auto"``.

    Attributes:
        strength: λ of the systems that gave the step.
        next_strength: λ the next step begins with.
        radius: Trust radius Δ: no step is longer, but for those of sums of squares, whose length
            λ alone sets.
        next_radius: Δ the next step begins with.
        curvature: The matrix that gave the step: ``hessian``, ``ggn``, ``fisher``.
        predicted: Change of the loss that the undamped, unpruned quadratic model predicts for the
            step taken (or for the last one tried); below 0 is a decrease. ``None`` without a step.
        actual: The true change on the same batch; ``None`` where it was not looked at.
        ratio: ρ = actual / predicted of the *first* length tried at λ, bent where that is lower,
            which is what λ follows; ``None`` where either is below rounding.
        tries: Lengths, bends and λ tried, each one evaluation of the loss.
        products: Products with the undamped curvature that the model took.
        survey_products: Products with the undamped curvature that looks for its lowest eigenvalue
            took; a batch of rows, where few entries were formed instead, counts as one. ``None``
            in older records.
        length: The share of the proposed step that was taken; 0 when every length was refused.
        clipped: Whether the trust radius shortened the step.
        negative_curvature: Where negative curvature was seen, and what was made of it; ``None``
            when none was seen.
        reason: Why λ grew, fell or stayed.
        origin: What the step goes along. ``gradient`` is the way out where no solver had a usable
            direction: a step along -g, damped and judged like any other.
        failure: Why there was no usable direction; ``None`` when there was one.
        floor: Smallest λ that rounding leaves something of, as of this step; ``None`` in records
            of older versions.
        converged: Why further steps on the same loss can do nothing more; ``None`` while they can.
        decayed: The true change with weight decay, to where the parameters ended; ``None`` where
            nothing decayed.
        ceiling: Largest λ whose step the loss could tell from none; ``None`` where there is none.
    """

    strength: float
    next_strength: float
    radius: float
    next_radius: float
    curvature: str
    predicted: float | None
    actual: float | None
    ratio: float | None
    tries: int
    products: int
    length: float
    clipped: bool
    negative_curvature: str | None
    reason: str
    origin: Origin = "newton"
    failure: str | None = None
    floor: float | None = None
    ceiling: float | None = None
    survey_products: int | None = None
    converged: Convergence | None = None
    decayed: float | None = None

    @property
    def at_bound(self) -> bool:
        """Whether the next λ is the smallest or the largest that means anything."""
        low = self.floor is not None and self.next_strength <= self.floor
        return low or self.at_ceiling

    @property
    def at_ceiling(self) -> bool:
        """Whether the next λ is the largest that means anything."""
        return self.ceiling is not None and self.next_strength >= self.ceiling
