"""How likely an attempt of a quantum linear solver succeeds, and how many get to its last stage."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chances:
    """Probabilities of one attempt.

    Attributes:
        success: That it ends in the output state, p.
        reached: That it gets to its last stage, p at least; 1 for an attempt of one stage.
    """

    success: float
    reached: float = 1.0
