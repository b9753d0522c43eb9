"""One whole step of ``QNewton``, as often as it is asked for, from the same parameters."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.problems import Problem
from qnewton import Classical, QNewton
from qnewton.cost import nominal_calibration
from qnewton.operators import LinearSystem
from qnewton.records import BlockRecord


class TimedStep:
    """A call is one step of one optimizer; the parameters are put back before it.

    Args:
        problem: Model and batch; the model is changed.
        settings: Of the optimizer. Prices come from the nominal calibration unless one is given,
            so that a run does not depend on what this machine stored.

    Raises:
        RuntimeError: If a step is skipped.
    """

    def __init__(self, problem: Problem, **settings: Any) -> None:
        settings = {
            "classical": Classical(calibration=nominal_calibration()),
            "warmup": 0,
            **settings,
        }
        self._problem = problem
        self._optimizer = QNewton(problem.model, **settings)
        self._start = [p.detach().clone() for p in problem.model.parameters()]
        self._directions: list[Tensor] = []
        self._optimizer.register_solution_hook(self._keep)

    def __call__(self) -> Tensor:
        """Take the step and return its direction."""
        self._put_back()
        self._directions.clear()
        self._optimizer.step(self._problem.closure)
        record = self._optimizer.records[-1]
        if record.skipped is not None:
            raise RuntimeError(f"the step was skipped: {record.skipped}")
        direction = torch.cat(self._directions)
        self._put_back()
        return direction

    def described(self) -> dict[str, Any]:
        """Return what the last step decided, and its seconds by stage."""
        record = self._optimizer.records[-1]
        return {
            "blocks": [
                {
                    "n": block.n,
                    "route": block.curvature.route,
                    "attempts": [
                        {"solver": a.solver, "outcome": a.describe(), "products": a.products}
                        for a in block.attempts
                    ],
                }
                for block in record.blocks
            ],
            "measured_seconds": vars(record.measured),
        }

    def _put_back(self) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._problem.model.parameters(), self._start, strict=True):
                parameter.copy_(value)

    def _keep(
        self, step: int, system: LinearSystem, record: BlockRecord, direction: Tensor
    ) -> None:
        self._directions.append(direction)
