"""What shots and polynomial error do to training: the quantum solver trains, read with noise."""

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qnewton.experiments.kept_runs import KeptRun, KeptRuns
from qnewton.training.request import ReadoutName, TrainingRequest

Swept = Literal["shots", "epsilon", "ideal"]


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """Which runs are made; each trains with policy ``quantum-only``.

    Attributes:
        training: Options that all runs share; its own read-out and policy are replaced.
        methods: Read-outs that are swept over shots.
        shots: Shots of a read-out.
        epsilons: Polynomial errors, each read ideally, in (0, 0.24], where it has a price.
    """

    training: TrainingRequest
    methods: tuple[ReadoutName, ...]
    shots: tuple[int, ...]
    epsilons: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """One run.

    Attributes:
        swept: ``shots``, ``epsilon``, or ``ideal``: neither shots nor an ε above the priced one.
        readout: How states were read.
        shots: Of every read-out; ``None`` for the ideal one.
        epsilon: Error of the polynomial.
        test_accuracy: After the last step.
        loss: On the last step's batch.
        median_angle: Median over steps of the largest angle, in radians, between a block's
            direction and the exact one; ``None`` where none was known.
        success_probability: Median over steps.
        queries: Calls to the block-encoding that all states read would have taken, repeats
            included: the sum of expected queries, times the shots where there are any.
        failed_steps: Steps in which another solver, or none, gave some block's direction.
    """

    swept: Swept
    readout: str
    shots: int | None
    epsilon: float
    test_accuracy: float
    loss: float
    median_angle: float | None
    success_probability: float | None
    queries: float
    failed_steps: int


def sweep_readout(
    request: SweepRequest, runs: KeptRuns, on_run: Callable[[str], None] = lambda _: None
) -> tuple[SweepPoint, ...]:
    """Train once for every read-out, number of shots and ε, all from the same weights.

    Args:
        request: What to sweep.
        runs: Where runs are kept, from which those that exist are read.
        on_run: Told each run in words before it starts.
    """
    base = ideal_request(request.training)
    asked: list[tuple[Swept, TrainingRequest]] = [("ideal", base)]
    cases = itertools.product(request.methods, request.shots)
    asked.extend(("shots", dataclasses.replace(base, readout=m, shots=n)) for m, n in cases)
    asked.extend(("epsilon", dataclasses.replace(base, epsilon=e)) for e in request.epsilons)
    points = []
    for swept, training in asked:
        shots = f", {training.shots:.0e} shots" if training.shots is not None else ""
        on_run(f"{training.readout} read-out{shots}, ε = {training.epsilon:g}")
        name = f"{training.readout}-{training.shots or 'ideal'}-{training.epsilon:g}"
        points.append(point_of(swept, training, runs.run(training, name)))
    return tuple(points)


def ideal_request(training: TrainingRequest) -> TrainingRequest:
    """Return the same training through the quantum solver alone, its states read ideally."""
    ideal = {"readout": "ideal", "shots": None, "readout_tolerance": None, "target": None}
    return dataclasses.replace(training, policy="quantum-only", **ideal)


def point_of(swept: Swept, request: TrainingRequest, run: KeptRun) -> SweepPoint:
    """Return what one run says of its read-out."""
    angles, chances, queries, failed = [], [], 0.0, 0
    for record in run.steps:
        quantum = [
            first.quantum
            for block in record.blocks
            for first in block.attempts[:1]
            if first.quantum is not None and first.solver == block.solver
        ]
        failed += len(quantum) < max(1, len(record.blocks))
        known = [figure.angle for figure in quantum if figure.angle is not None]
        angles += [max(known)] if known else []
        chances += [min(f.success_probability for f in quantum)] if quantum else []
        queries += sum(f.expected_queries * (f.shots or 1) for f in quantum)
    return SweepPoint(
        swept=swept,
        readout=request.readout,
        shots=request.shots,
        epsilon=request.epsilon,
        test_accuracy=run.metrics[-1].test_accuracy,
        loss=run.steps[-1].loss,
        median_angle=statistics.median(angles) if angles else None,
        success_probability=statistics.median(chances) if chances else None,
        queries=queries,
        failed_steps=failed,
    )


def sweep_rows(points: Sequence[SweepPoint]) -> list[dict[str, Any]]:
    """Return one mapping per run, as pictures, tables and files take it."""
    return [dataclasses.asdict(point) for point in points]
