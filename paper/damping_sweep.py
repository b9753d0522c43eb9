"""Training at many values of λ, and the condition number met on the way."""

import itertools
import statistics
from dataclasses import dataclass

from torch import Tensor

from paper.artifact import PaperContext
from paper.trials import LARGEST_EXACT, Trial, run_trial, sweep
from qnewton.curvature import systems
from qnewton.operators import LinearSystem
from qnewton.records import BlockRecord, Facts, Spectrum
from qnewton.survey import survey
from qnewton.survey.condition import spectrum_summary
from qnewton.training.request import TrainingRequest
from qnewton.workloads import load_workload

MOST_PRODUCTS = 1000
"""Products Lanczos may spend; what they leave open is a lower bound."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is swept.

    Attributes:
        name: ``quick`` or ``full``, for captions.
        workload: What is trained.
        dampings: λ, rising.
        seeds: Seeds beside the context's own, as offsets.
        newton_steps: Newton steps of every run.
        warmups: First-order steps before them; one series each.
        first_order_lr: Their learning rate.
        survey_every: Newton steps between measurements of κ.
    """

    name: str
    workload: str
    dampings: tuple[float, ...]
    seeds: tuple[int, ...]
    newton_steps: int
    warmups: tuple[int, ...] = (0, 30)
    first_order_lr: float = 0.3
    survey_every: int = 10


_DAMPINGS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
QUICK = Setup(name="quick", workload="digits", dampings=_DAMPINGS, seeds=(0, 1), newton_steps=30)
FULL = Setup(
    name="full", workload="mnist", dampings=_DAMPINGS, seeds=(0,), newton_steps=100, survey_every=50
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run of the sweep.

    Attributes:
        damping: λ.
        warmup: First-order steps before Newton.
        seed: Its seed.
        trial: The run.
        facts: What was measured of A, by Newton step.
    """

    damping: float
    warmup: int
    seed: int
    trial: Trial
    facts: dict[int, Facts]

    @property
    def first_condition(self) -> float | None:
        """κ at the first Newton step, where all λ share one Hessian."""
        return self._condition(0)

    @property
    def later_condition(self) -> float | None:
        """Median κ of the later measurements; ``None`` where the run diverged."""
        if self.trial.diverged:
            return None
        later = [self._condition(step) for step in self.facts if step > 0]
        return statistics.median(k for k in later if k is not None) if any(later) else None

    def _condition(self, step: int) -> float | None:
        facts = self.facts.get(step)
        condition = None if facts is None else facts.spectrum.condition
        # What Lanczos has not settled is known from below.
        return None if condition is None else condition.value or condition.low


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Every run of the sweep, and facts of H itself before the first step, if N allows them."""

    setup: Setup
    points: list[Point]
    undamped: Facts | None

    @property
    def n(self) -> int:
        """Unknowns."""
        return self.points[0].trial.records[-1].parameters

    @property
    def request(self) -> TrainingRequest:
        """The first run's, for what all runs share."""
        return self.points[0].trial.request

    def series(self) -> list[list[Point]]:
        """Return the runs of each warm-up and seed, in order of λ."""
        keys = dict.fromkeys((point.warmup, point.seed) for point in self.points)
        return [
            sorted((p for p in self.points if (p.warmup, p.seed) == key), key=lambda p: p.damping)
            for key in keys
        ]


def damping_sweep(context: PaperContext, setup: Setup) -> Sweep:
    """Sweep λ, from the start of training and after a first-order phase."""
    found = sweep(
        context,
        itertools.product(setup.warmups, setup.dampings, setup.seeds),
        lambda case: f"λ = {case[1]:g}, {case[0]} first-order steps",
        lambda case: measure_point(context, setup, case[1], case[0], context.seed + case[2]),
    )
    return Sweep(setup=setup, points=found, undamped=undamped_condition(context, setup))


def measure_point(
    context: PaperContext, setup: Setup, damping: float, warmup: int, seed: int
) -> Point:
    """Train with one λ and measure A on the way."""
    workload = load_workload(setup.workload, seed, context.data_dir)
    facts: dict[int, Facts] = {}

    def hook(step: int, system: LinearSystem, record: BlockRecord, direction: Tensor) -> None:
        newton_step = step - warmup
        if newton_step % setup.survey_every == 0 or newton_step == setup.newton_steps - 1:
            facts[newton_step] = _facts(system)

    request = TrainingRequest(
        workload=setup.workload,
        damping=damping,
        steps=warmup + setup.newton_steps,
        warmup=str(warmup),
        first_order_lr=setup.first_order_lr,
        seed=seed,
    )
    trial = run_trial(request, workload, context.calibration, hook)
    return Point(damping=damping, warmup=warmup, seed=seed, trial=trial, facts=facts)


def _facts(system: LinearSystem) -> Facts:
    if system.n <= LARGEST_EXACT:
        return survey(system.operator, condition="exact")
    # Near zero damping A has eigenvalues so close to zero that Lanczos would go on to N products.
    found = spectrum_summary(system.operator, "lanczos", max_products=MOST_PRODUCTS)
    spectrum = Spectrum(condition=found.condition, norm=found.norm, definiteness=found.definiteness)
    return Facts(n=system.n, spectrum=spectrum)


def undamped_condition(context: PaperContext, setup: Setup) -> Facts | None:
    """Return facts of H itself before the first step; ``None`` where N is too large for them."""
    workload = load_workload(setup.workload, context.seed, context.data_dir)
    model = workload.build_model(context.seed)
    inputs, targets = next(workload.batches(context.seed))
    (system,) = systems(model, lambda: workload.loss(model(inputs), targets), blocks="full")
    return survey(system.operator, condition="exact") if system.n <= LARGEST_EXACT else None
