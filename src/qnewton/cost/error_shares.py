"""One error, divided in fixed shares: what the solver, entries, b and rotations may each add."""

import math
from dataclasses import dataclass

SHARES = {"solver": 1 / 2, "entries": 1 / 6, "rhs": 1 / 6, "rotations": 1 / 6}
"""Shares of the solution state's error ε. Reading it adds its own tolerance on top."""


_MOST_OF_ENTRIES = 0.01

WIDENED = 1.0 / (1.0 - _MOST_OF_ENTRIES)
"""How much larger a κ_be the solver is promised: σ_min(A') ≥ (1 - κ_be·δ_A)·σ_min(A).

The same for every ε, so that no price falls as ε does.
"""


@dataclass(frozen=True)
class ErrorShares:
    """What each source of error may be, so that a solution state is within ε of x/‖x‖.

    With A' = A + E, ‖E‖₂ ≤ α·δ_A, and a unit b' within δ_b of b, u = A'⁻¹b' obeys
    u - x = A⁻¹(b' - b - E·u), so that ‖u - x‖ ≤ θ·‖u‖ with θ = κ_be·(δ_A + δ_b), for
    ‖u‖ ≥ 1/‖A'‖ ≥ 1/α. Unit vectors differ by at most 2‖u-x‖/(‖u‖+‖x‖) ≤ θ/(1-θ/2) (Dunkl and
    Williams 1964), which is ε_A + ε_b for θ = (ε_A+ε_b)/(1 + (ε_A+ε_b)/2). Q rotations, each off
    by δ_r, move the output of length √p by Q·δ_r, and its direction by t/(1-t/2), t = Q·δ_r/√p. A
    trace distance D of pure states is a distance c with D = c·√(1-c²/4).

    Attributes:
        epsilon: ε, in (0, 1); the four parts below add up to it, or to less where the entries are
            held to 1%.
    """

    epsilon: float

    @property
    def solver(self) -> float:
        """ε_s as a trace distance, which is what a theorem's ε is."""
        chord = SHARES["solver"] * self.epsilon
        return chord * math.sqrt(1.0 - chord**2 / 4.0)

    @property
    def entries(self) -> float:
        """κ_be·δ_A, where ‖A' - A‖₂ ≤ α·δ_A; 1% at most, so that :data:`WIDENED` is enough."""
        return min(SHARES["entries"] * self.epsilon / self._both, _MOST_OF_ENTRIES)

    @property
    def rhs(self) -> float:
        """κ_be·δ_b, where ‖b' - b‖ ≤ δ_b."""
        return SHARES["rhs"] * self.epsilon / self._both

    @property
    def rotations(self) -> float:
        """Q·δ_r/√p, where each of Q rotations is off by δ_r."""
        share = SHARES["rotations"] * self.epsilon
        return share / (1.0 + share / 2.0)

    @property
    def _both(self) -> float:
        return 1.0 + (SHARES["entries"] + SHARES["rhs"]) * self.epsilon / 2.0
