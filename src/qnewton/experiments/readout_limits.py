"""The coarsest read-out that still trains: fewest shots and largest ε, by bisection over runs."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from qnewton.cost import Audit, Split, load_hardware
from qnewton.experiments.kept_runs import KeptRuns
from qnewton.experiments.readout_sweep import SweepPoint, Swept, ideal_request, point_of
from qnewton.experiments.run_prices import RunPrice, price_steps
from qnewton.queries import JENNINGS_MAX_EPSILON
from qnewton.scheduler.pricing import ReplaySettings
from qnewton.training.request import ReadoutName, TrainingRequest

_ACCURACY = 1.25
"""Factor between the coarsest value that trains and the finest that was seen not to."""

_STEP = 4.0  # factor of the first looks, before the bisection
_SHOTS = (2.0, 2.0**40)
_EPSILONS = (1e-12, JENNINGS_MAX_EPSILON)
_FIRST_SHOTS = 2.0**14


@dataclass(frozen=True, kw_only=True)
class LimitRequest:
    """What is looked for.

    Attributes:
        training: What is trained, for how many steps; its own read-out and policy are replaced.
            Its target is what every run has to reach; ``None`` for what the ideal read-out
            reached in as many steps, less the margin.
        method: How states are read.
        seeds: Seeds that all have to train, from the request's on.
        margin: Test accuracy that a coarse read-out may cost.
        hardware: The quantum machine that the read-out is priced on.

    Raises:
        ValueError: If there is no seed, or the margin is not between 0 and 1.
    """

    training: TrainingRequest
    method: ReadoutName = "amplitude"
    seeds: int = 3
    margin: float = 0.01
    hardware: str = "qubit_gate_ns_e3"

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"--seeds is {self.seeds}; it must be at least 1")
        if not 0.0 <= self.margin < 1.0:
            raise ValueError(f"--margin is {self.margin}; it must be 0 or more and below 1")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The coarsest value of one quantity that trains with every seed.

    Attributes:
        swept: Which quantity.
        value: The coarsest that trains; ``None`` where none of the range does.
        failed: The finest that was seen not to train; ``None`` where all of the range does.
        angle: Median angle of the directions at the limit, in radians.
        points: Every run that was looked at, in order.
    """

    swept: Swept
    value: float | None
    failed: float | None
    angle: float | None
    points: tuple[SweepPoint, ...]


@dataclass(frozen=True, kw_only=True)
class ReadoutLimits:
    """What a workload's training asks of the quantum solver, and what that costs.

    Attributes:
        targets: Test accuracy that each seed has to reach.
        shots: The fewest shots of a read-out.
        epsilon: The largest error of the polynomial, read ideally.
        error: ℓ2 error of a unit direction at the fewest shots; ``None`` where none train.
        coarse: The run's solves at the audited price, with these errors in place of the audit's.
        usual: The same at the audit as it stands.
    """

    targets: tuple[float, ...]
    shots: Limit
    epsilon: Limit
    error: float | None
    coarse: RunPrice | None
    usual: RunPrice


