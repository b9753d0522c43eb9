"""Whether the solvers a comparison charges for give the direction that was really taken."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from qnewton.cost import SOLVERS, Market
from qnewton.operators import LinearSystem
from qnewton.optimizer import StageHook
from qnewton.records import BlockRecord, encode
from qnewton.runs import write_text
from qnewton.scheduler.running import run_solver

AGREEMENT_FILE = "agreement.json"

TOLERANCE = 1e-3
"""Largest relative distance between directions that still counts as the same step.

Single precision leaves about 1e-7·κ; a tenth of a percent is far below what a step length or
the batch's noise changes, and far above either."""

CHARGED_SOLVERS = ("lu_inverse", "qsvt")


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One solver's direction beside the one taken.

    Attributes:
        step: The step.
        block: The block's name.
        solver: The solver that was charged for.
        relative_difference: ‖x' - x‖/‖x‖; ``None`` if the solver failed.
        outcome: The solver's outcome, in words.
        success_probability: Of the quantum solver's state, when it is one.
        queries: Calls of the block-encoding the emulation made, when it is a quantum one.
    """

    step: int
    block: str
    solver: str
    relative_difference: float | None
    outcome: str
    success_probability: float | None = None
    queries: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the two directions are the same step."""
        return self.relative_difference is not None and self.relative_difference <= TOLERANCE


class AgreementCheck:
    """A solution hook that solves sampled systems again with every charged solver.

    The quantum solver runs at a tolerance ten times below what counts as the same step. It is
    priced at a tighter one, which only brings it closer: its relative error is at most ε.

    Args:
        market: What the run's own solvers are run with.
        every: Steps from one check to the next.
        on_stage: Told the step and the solver that is checked.
    """

    def __init__(
        self, market: Market, every: int, on_stage: StageHook = lambda _step, _stage: None
    ) -> None:
        self._market = replace(market, epsilon=max(market.epsilon, TOLERANCE / 10))
        self._every = every
        self._on_stage = on_stage
        self.agreements: list[Agreement] = []

    def __call__(
        self, step: int, system: LinearSystem, record: BlockRecord, direction: Tensor
    ) -> None:
        """Check one solved system, if its step is sampled."""
        if step % self._every:
            return
        for name in CHARGED_SOLVERS:
            solver = SOLVERS.get(name)
            if solver.machine == "quantum" and self._market.hardware is None:
                continue
            self._on_stage(step, f"checking {name} against it")
            solution = run_solver(solver, system, record.facts, self._market)
            other, quantum = solution.direction, solution.stats.quantum
            difference = None
            if other is not None:
                reference = direction.double()
                difference = float((other.double() - reference).norm() / reference.norm())
            self.agreements.append(
                Agreement(
                    step=step,
                    block=system.name,
                    solver=name,
                    relative_difference=difference,
                    outcome=solution.describe(),
                    success_probability=quantum.success_probability if quantum else None,
                    queries=quantum.queries if quantum else None,
                )
            )


def write_agreements(folder: Path, agreements: Sequence[Agreement]) -> None:
    """Write ``agreement.json``, one entry a check."""
    text = json.dumps(encode(list(agreements)), indent=2)
    write_text(folder / AGREEMENT_FILE, text + "\n")
