"""``qnewton replay``: a finished run priced again, without training."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from qnewton.cli.auditing import AuditOptions
from qnewton.cli.calibrate import SolverOptions
from qnewton.cli.output import RESULTS, print_json, warn
from qnewton.cli.run_prices import print_run_prices
from qnewton.cost import load_hardware
from qnewton.experiments.replay import Replayed, ReplaySettings, own_settings, quantum_price, replay
from qnewton.experiments.run_prices import price_run
from qnewton.runs import Run, read_run, run_folders
from qnewton.scheduler.policy import POLICIES

_NOTE = (
    "quantum price: the paper's is gate time × queries, with everything else free; the audited one "
    "has every term. Rows with different ones do not compare."
)


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

    Examples: qnewton replay runs/digits; qnewton replay runs/digits --hardware photonic-thz;
    qnewton replay runs/digits --calibration paper-h100 --solvers lu_inverse cg; qnewton replay
    recorded; qnewton replay recorded/pinn --cost-model paper --hardware photonic-thz

    Attributes:
        folder: Folder that train wrote, one method's of a comparison, or one with several runs;
            recorded stands for the runs that come with the package, and recorded/NAME for one.
        policy: One policy; the default is every policy that can be priced.
        cost_model: The price of the quantum solver that the rows of several runs are made by, such
            as paper or the name of one from outside; the default is audited. Of one run it asks
            for such a row in place of the policies.
        solvers: The classical solvers that are offered, by name; the default is the recorded ones.
        json: Print one JSON object.
    """

    folder: tyro.conf.Positional[Path]
    policy: str | None = None
    cost_model: str | None = None
    solvers: tuple[str, ...] = ()
    classical: SolverOptions
    quantum: OtherMachine
    price: AuditOptions
    json: bool = False

    def run(self) -> None:
        """Print the comparison."""
        runs = [self._read(folder) for folder in run_folders(self.folder)]
        if len(runs) > 1 or self.cost_model is not None:
            model = self.cost_model or "audited"
            priced = [price_run(run, self._settings(own_settings(run)), model) for run in runs]
            print_run_prices(priced, model, self.json)
            return
        [run] = runs
        settings = self._settings(own_settings(run))
        rows = self._rows(run, settings)
        machine = settings.hardware
        hypothetical = machine is not None and machine.hypothetical
        if self.json:
            print_json(
                {
                    "run": str(self.folder),
                    "policy": run.config.policy,
                    "steps": len(run.steps),
                    "calibration": settings.calibration.name,
                    "hardware": None if machine is None else machine.name,
                    "hypothetical": hypothetical,
                    "rows": [_row(row) for row in rows],
                }
            )
            return
        title = (
            f"{self.folder}: {len(run.steps):,} recorded steps (policy {run.config.policy}) "
            f"priced again, modelled seconds\nclassical machine {settings.calibration.name}, "
            f"quantum machine {'none' if machine is None else machine.name}"
            f"{' (hypothetical)' if hypothetical else ''}"
        )
        _show(title, rows)

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
        for policy in POLICIES.names:
            try:
                rows.append(replay(run.steps, policy, settings))
            except ValueError as refusal:
                price = quantum_price(policy)
                rows.append(Replayed(policy=policy, quantum_price=price, refusal=str(refusal)))
        return rows


def _row(row: Replayed) -> dict[str, Any]:
    return {
        "policy": row.policy,
        "quantum_price": row.quantum_price,
        "modelled_seconds": row.seconds,
        "decisions": dict(row.decisions),
        "solves": row.solves,
        "quantum_solves": row.quantum_solves,
        "share_of_steps_won": row.share_won,
        "changed_decisions": row.changed,
        "unpriced_steps": row.unpriced_steps,
        "refused": row.refusal,
    }


def _show(title: str, rows: list[Replayed]) -> None:
    from qnewton.report.table import Column, table_of

    columns: tuple[Column[Replayed], ...] = (
        Column("policy", lambda row: row.policy, words=True),
        Column("quantum price", lambda row: row.quantum_price or "none", words=True),
        Column("modelled seconds", _seconds),
        Column("quantum wins", _won),
        Column("solvers", _solvers, words=True),
        Column("changed", lambda row: "" if row.refusal is not None else str(row.changed)),
    )
    RESULTS.print(table_of(title, columns, rows, _NOTE).rich())


def _seconds(row: Replayed) -> str:
    if row.refusal is not None:
        return "refused"
    seconds = "unknown" if row.seconds is None else f"{row.seconds:.4g}"
    missing = f" ({row.unpriced_steps} steps without a price)" if row.unpriced_steps else ""
    return seconds + missing


def _won(row: Replayed) -> str:
    if row.refusal is not None:
        return ""
    return "–" if row.share_won is None else f"{100 * row.share_won:.1f}% of steps"


def _solvers(row: Replayed) -> str:
    return row.refusal or ", ".join(f"{name} {count}" for name, count in row.decisions.items())
