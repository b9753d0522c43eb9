"""Training at many levels of pruning, and what half the row mass does to unpruned steps."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from paper.artifact import PaperContext
from paper.trials import LARGEST_EXACT, Trial, run_trial, sweep
from qnewton.operators import LinearSystem
from qnewton.records import BlockRecord, Facts, Treatment
from qnewton.solvers import solve
from qnewton.survey import survey
from qnewton.training.request import TrainingRequest
from qnewton.treatment import prune
from qnewton.workloads import load_workload

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


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is swept on the left.

    Attributes:
        name: ``quick`` or ``full``, for captions.
        workload: What is trained.
        shares: Kept entries per row over N, rising, the last one 1.
        seeds: Seeds as offsets from the context's.
        steps: Newton steps of every run.
        probe_every: Steps between looks at what pruning to half the row mass does.
    """

    name: str
    workload: str
    shares: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: int
    probe_every: int


QUICK = Setup(
    name="quick",
    workload="digits",
    shares=(0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4, 1.0),
    seeds=(0, 1),
    steps=20,
    probe_every=6,
)
FULL = Setup(
    name="full",
    workload="mnist",
    shares=tuple(float(f"{0.002 ** (1 - k / 23):.3g}") for k in range(24)),
    seeds=(0,),
    steps=40,
    probe_every=20,
)


@dataclass(frozen=True, kw_only=True)
class Level:
    """One run of the sweep.

    Attributes:
        share: Kept share of a row's entries; ``None`` where the row mass sets the cap or nothing
            is pruned.
        mass: Row mass that sets the cap, if it does.
        seed: Its seed.
        n: Unknowns.
        trial: The run.
    """

    share: float | None
    mass: float | None
    seed: int
    n: int
    trial: Trial

    @property
    def caps(self) -> list[int]:
        """The caps d of its steps."""
        return self.trial.treated(lambda treatment: treatment.max_per_row)

    @property
    def kept_entries(self) -> list[int]:
        """The entries kept at each of its steps."""
        return self.trial.treated(lambda treatment: treatment.kept_entries)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The left side: every run, and what half the mass does to single steps."""

    setup: Setup
    levels: tuple[Level, ...]
    half: tuple[Level, ...]
    unpruned: tuple[Level, ...]
    effects: tuple[Effect, ...]


def pruning_sweep(context: PaperContext, setup: Setup) -> Sweep:
    """Train at every level of pruning, by half the row mass, and without."""
    effects: list[Effect] = []

    def run(case: tuple[int, float | None, float | None]) -> Level:
        seed, share, mass = case
        probe = HalfMassProbe(seed, setup.probe_every) if share is mass is None else None
        workload = load_workload(setup.workload, seed, context.data_dir)
        n = sum(p.numel() for p in workload.build_model(seed).parameters())
        request = TrainingRequest(
            workload=setup.workload,
            steps=setup.steps,
            seed=seed,
            prune_count=None if share is None else max(1, round(share * n)),
            prune_mass=mass,
        )
        trial = run_trial(request, workload, context.calibration, probe)
        effects.extend(probe.effects if probe else ())
        return Level(share=share, mass=mass, seed=seed, n=n, trial=trial)

    kinds = [(None, None), (None, HALF), *((share, None) for share in setup.shares)]
    cases = [(context.seed + offset, *kind) for offset in setup.seeds for kind in kinds]
    found = sweep(context, cases, lambda case: f"{level_text(*case[1:])}, seed {case[0]}", run)
    return Sweep(
        setup=setup,
        levels=tuple(level for level in found if level.share is not None),
        half=tuple(level for level in found if level.mass is not None),
        unpruned=tuple(level for level in found if level.share is level.mass is None),
        effects=tuple(effects),
    )


def level_text(share: float | None, mass: float | None) -> str:
    """Return what a run's rows keep, in words."""
    if share is not None:
        return f"{100 * share:g}% of a row"
    return "unpruned" if mass is None else f"{100 * mass:g}% of the row mass"


def mean_accuracy(levels: Sequence[Level]) -> float:
    """Return the mean final accuracy of some runs."""
    return statistics.fmean(level.trial.test_accuracy for level in levels)
