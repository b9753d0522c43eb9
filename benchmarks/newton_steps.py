"""How many steps does Newton save over the best SGD on real digits, over five seeds?

Both train the same weights on the same full batch to 95% test accuracy. SGD takes the best
learning rate of the workload's grid; larger ones are printed beside it, so that the grid hides
nothing. No timing: steps do not depend on the machine.

    make bench, or python benchmarks/newton_steps.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qnewton.cost import nominal_calibration
from qnewton.training.loop import TrainingResult, train
from qnewton.training.request import TrainingRequest
from qnewton.training.session import prepare
from qnewton.workloads import load_workload

SEEDS = range(5)
BEYOND_THE_GRID = (2.0, 3.0)
TARGET = 0.95


def run(request: TrainingRequest) -> TrainingResult:
    """Train a request in memory."""
    session = prepare(request, load_workload("digits", request.seed), nominal_calibration())
    return train(
        session.workload,
        session.model,
        session.stepper,
        steps=request.steps,
        seed=request.seed,
        target=request.target,
    )


def main() -> int:
    """Print the table, write the JSON, and fail if a seed misses its mark."""
    rows = []
    for seed in SEEDS:
        newton = run(TrainingRequest(seed=seed, steps=100, target=TARGET))
        grid = (0.01, 0.03, 0.1, 0.3, 1.0)
        sgd = {}
        for rate in (*grid, *BEYOND_THE_GRID):
            request = TrainingRequest(
                seed=seed, optimizer="sgd", lr=rate, steps=1500, target=TARGET
            )
            sgd[rate] = run(request).reached
        best = min((sgd[r] for r in grid if sgd[r] is not None), default=None)
        cosines = [r.cosine for r in newton.records if r.cosine is not None]
        rows.append(
            {
                "seed": seed,
                "newton_steps": newton.reached,
                "best_sgd_steps": best,
                "sgd_steps_by_learning_rate": {f"{rate:g}": n for rate, n in sgd.items()},
                "ratio": None if best is None or not newton.reached else best / newton.reached,
                "cosine_to_gradient_descent": [min(cosines), max(cosines)],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "newton_steps.json").write_text(json.dumps(rows, indent=2) + "\n")
    met = [
        row["newton_steps"] is not None
        and row["newton_steps"] <= 40
        and (row["ratio"] is None or row["ratio"] >= 2)
        for row in rows
    ]
    print(f"{sum(met)} of {len(met)} seeds: ≤ 40 Newton steps, at most half of the best SGD's")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
