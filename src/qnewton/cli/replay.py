"""``qnewton replay``: a finished run priced again, without training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import tyro

from qnewton.cli.auditing import AuditOptions
from qnewton.cli.calibrate import SolverOptions
from qnewton.cli.folders import named_or_newest, priced_folders
from qnewton.cli.output import RESULTS, Verbose, print_json, say, warn
from qnewton.cli.progress import counted
from qnewton.cli.run_prices import print_run_prices
from qnewton.cost import load_hardware
from qnewton.cost.audit import priced_machine
from qnewton.experiments.replay import Replayed, ReplaySettings, own_settings, quantum_price, replay
from qnewton.experiments.run_prices import price_run
from qnewton.records import QuantumHardware
from qnewton.runs import Run, read_run
from qnewton.scheduler.policy import POLICIES

_NOTE = "quantum price: the paper's or the audited one. Rows with different ones do not compare."
_DETAILS = (
    f"{_NOTE} The paper's is gate time × queries, with everything else free; the audited one has "
    "every term. to find κ and d: the part of a price that measures the matrices before a policy "
    "can choose. changed: decisions that are others than the recorded ones."
)
_WEIGHING = ("hybrid", "paper")
"""Policies that choose between both machines, one for each price of the quantum one."""


@dataclass(frozen=True, kw_only=True)
class OtherMachine:
    """What replaces the run's quantum machine.

    Attributes:
        hardware: The quantum machine: a profile's name or a TOML file.
        epsilon: Error tolerance of the quantum solver in the paper's price.
        qpus: QPUs that share a step's blocks under policy hybrid.
    """

    hardware: str | None = None
    epsilon: float | None = None
    qpus: int | None = None


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Price every recorded step of a run again, for each policy; nothing is trained or solved.

    Without options the run's own machines and tolerances hold, and its own decisions come out. Of
    several runs each has one row: who wins its solves, and the gate time that would break even.

    Examples: qnewton replay; qnewton replay runs/digits --hardware photonic-thz;
    qnewton replay runs/digits --calibration paper-h100 --solvers lu_inverse cg;
    qnewton replay recorded; qnewton replay recorded/pinn --cost-model paper --hardware photonic-thz

    Attributes:
        folder: Folder of a run or of a comparison, or one with several of them; the default is the
            newest below runs/. recorded stands for the runs that come with the package, and
            recorded/NAME for one.
        policy: One policy; the default is every policy that can be priced.
        cost_model: The price of the quantum solver that the rows of several runs are made by, such
            as paper or the name of one from outside; the default is audited. Of one run it asks
            for such a row in place of the policies.
        solvers: The classical solvers that are offered, by name; the default is the recorded ones.
        verbose: Add how many decisions are others than the recorded ones, and what columns mean.
        json: Print one JSON object.
    """

    usual: ClassVar[tuple[str, ...]] = (
        "folder",
        "policy",
        "hardware",
        "calibration",
        "solvers",
        "verbose",
        "json",
    )

    folder: tyro.conf.Positional[Path | None] = None
    policy: str | None = None
    cost_model: str | None = None
    solvers: tuple[str, ...] = ()
    classical: SolverOptions
    quantum: OtherMachine
    price: AuditOptions
    verbose: Verbose = False
    json: bool = False

    def run(self) -> None:
        """Print who wins, and what each policy costs."""
        folder = named_or_newest(self.folder)
        runs = [self._read(found) for found in priced_folders(folder)]
        if len(runs) > 1 or self.cost_model is not None:
            model = self.cost_model or "audited"
            read = counted(runs, "pricing runs", len(runs), quiet=self.json)
            priced = [price_run(run, self._settings(own_settings(run)), model) for run in read]
            print_run_prices(priced, model, as_json=self.json, verbose=self.verbose)
            return
        [run] = runs
        settings = self._settings(own_settings(run))
        rows = self._rows(run, settings)
        if self.json:
            print_json(_plain(run, folder, settings, rows))
        else:
            _show(run, str(folder), settings, rows, verbose=self.verbose)

    def _read(self, folder: Path) -> Run:
        run = read_run(folder)
        for warning in run.warnings:
            warn(warning)
        return run

    def _settings(self, own: ReplaySettings) -> ReplaySettings:
        """Return the run's own settings with every option that is given."""
        classical, quantum = self.classical, self.quantum
        return replace(
            own,
            calibration=classical.chosen() or own.calibration,
            hardware=load_hardware(quantum.hardware) if quantum.hardware else own.hardware,
            epsilon=quantum.epsilon,
            tolerance=classical.tolerance,
            solvers=self.solvers or None,
            audit=self.price.over(own.audit),
            dtype=classical.dtype or own.dtype,
            n_qpus=own.n_qpus if quantum.qpus is None else quantum.qpus,
            keep=("classical",) if classical == SolverOptions() else (),
        )

    def _rows(self, run: Run, settings: ReplaySettings) -> list[Replayed]:
        """Price the run for every policy; one that cannot be priced is a row that says why."""
        if self.policy is not None:
            return [replay(run.steps, self.policy, settings)]
        rows = []
        label = f"pricing {len(run.steps):,} steps"
        names = POLICIES.names
        for policy in counted(names, label, len(names), quiet=self.json):
            try:
                rows.append(replay(run.steps, policy, settings))
            except ValueError as refusal:
                price = quantum_price(policy)
                rows.append(Replayed(policy=policy, quantum_price=price, refusal=str(refusal)))
        return rows


