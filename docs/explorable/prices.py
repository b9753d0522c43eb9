"""What one solve costs at 16 and at 12,544 unknowns, and who wins the steps of recorded runs."""

from dataclasses import dataclass, replace

from qnewton.cost import (
    SOLVERS,
    Breakdown,
    Scenario,
    audited,
    cheapest_whole,
    classical_quotes,
    kappa_facts,
    load_classical,
    load_hardware,
)
from qnewton.experiments.replay import own_settings
from qnewton.experiments.run_prices import RunPrice, price_run
from qnewton.records import Quote
from qnewton.runs import recorded

CLASSICAL, QUANTUM = "h100", "qubit_gate_ns_e3"
"""Machines of the comparison; no such quantum machine exists."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One system, priced on both machines.

    Attributes:
        n: Unknowns.
        kappa: Condition number.
        sparsity: Entries per row.
        quantum: The audited price.
        made: Its terms.
        rival: The cheapest classical price.
    """

    n: int
    kappa: float
    sparsity: int
    quantum: Quote
    made: Breakdown
    rival: Quote

    @property
    def bare_s(self) -> float:
        """Seconds of one state whose gates never fail."""
        return sum(self.made.seconds[term.name] for term in self.made.gates)

    @property
    def algorithm(self) -> str:
        """What the quantum solver is called."""
        title = SOLVERS.get(self.made.algorithm).title
        return title.removeprefix("Quantum (").removesuffix(")")

    @property
    def rival_title(self) -> str:
        """What the classical solver is called."""
        return SOLVERS.get(self.rival.solver).title

    @property
    def times(self) -> float:
        """How many times as long the quantum solver takes."""
        assert self.quantum.seconds is not None
        assert self.rival.seconds is not None
        return self.quantum.seconds / self.rival.seconds


def rung(n: int, kappa: float, sparsity: int) -> Rung:
    """Price one system, as ``qnewton price`` does."""
    calibration = load_classical(CLASSICAL)
    facts = kappa_facts(n, kappa, sparsity)
    scenario = Scenario(
        facts=facts, calibration=calibration, hardware=load_hardware(QUANTUM)
    )
    found = audited(scenario)
    # Classical solvers solve no further than the read-out does.
    asked = replace(facts, direction_error=scenario.audit.epsilon)
    rival = cheapest_whole(classical_quotes(calibration, asked))
    assert found.breakdown is not None
    assert rival is not None
    return Rung(
        n=n,
        kappa=kappa,
        sparsity=sparsity,
        quantum=found.quote,
        made=found.breakdown,
        rival=rival,
    )


@dataclass(frozen=True, kw_only=True)
class Training:
    """The runs that come with the package, priced again.

    Attributes:
        runs: One price per run.
    """

    runs: tuple[RunPrice, ...]

    @property
    def wins(self) -> int:
        """Solves at which the quantum machine is the cheaper one."""
        return sum(run.quantum_wins for run in self.runs)

    @property
    def solves(self) -> int:
        """Solves with a price on both machines."""
        return sum(run.priced for run in self.runs)

    @property
    def nearest(self) -> RunPrice:
        """The run for which the quantum machine has to become faster by least."""
        return max(self.runs, key=lambda run: run.times or 0.0)


def training() -> Training:
    """Price every recorded run, as ``qnewton replay recorded`` does."""
    return Training(
        runs=tuple(price_run(run, own_settings(run)) for run in recorded())
    )
