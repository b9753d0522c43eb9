"""How many steps does Newton save over the best SGD on real digits, over five seeds?

Both train the same weights on the same full batch to 95% test accuracy. SGD takes the best
learning rate of the workload's grid; larger ones are kept beside it, so that the grid hides
nothing. No timing: steps do not depend on the machine.
"""

import json
from typing import Any

from benchmarks.harness import Report, Say, reached
from qnewton.cost import nominal_calibration
from qnewton.training.loop import TrainingResult, train
from qnewton.training.request import TrainingRequest
from qnewton.training.session import prepare
from qnewton.workloads import load_workload

SEEDS = range(5)
GRID = (0.01, 0.03, 0.1, 0.3, 1.0)
BEYOND_THE_GRID = (2.0, 3.0)
TARGET = 0.95
MOST_STEPS = 40


def measure(say: Say) -> Report:
    """Train both over all seeds."""
    seeds = []
    for seed in SEEDS:
        seeds.append(_seed(seed))
        say(json.dumps(seeds[-1]))
    met = [
        found["newton_steps"] is not None
        and found["newton_steps"] <= MOST_STEPS
        and (found["ratio"] is None or found["ratio"] >= 2)
        for found in seeds
    ]
    row = reached(
        f"Newton's steps to {TARGET:.0%} on digits beside the best SGD's",
        f"≤ {MOST_STEPS}, at most half",
        f"{sum(met)} of {len(met)} seeds",
        all(met),
    )
    return Report("newton_steps", [row], facts={"seeds": seeds})


def _seed(seed: int) -> dict[str, Any]:
    newton = _run(TrainingRequest(seed=seed, steps=100, target=TARGET))
    sgd = {
        rate: _run(
            TrainingRequest(seed=seed, optimizer="sgd", lr=rate, steps=1500, target=TARGET)
        ).reached
        for rate in (*GRID, *BEYOND_THE_GRID)
    }
    best = min((steps for rate in GRID if (steps := sgd[rate]) is not None), default=None)
    cosines = [r.cosine for r in newton.records if r.cosine is not None]
    return {
        "seed": seed,
        "newton_steps": newton.reached,
        "best_sgd_steps": best,
        "sgd_steps_by_learning_rate": {f"{rate:g}": n for rate, n in sgd.items()},
        "ratio": None if best is None or not newton.reached else best / newton.reached,
        "cosine_to_gradient_descent": [min(cosines), max(cosines)],
    }


def _run(request: TrainingRequest) -> TrainingResult:
    """Train a request in memory."""
    session = prepare(request, load_workload("digits", request.seed), nominal_calibration())
    return train(session)
