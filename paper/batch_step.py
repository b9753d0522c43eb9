"""Beyond the paper: what a quantum solver would have to cost against a step on a mini-batch."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, Texts
from paper.trials import kept_runs
from qnewton.cost import (
    Audit,
    Market,
    audited_quote,
    available_hardware,
    break_even_gate_time,
    cheapest,
    classical_quotes,
    eigenbasis_quote,
    load_hardware,
    lu_inverse_quote,
    paper_quote,
)
from qnewton.records import BlockRecord, Calibration, Facts, QuantumHardware, Quote
from qnewton.runs import Run
from qnewton.scheduler.policy import POLICIES
from qnewton.scheduler.pricing import step_seconds
from qnewton.training.request import TrainingRequest
from qnewton.workloads import load_workload

TIMED = 20
"""Steps at the end of the run whose measured seconds count."""

_TEXTS = Texts("batch-step")
_PERFECT = Audit(error_correction="perfect")


@dataclass(frozen=True)
class Setup:
    """What is trained: so many steps on batches of so many samples."""

    name: str
    workload: str
    steps: int
    batch: int


@dataclass(frozen=True, kw_only=True)
class Priced:
    """One system of the last step on every machine; prices are modelled.

    Attributes:
        block: The system.
        kept: By its kept eigenvectors, as it was solved.
        inversion: By LU inversion of its N² entries.
        gate_time_s: Below which the paper's price, at the exact κ, is less than ``kept``.
    """

    block: BlockRecord
    kept: Quote
    inversion: Quote
    gate_time_s: float | None


@dataclass(frozen=True, kw_only=True)
class OnMachine:
    """The largest system on one quantum machine.

    Attributes:
        hardware: The machine.
        paper: The paper's price, gate time × queries, at the exact κ.
        audited: The price with every term; of gates that never fail where the profile lacks what
            error correction needs.
        corrected: Whether errors are corrected in it.
    """

    hardware: QuantumHardware
    paper: Quote
    audited: Quote
    corrected: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """The run, and its last step's systems priced, the largest first."""

    setup: Setup
    run: Run
    systems: Sequence[Priced]
    machines: Sequence[OnMachine]
    calibration: Calibration

    @property
    def largest(self) -> Priced:
        """The system of most unknowns."""
        return self.systems[0]

    @property
    def measured_solve(self) -> float:
        """Median measured seconds of all systems of a step, averages included."""
        return statistics.median(step.measured.solve for step in self.run.steps[-TIMED:])


def exactly(facts: Facts) -> Facts:
    """Return facts whose bound, which the paper prices by, is the exact κ."""
    condition = facts.spectrum.condition
    assert condition is not None
    return replace(facts, spectrum=replace(facts.spectrum, bounds=(condition,)))


def _run(context: PaperContext, setup: Setup) -> Found:
    """Train with the defaults on mini-batches, and price the last step's systems."""
    workload = load_workload(setup.workload, context.seed, context.data_dir)
    request = TrainingRequest(
        workload=setup.workload,
        curvature="auto",
        damping="auto",
        batch_size=setup.batch,
        steps=setup.steps,
        seed=context.seed,
    )
    folder = context.folder / "batch-step" / f"{setup.name}-seed{context.seed}"
    [run] = kept_runs(context, workload, folder, {setup.name: ("averaged", request)}).values()
    blocks = sorted(run.steps[-1].blocks, key=lambda block: -block.n)
    machines = [load_hardware(name) for name in available_hardware()]
    calibration = context.calibration
    return Found(
        setup=setup,
        run=run,
        systems=[_priced(block, calibration, machines[0]) for block in blocks],
        machines=[_on_machine(blocks[0].facts, calibration, machine) for machine in machines],
        calibration=calibration,
    )


