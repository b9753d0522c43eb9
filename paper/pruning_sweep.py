"""Training at many levels of pruning, and by half the row mass."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from paper.artifact import PaperContext
from paper.half_mass import HALF, Effect, HalfMassProbe
from paper.trials import Trial, run_trial, sweep
from qnewton.training.request import TrainingRequest
from qnewton.workloads import load_workload


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
        level = _level(context, setup, case, probe)
        effects.extend(probe.effects if probe else ())
        return level

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


def _level(
    context: PaperContext,
    setup: Setup,
    case: tuple[int, float | None, float | None],
    probe: HalfMassProbe | None,
) -> Level:
    seed, share, mass = case
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
