"""What pruning to half the row mass does to a Newton step, on the steps of an unpruned run."""

import math
from dataclasses import dataclass

from torch import Tensor

from paper.trials import LARGEST_EXACT
from qnewton.operators import LinearSystem
from qnewton.records import BlockRecord, Facts, Treatment
from qnewton.solvers import solve
from qnewton.survey import survey
from qnewton.treatment import prune

HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A pruned step beside the exact one of the same system.

    Attributes:
        seed: Seed of the run.
        step: Its step.
        n: Unknowns.
        exact: Facts of A.
        pruned: Facts of the pruned A.
        treatment: What pruning did.
        angle_degrees: Angle between the two directions; ``None`` if the pruned one failed.
        length_ratio: Length of the pruned direction over that of the exact one.
        relative_error: ‖x' - x‖/‖x‖ of the pruned direction x'.
        decrease_share: Decrease of the quadratic model gᵀx + ½xᵀAx along x', over that along x.
    """

    seed: int
    step: int
    n: int
    exact: Facts
    pruned: Facts
    treatment: Treatment
    angle_degrees: float | None
    length_ratio: float | None
    relative_error: float | None
    decrease_share: float | None


class HalfMassProbe:
    """A solution hook that prunes every so many steps' system, solves it again, keeps effects."""

    def __init__(self, seed: int, every: int) -> None:
        self._seed = seed
        self._every = every
        self.effects: list[Effect] = []

    def __call__(
        self, step: int, system: LinearSystem, record: BlockRecord, direction: Tensor
    ) -> None:
        """Prune and solve one system, if its step is sampled."""
        if step % self._every:
            return
        pruned = prune(system.operator, mass=HALF)
        method = "exact" if system.n <= LARGEST_EXACT else "lanczos"
        other = solve(system.with_operator(pruned), "lu").direction
        angle = ratio = error = share = None
        if other is not None:
            mine, theirs = other.double(), direction.double()
            cosine = float(mine @ theirs) / float(mine.norm() * theirs.norm())
            angle = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
            ratio = float(mine.norm() / theirs.norm())
            error = float((mine - theirs).norm() / theirs.norm())
            share = _decrease(system, other) / _decrease(system, direction)
        self.effects.append(
            Effect(
                seed=self._seed,
                step=step,
                n=system.n,
                exact=survey(system.operator, condition=method, max_products=system.n),
                pruned=survey(pruned, condition=method, max_products=system.n),
                treatment=pruned.treatment,
                angle_degrees=angle,
                length_ratio=ratio,
                relative_error=error,
                decrease_share=share,
            )
        )


def _decrease(system: LinearSystem, step: Tensor) -> float:
    """Return -(gᵀx + ½xᵀAx), what the quadratic model promises of a step x."""
    product = (system.operator @ step).double()
    return float(system.rhs.double() @ step.double() - 0.5 * (step.double() @ product))
