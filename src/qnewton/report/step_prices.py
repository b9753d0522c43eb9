"""What every step's solves would cost: by the best classical solver, and by two quantum prices.

Prices are those of :mod:`qnewton.scheduler.pricing`, made from what the run recorded, whatever
policy it was trained with. Everything here is modelled. No torch is loaded.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from qnewton.cost import load_hardware
from qnewton.cost.audit import priced_machine
from qnewton.records import QuantumHardware, Quote, StepRecord
from qnewton.report.break_even import LU_INVERSION
from qnewton.report.sampling import of_so_many_solves
from qnewton.report.what_if import DEFAULT_MACHINE, audited_machine
from qnewton.runs import Run
from qnewton.scheduler.pricing import ReplaySettings, repriced_steps
from qnewton.scheduler.run_prices import best_quote, cheapest_by, own_settings, solved_steps

MOST_SYSTEMS = 100
"""Systems that a page prices; of a run with more, steps evenly spread."""


@dataclass(frozen=True, kw_only=True)
class StepPrice:
    """The modelled seconds of one step's solves, by who would do all of them.

    Attributes:
        step: The step.
        classical: By the cheapest classical solver of each system.
        classical_solvers: Those solvers.
        lu: By LU inversion, the paper's classical price.
        paper: By a quantum machine at the paper's price.
        audited: By the cheapest quantum solver at its audited price.
        audited_low: The same with every constant of the price at its kindest.
        audited_high: The same at its harshest.
        audited_solvers: The quantum solvers.
        paper_refused: Why the paper's price is missing, where it is.
        audited_refused: Why the audited price is missing, where it is.
    """

    step: int
    classical: float | None
    classical_solvers: tuple[str, ...]
    lu: float | None
    paper: float | None
    audited: float | None
    audited_low: float | None
    audited_high: float | None
    audited_solvers: tuple[str, ...]
    paper_refused: str | None
    audited_refused: str | None


@dataclass(frozen=True, kw_only=True)
class RunPrices:
    """The prices of a run's solves.

    Attributes:
        steps: Those of its Newton steps, or of some evenly spread.
        newton_steps: Newton steps that the run took.
        machine: The quantum machine of the paper's price.
        audited_machine: That of the audited price.
    """

    steps: tuple[StepPrice, ...]
    newton_steps: int
    machine: QuantumHardware
    audited_machine: QuantumHardware

    @property
    def sampled(self) -> bool:
        """Whether steps were left out."""
        return len(self.steps) < self.newton_steps


def run_prices(run: Run) -> RunPrices | None:
    """Price a run's solves three ways; ``None`` where nothing was solved or nothing has a price.

    The paper's price is of the run's own quantum machine, and so is the audited one if the machine
    has one. Otherwise, and for a run without a machine, it is
    :data:`qnewton.report.what_if.DEFAULT_MACHINE`.

    Cost:
        Some milliseconds per system, of at most :data:`MOST_SYSTEMS`.
    """
    solved = solved_steps(run)
    if not solved or run.config.calibration is None:
        return None
    shown = of_so_many_solves(solved, MOST_SYSTEMS)
    settings = replace(own_settings(run), keep=("classical",))
    machine = settings.hardware or load_hardware(DEFAULT_MACHINE)
    paper = _quotes(shown, "paper", replace(settings, hardware=machine))
    other, why = audited_machine(settings)
    algorithm = settings.algorithm if why is None else None
    asked = replace(settings, hardware=other, algorithm=algorithm)
    audited = _quotes(shown, "audited", asked)
    pairs = zip(shown, paper, audited, strict=True)
    steps = tuple(_step_price(step.step, by_paper, by_audit) for step, by_paper, by_audit in pairs)
    return RunPrices(
        steps=steps,
        newton_steps=len(solved),
        machine=machine,
        audited_machine=priced_machine(other, settings.audit),
    )


def _quotes(
    steps: Sequence[StepRecord], cost_model: str, settings: ReplaySettings
) -> list[list[tuple[Quote, ...]]]:
    """Return the quotes of every solved system, step by step."""
    return [
        [block.decision.quotes for block in step.blocks if block.attempts]
        for step in repriced_steps(steps, cheapest_by(cost_model), settings)
    ]


def _step_price(
    step: int, paper: Sequence[Sequence[Quote]], audited: Sequence[Sequence[Quote]]
) -> StepPrice:
    classical = [best_quote(quotes, "classical") for quotes in audited]
    by_paper = [best_quote(quotes, "quantum") for quotes in paper]
    by_audit = [best_quote(quotes, "quantum") for quotes in audited]
    lu = [next((q for q in quotes if q.solver == LU_INVERSION), None) for quotes in audited]
    total = partial(_total, count=len(audited))
    return StepPrice(
        step=step,
        classical=total(q and q.seconds for q in classical),
        classical_solvers=tuple(dict.fromkeys(q.name for q in classical if q)),
        lu=total(q and q.seconds for q in lu),
        paper=total(q and q.seconds for q in by_paper),
        audited=total(q and q.seconds for q in by_audit),
        audited_low=total(q and q.low for q in by_audit),
        audited_high=total(q and q.high for q in by_audit),
        audited_solvers=tuple(dict.fromkeys(q.name for q in by_audit if q)),
        paper_refused=_refusal(paper),
        audited_refused=_refusal(audited),
    )


def _total(seconds: Iterable[float | None], count: int) -> float | None:
    """Return the sum, ``None`` where a summand is unknown or the sum no number."""
    known = [value for value in seconds if value is not None]
    total = math.fsum(known)
    return total if len(known) == count and total < math.inf else None


def _refusal(systems: Sequence[Sequence[Quote]]) -> str | None:
    """Return why a system has no quantum price; ``None`` where each has one."""
    for quotes in systems:
        quantum = [quote for quote in quotes if quote.machine == "quantum"]
        if all(quote.seconds is None for quote in quantum):
            return next((q.refused for q in quantum if q.refused), "no quantum solver was asked")
    return None