def _plain(
    run: Run, folder: Path, settings: ReplaySettings, rows: Sequence[Replayed]
) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    machine = _machine(settings)
    return {
        "run": str(folder),
        "policy": run.config.policy,
        "steps": len(run.steps),
        "calibration": settings.calibration.name,
        "hardware": None if machine is None else machine.name,
        "hypothetical": machine is not None and machine.hypothetical,
        "rows": [_row(row) for row in rows],
    }


def _machine(settings: ReplaySettings) -> QuantumHardware | None:
    """Return the quantum machine, hypothetical where its errors are replaced."""
    known = settings.hardware
    return None if known is None else priced_machine(known, settings.audit)


def _row(row: Replayed) -> dict[str, Any]:
    return {
        "policy": row.policy,
        "quantum_price": row.quantum_price,
        "modelled_seconds": row.seconds,
        "modelled_survey_seconds": row.survey_seconds,
        "decisions": dict(row.decisions),
        "solves": row.solves,
        "quantum_solves": row.quantum_solves,
        "share_of_steps_won": row.share_won,
        "changed_decisions": row.changed,
        "unpriced_steps": row.unpriced_steps,
        "refused": row.refusal,
    }


def _show(
    run: Run, name: str, settings: ReplaySettings, rows: Sequence[Replayed], *, verbose: bool
) -> None:
    from qnewton.report.quantities import seconds_text
    from qnewton.report.table import Column, table_of
    from qnewton.report.words import machine_name

    asked = _machine(settings)
    machine = "no quantum machine" if asked is None else machine_name(asked)
    for row in rows:
        if row.policy in _WEIGHING and row.solves:
            wins = f"{machine} wins {row.quantum_solves:,} of {row.solves:,} solves"
            say(f"At the {row.quantum_price} price {wins} (policy {row.policy}).")
    columns: list[Column[Replayed]] = [
        Column("policy", lambda row: row.policy, words=True),
        Column("quantum\nprice", lambda row: row.quantum_price or "none", words=True),
        Column("modelled", _seconds),
        Column("to find\nκ and d", lambda row: seconds_text(row.survey_seconds)),
        Column("solvers", _solvers, words=True),
    ]
    if verbose:
        columns.append(Column("changed", lambda row: "" if row.refusal else str(row.changed)))
    title = f"{name}: {len(run.steps):,} recorded steps priced again (modelled)"
    RESULTS.print(table_of(title, columns, rows, _DETAILS if verbose else _NOTE).rich())
    say(
        f"classical machine {settings.calibration.name}, quantum machine {machine}, "
        f"trained with policy {run.config.policy}"
    )


def _seconds(row: Replayed) -> str:
    from qnewton.report.quantities import seconds_text

    if row.refusal is not None:
        return "refused"
    if row.unpriced_steps:
        return f"unknown: {row.unpriced_steps} steps without a price"
    return seconds_text(row.seconds)


def _solvers(row: Replayed) -> str:
    return row.refusal or ", ".join(f"{name} {count}" for name, count in row.decisions.items())