def find_limits(
    request: LimitRequest, runs: KeptRuns, on_run: Callable[[str], None] = lambda _: None
) -> ReadoutLimits:
    """Train until the fewest shots and the largest ε are known to a factor 1.25.

    A value trains if every seed reaches its target. One run is noisy, so that the limit is where
    no seed failed; the first seed that fails ends the look at a value.

    Args:
        request: What is looked for.
        runs: Where runs are kept, from which those that exist are read.
        on_run: Told each run in words before it starts.

    Raises:
        ValueError: If the ideal read-out misses a target that was asked for.

    Cost: about ten values, as many training runs each as there are seeds, and prices.
    """
    asked = request.training
    base = [
        dataclasses.replace(ideal_request(asked), seed=asked.seed + k) for k in range(request.seeds)
    ]
    ideal = []
    for training in base:
        on_run(f"ideal read-out, seed {training.seed}")
        ideal.append(runs.run(training, f"ideal-{training.seed}"))
    found = [kept.metrics[-1].test_accuracy for kept in ideal]
    targets = [
        accuracy - request.margin if asked.target is None else asked.target for accuracy in found
    ]
    for training, accuracy, target in zip(base, found, targets, strict=True):
        if accuracy < target:
            ends = f"seed {training.seed} ends at {accuracy:.3f} after {training.steps} steps"
            raise ValueError(f"the ideal read-out misses the target {target:g}: {ends}; allow more")

    def limit(
        swept: Swept,
        first: float,
        ends: tuple[float, float],
        asking: Callable[[TrainingRequest, float], TrainingRequest],
    ) -> Limit:
        points: dict[float, list[SweepPoint]] = {}

        def trains(value: float) -> bool:
            points[value] = []
            for training, target in zip(base, targets, strict=True):
                one = dataclasses.replace(asking(training, value), target=target)
                on_run(f"{swept} {value:.3g}, seed {training.seed}")
                kept = runs.run(one, f"{swept}-{value:.4g}-{training.seed}")
                points[value].append(point_of(swept, one, kept))
                if points[value][-1].test_accuracy < target:
                    return False
            return True

        value, failed = coarsest(trains, first, *ends)
        angles = [
            p.median_angle for p in points.get(value or 0.0, []) if p.median_angle is not None
        ]
        seen = tuple(point for each in points.values() for point in each)
        angle = max(angles, default=None)
        return Limit(swept=swept, value=value, failed=failed, angle=angle, points=seen)

    shots = limit(
        "shots",
        _FIRST_SHOTS,
        (_SHOTS[1], _SHOTS[0]),
        lambda training, value: dataclasses.replace(
            training, readout=request.method, shots=round(value)
        ),
    )
    epsilon = limit(
        "epsilon",
        _EPSILONS[1],
        _EPSILONS,
        lambda training, value: dataclasses.replace(training, epsilon=value),
    )
    error = None if shots.angle is None else 2.0 * math.sin(shots.angle / 2.0)
    settings = ReplaySettings(
        calibration=runs.calibration, hardware=load_hardware(request.hardware), audit=asked.audit
    )
    steps = ideal[0].steps
    coarse = None
    if error is not None and epsilon.value is not None:
        audit = coarse_audit(asked.audit, error, epsilon.value)
        on_run(f"the price on {request.hardware}")
        again = dataclasses.replace(settings, audit=audit)
        coarse = price_steps(asked.workload, steps, again)
    return ReadoutLimits(
        targets=tuple(targets),
        shots=shots,
        epsilon=epsilon,
        error=error,
        coarse=coarse,
        usual=price_steps(asked.workload, steps, settings),
    )


_COARSEST = 0.99  # an error of 1 says nothing of a direction


def coarse_audit(audit: Audit, error: float, epsilon: float) -> Audit:
    """Return an audit that allows a read-out this error, and the state this ε."""
    whole = error + epsilon
    state = {"solver": 0.5, "entries": 1 / 6, "rhs": 1 / 6, "rotations": 1 / 6}
    shares = {cause: share * epsilon / whole for cause, share in state.items()}
    split = Split(**shares, readout=error / whole)
    return dataclasses.replace(audit, epsilon=min(whole, _COARSEST), split=split)


def coarsest(
    trains: Callable[[float], bool], first: float, finest: float, coarse: float
) -> tuple[float | None, float | None]:
    """Return the coarsest value that trains, and the finest that was seen not to, near each other.

    From ``first`` on in factors of 4, then by bisection in logarithms to a factor of 1.25.

    Args:
        trains: Whether a value trains; taken as monotone.
        first: Where to begin.
        finest: The end where training is surest.
        coarse: The other end.

    Example:
        >>> passed, failed = coarsest(lambda shots: shots > 1000, 2.0**14, 1e9, 2.0)
        >>> 1000 < passed < 1250, failed < 1000
        (True, True)
        >>> coarsest(lambda epsilon: True, 0.2, 1e-9, 0.24)
        (0.24, None)
    """
    ends = sorted((finest, coarse))

    def within(value: float) -> float:
        return min(max(value, ends[0]), ends[1])

    towards = _STEP if coarse > finest else 1.0 / _STEP
    passed: float | None = None
    failed: float | None = None
    value = within(first)
    while passed is None or failed is None:
        if trains(value):
            passed = value
            if value == coarse:
                return passed, None
            value = within(value * towards) if failed is None else value
        else:
            failed = value
            if value == finest:
                return None, failed
            value = within(value / towards) if passed is None else value
    while max(passed / failed, failed / passed) > _ACCURACY:
        value = math.sqrt(passed * failed)
        if trains(value):
            passed = value
        else:
            failed = value
    return passed, failed
