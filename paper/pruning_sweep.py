"""Training at many levels of pruning, and by half the row mass."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from paper.artifact import PaperContext
from paper.half_mass import HALF, Effect, HalfMassProbe
from paper.newton_trial import Trial, run_trial
from qnewton.training.request import TrainingRequest
from qnewton.workloads import load_workload


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is swept on the left.

    Attributes:
        name: ``quick`` or ``full``, for captions.
        workload: What is trained.
        shares: Kept entries a row over N, rising, the last one 1.
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
        """Return the caps d of its steps."""
        return [
            block.treatment.max_per_row
            for record in self.trial.records
            for block in record.blocks
            if block.treatment.max_per_row is not None
        ]

    @property
    def kept_entries(self) -> list[int]:
        """Return the entries kept at each of its steps."""
        return [
            block.treatment.kept_entries
            for record in self.trial.records
            for block in record.blocks
            if block.treatment.kept_entries is not None
        ]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The left side: every run, and what half the mass does to single steps."""

    setup: Setup
    levels: tuple[Level, ...]
    half: tuple[Level, ...]
    unpruned: tuple[Level, ...]
    effects: tuple[Effect, ...]


def sweep(context: PaperContext, setup: Setup) -> Sweep:
    """Train at every level of pruning, by half the row mass, and without."""
    levels, half, unpruned, effects = [], [], [], []
    for offset in setup.seeds:
        seed = context.seed + offset
        context.progress(f"unpruned, seed {seed}")
        probe = HalfMassProbe(seed, setup.probe_every)
        unpruned.append(_level(context, setup, seed, probe=probe))
        effects += probe.effects
        context.progress(f"pruned to half the row mass, seed {seed}")
        half.append(_level(context, setup, seed, mass=HALF))
        for share in setup.shares:
            context.progress(f"{100 * share:g}% of a row kept, seed {seed}")
            levels.append(_level(context, setup, seed, share=share))
    return Sweep(
        setup=setup,
        levels=tuple(levels),
        half=tuple(half),
        unpruned=tuple(unpruned),
        effects=tuple(effects),
    )


def _level(
    context: PaperContext,
    setup: Setup,
    seed: int,
    share: float | None = None,
    mass: float | None = None,
    probe: HalfMassProbe | None = None,
) -> Level:
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
    return Level(share=share, mass=mass, seed=seed, n=n, trial=trial)


def mean_accuracy(levels: Sequence[Level]) -> float:
    """Return the mean final accuracy of some runs."""
    return statistics.fmean(level.trial.test_accuracy for level in levels)
