"""One error ε of the vector that is read, split over what causes it."""

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Self

import numpy as np

from qnewton.queries import JENNINGS_MAX_EPSILON
from qnewton.queries.arrays import Numbers
from qnewton.records.messages import check

MOST_OF_ENTRIES = 0.01

WIDENED = 1.0 / (1.0 - MOST_OF_ENTRIES)
"""How much larger a κ_be the solver is promised: σ_min(A') ≥ (1 - κ_be·δ_A)·σ_min(A).

The same for every ε, so that no price falls as ε does.
"""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which share of ε each cause may have; the shares add up to 1.

    Attributes:
        solver: The solver's own error: its polynomial, its walk or its clock.
        entries: Rounding of A's entries.
        rhs: Preparing the right-hand side.
        rotations: Synthesis of the solver's rotations.
        readout: Reading the vector; 0 where nothing is read.

    Raises:
        ValueError: If a share is negative, one of the first four is 0, or they do not add up to 1.

    Example:
        >>> Split(solver=0.4, entries=0.2, rhs=0.2, rotations=0.2, readout=0.0).readout
        0.0
    """

    solver: float
    entries: float
    rhs: float
    rotations: float
    readout: float

    def __post_init__(self) -> None:
        for field in fields(self):
            share, needed = getattr(self, field.name), field.name != "readout"
            limits = "must be above 0 and below 1" if needed else "must be 0 or more and below 1"
            check(
                f"share of {field.name}",
                share,
                limits,
                0 <= share < 1 and bool(share or not needed),
            )
        whole = math.fsum(getattr(self, field.name) for field in fields(self))
        check("the sum of all shares", whole, "must be 1", abs(whole - 1.0) < 1e-9)


@dataclass(frozen=True, kw_only=True)
class ErrorBudget:
    """What each cause may do, as numbers or as arrays, so that the vector read is within ε.

    With A' = A + E, ‖E‖₂ ≤ α·δ_A, and a unit b' within δ_b of b, u = A'⁻¹b' obeys
    u - x = A⁻¹(b' - b - E·u), so that ‖u - x‖ ≤ θ·‖u‖ with θ = κ_be·(δ_A + δ_b), for
    ‖u‖ ≥ 1/‖A'‖ ≥ 1/α. Unit vectors differ by at most 2‖u-x‖/(‖u‖+‖x‖) ≤ θ/(1-θ/2) (Dunkl and
    Williams 1964), which is ε_A + ε_b for θ = (ε_A+ε_b)/(1 + (ε_A+ε_b)/2). Q rotations, each off
    by δ_r, move the output of length √p by Q·δ_r, and its direction by t/(1-t/2), t = Q·δ_r/√p. A
    trace distance D of pure states is a distance c with D = c·√(1-c²/4).

    Attributes:
        solver: Trace distance, which is what a theorem's ε is; 0.24 at most.
        entries: κ_be·δ_A, where ‖A' - A‖₂ ≤ α·δ_A; 1% at most, so that :data:`WIDENED` is enough.
        rhs: κ_be·δ_b, where ‖b' - b‖ ≤ δ_b.
        rotations: Q·δ_r/√p, where each of Q rotations is off by δ_r.
        readout: ℓ2 error of the vector that is read; 0 where nothing is read.
    """

    solver: Any
    entries: Any
    rhs: Any
    rotations: Any
    readout: Any

    @classmethod
    def of(cls, epsilon: Numbers, split: "Split | Splits") -> Self:
        """Return the budget of ε by one split, or by all splits of a grid.

        Example:
            >>> split = Split(solver=0.25, entries=0.25, rhs=0.25, rotations=0.25, readout=0.0)
            >>> budget = ErrorBudget.of(1e-3, split)
            >>> f"{budget.solver:.6f} {budget.rhs:.6f}"
            '0.000250 0.000250'
        """
        chord = split.solver * epsilon
        both = 1.0 + (split.entries + split.rhs) * epsilon / 2.0
        rotations = split.rotations * epsilon
        return cls(
            solver=np.minimum(chord * np.sqrt(1.0 - (chord / 2.0) ** 2), JENNINGS_MAX_EPSILON),
            entries=np.minimum(split.entries * epsilon / both, MOST_OF_ENTRIES),
            rhs=split.rhs * epsilon / both,
            rotations=rotations / (1.0 + rotations / 2.0),
            readout=split.readout * epsilon,
        )

    @property
    def relative(self) -> Any:
        """The solver's error relative to x, for one whose theorem bounds that: c/(1 + c/2)."""
        chord = 2.0 * np.sin(np.arcsin(self.solver) / 2.0)
        return chord / (1.0 + chord / 2.0)

    @property
    def sum(self) -> Any:
        """What all parts together may move the vector by: ε, or less where entries are held to 1%.

        Example:
            >>> split = Split(solver=0.2, entries=0.2, rhs=0.2, rotations=0.1, readout=0.3)
            >>> f"{ErrorBudget.of(0.03, split).sum:.12f}"
            '0.030000000000'
        """
        theta = self.entries + self.rhs
        chord = 2.0 * np.sin(np.arcsin(self.solver) / 2.0)
        moved = theta / (1.0 - theta / 2.0)
        return chord + moved + self.rotations / (1.0 - self.rotations / 2.0) + self.readout


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Many splits as arrays of one shape."""

    solver: Any
    entries: Any
    rhs: Any
    rotations: Any
    readout: Any

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, splits: tuple[Split, ...]) -> Self:
        """Return them along an axis before that of the points."""
        names = [field.name for field in fields(cls)]
        return cls(**{n: np.array([[getattr(s, n)] for s in splits]) for n in names})


# Costs hang on logarithms of the first four, so that factors of two or three between neighbours
# are close enough; on 1/readout² of the last.
_STATES = (0.32, 0.16, 0.08, 0.04, 0.02, 0.01, 0.005, 0.0025)
_SOLVERS = (0.5, 0.8)
_OTHERS = ((1, 1, 1), (4, 1, 1), (1, 4, 1), (4, 4, 1))


@lru_cache(maxsize=2)
def split_grid(reads: bool) -> tuple[Split, ...]:
    """Return the splits that a price is minimised over.

    A fixed grid, for then the least price over it never falls as a system gets harder.

    Args:
        reads: Whether the vector is read, so that part of ε goes there.

    Example:
        >>> len(split_grid(True)), len(split_grid(False))
        (64, 8)
    """
    found = []
    for state in _STATES if reads else (1.0,):
        for solver in _SOLVERS:
            for weights in _OTHERS:
                rest = state * (1.0 - solver) / sum(weights)
                entries, rhs, rotations = (rest * weight for weight in weights)
                parts = {"entries": entries, "rhs": rhs, "rotations": rotations}
                made = math.fsum(parts.values())
                found.append(Split(solver=state - made, readout=1.0 - state, **parts))
    return tuple(found)