def _priced(block: BlockRecord, calibration: Calibration, machine: QuantumHardware) -> Priced:
    facts = block.facts
    kept, paper = (
        eigenbasis_quote(calibration, facts),
        paper_quote(exactly(facts), machine, bound="exact"),
    )
    count, gate_time = paper.query_count, None
    if kept.seconds is not None and count is not None:
        gate_time = break_even_gate_time(kept.seconds, count)
    inversion = lu_inverse_quote(calibration, facts)
    return Priced(block=block, kept=kept, inversion=inversion, gate_time_s=gate_time)


def _on_machine(facts: Facts, calibration: Calibration, machine: QuantumHardware) -> OnMachine:
    audited, corrected = audited_quote(calibration, facts, machine), True
    if audited.seconds is None:
        audited, corrected = audited_quote(calibration, facts, machine, _PERFECT), False
    paper = paper_quote(exactly(facts), machine, bound="exact")
    return OnMachine(hardware=machine, paper=paper, audited=audited, corrected=corrected)


def _tables(found: Found) -> Iterator[ArtifactTable]:
    rows = []
    for system in found.systems:
        spectrum = system.block.facts.spectrum
        kappa = None if spectrum.condition is None else spectrum.condition.value
        known = (system.block.name, system.block.n, spectrum.row_sparsity, kappa)
        rows.append((*known, system.kept.seconds, system.inversion.seconds, system.gate_time_s))
    yield _TEXTS.table("batch-step-systems", rows, setup=found.setup)
    kept = found.largest.kept.seconds
    machines = []
    for m in found.machines:
        prices = []
        for quote in (m.paper, m.audited):
            times = None if quote.seconds is None or kept is None else quote.seconds / kept
            prices += [quote.seconds, times]
        exists = not m.hardware.hypothetical
        machines.append((m.hardware.name, exists, *prices, m.corrected))
    yield _TEXTS.table("batch-step-machines", machines, largest=found.largest.block)


def _checks(found: Found) -> Iterator[Check]:
    steps = found.run.steps
    used = {block.solver for step in steps for block in step.blocks}
    averaged = all(step.averaged is not None for step in steps[1:]) and used == {"eigenbasis"}
    yield _TEXTS.check("averaged", averaged, steps=steps, used=used)
    facts = found.largest.block.facts
    best = cheapest(classical_quotes(found.calibration, facts))
    won = None if best is None else best.solver
    yield _TEXTS.check("rival", won == "eigenbasis", won=won, largest=found.largest.block)
    market = Market(found.calibration)
    seconds = step_seconds(steps[-1], POLICIES.get("classical"), market)
    total = sum(system.kept.seconds or 0.0 for system in found.systems)
    solve = None if seconds is None else seconds.solve
    same = solve is not None and abs(solve / total - 1) < 1e-9
    yield _TEXTS.check("sum", same, solve=solve, total=total)


def _findings(found: Found) -> Iterator[Finding]:
    kept, largest = found.largest.kept.seconds, found.largest
    assert kept is not None
    real = [m for m in found.machines if m.corrected and m.audited.seconds is not None]
    best = min(real, key=lambda m: m.audited.seconds or 0.0)
    holds = (best.audited.seconds or 0.0) <= kept
    faster = [m for m in found.machines if m.paper.seconds is not None and m.paper.seconds <= kept]
    said = {"largest": largest, "best": best, "kept": kept, "faster": faster}
    measured = found.measured_solve
    yield _TEXTS.finding("rival", holds, found=found, measured=measured, timed=TIMED, **said)


EXPERIMENT = Experiment(
    name="batch-step",
    title="Beyond the paper: a step on a mini-batch",
    quick=Setup("quick", "mnist", 100, 64),
    full=Setup("full", "mnist", 1000, 64),
    run=_run,
    tables=_tables,
    checks=_checks,
    findings=_findings,
    settings=lambda context, found: {
        "workload": found.setup.workload,
        "seed": context.seed,
        "steps": found.setup.steps,
        "batch": found.setup.batch,
        "threads": found.run.config.threads,
        "machine": found.run.config.machine,
        "full": context.full,
    },
)
