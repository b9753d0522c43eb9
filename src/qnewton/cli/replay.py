"""``qnewton replay``: a finished run priced again, without training."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from rich.table import Table

from qnewton.cli.auditing import AuditOverrides
from qnewton.cli.output import RESULTS, print_json, warn


@dataclass(frozen=True, kw_only=True)
class Replay(AuditOverrides):
    """Price every recorded step of a run again, for each policy; nothing is trained or solved.

    Without options the run's own machines and tolerances hold, and its own decisions come out.

    Examples: qnewton replay runs/digits; qnewton replay runs/digits --hardware photonic-thz;
    qnewton replay runs/digits --calibration paper-h100 --solvers lu_inverse cg

    Attributes:
        folder: Folder that train wrote, or one method's of a comparison.
        policy: One policy; the default is every policy that can be priced.
        hardware: Quantum machine, a profile's name or a TOML file, in place of the run's.
        calibration: Classical machine in place of the run's: local, nominal, a profile's name or
            a TOML file.
        epsilon: Error tolerance of the quantum solver in the paper's price.
        tolerance: Relative residual of the iterative classical solvers.
        solvers: The classical portfolio, by name; the default is the recorded one.
        qpus: QPUs that share a step's blocks under policy hybrid; the default is the run's.
        dtype: Precision to price at, float32 or float64; the default is the run's.
        json: Print one JSON object.
    """

    folder: tyro.conf.Positional[Path]
    policy: str | None = None
    hardware: str | None = None
    calibration: str | None = None
    epsilon: float | None = None
    tolerance: float | None = None
    solvers: tuple[str, ...] = ()
    qpus: int | None = None
    dtype: str | None = None
    json: bool = False

    def run(self) -> None:
        """Print the comparison."""
        from qnewton.cli.price import chosen_calibration
        from qnewton.cost import load_hardware
        from qnewton.experiments.replay import Replayed, own_settings, quantum_price, replay
        from qnewton.runs import read_run
        from qnewton.scheduler.policy import POLICIES

        if self.dtype not in (None, "float32", "float64"):
            raise ValueError(f"--dtype is {self.dtype!r}; it must be float32 or float64")
        run = read_run(self.folder)
        for warning in run.warnings:
            warn(warning)
        own = own_settings(run)
        settings = replace(
            own,
            epsilon=self.epsilon,
            tolerance=self.tolerance,
            solvers=self.solvers or None,
            audit=self.over(own.audit),
            dtype=self.dtype or own.dtype,
            n_qpus=own.n_qpus if self.qpus is None else self.qpus,
            keep_classical=(self.calibration, self.tolerance, self.dtype) == (None, None, None),
        )
        if self.hardware is not None:
            settings = replace(settings, hardware=load_hardware(self.hardware))
        if self.calibration is not None:
            settings = replace(settings, calibration=chosen_calibration(self.calibration))
        rows = []
        for policy in POLICIES.names if self.policy is None else (self.policy,):
            try:
                rows.append(replay(run.steps, policy, settings))
            except ValueError as refusal:
                if self.policy is not None:
                    raise
                rows.append(
                    Replayed(
                        policy=policy,
                        quantum_price=quantum_price(policy),
                        refusal=str(refusal),
                    )
                )
        machine = "none" if settings.hardware is None else settings.hardware.name
        if settings.hardware is not None and settings.hardware.hypothetical:
            machine += " (hypothetical)"
        if self.json:
            print_json(
                {
                    "run": str(self.folder),
                    "policy": run.config.policy,
                    "steps": len(run.steps),
                    "calibration": settings.calibration.name,
                    "hardware": None if settings.hardware is None else settings.hardware.name,
                    "hypothetical": settings.hardware is not None
                    and settings.hardware.hypothetical,
                    "rows": [_row(row) for row in rows],
                }
            )
            return
        title = (
            f"{self.folder}: {len(run.steps):,} recorded steps (policy {run.config.policy}) "
            f"priced again, modelled seconds\nclassical machine {settings.calibration.name}, "
            f"quantum machine {machine}"
        )
        RESULTS.print(_table(title, rows))


def _row(row: Any) -> dict[str, Any]:
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


def _table(title: str, rows: list[Any]) -> Table:
    table = Table(
        title=title,
        caption="quantum price: the paper's is gate time × queries, with everything else free; the "
        "audited one has every term. Rows with different ones do not compare.",
        caption_justify="left",
    )
    for heading, side in (
        ("policy", "left"),
        ("quantum price", "left"),
        ("modelled seconds", "right"),
        ("quantum wins", "right"),
        ("solvers", "left"),
        ("changed", "right"),
    ):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    for row in rows:
        price = row.quantum_price or "none"
        if row.refusal is not None:
            table.add_row(row.policy, price, "refused", "", row.refusal, "")
            continue
        seconds = "unknown" if row.seconds is None else f"{row.seconds:.4g}"
        if row.unpriced_steps:
            seconds += f" ({row.unpriced_steps} steps without a price)"
        won = "–" if row.share_won is None else f"{100 * row.share_won:.1f}% of steps"
        solvers = ", ".join(f"{name} {count}" for name, count in row.decisions.items())
        table.add_row(row.policy, price, seconds, won, solvers, str(row.changed))
    return table
