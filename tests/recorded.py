"""Records with every field filled in, of which a test names what it is about. Torch-free."""

from typing import Any

from qnewton.records import (
    Attempt,
    BlockRecord,
    CurvatureRecord,
    Decision,
    Estimate,
    Facts,
    Figure,
    MeasuredSeconds,
    MetricRecord,
    Outcome,
    QuantumHardware,
    StepRecord,
    Treatment,
)
from qnewton.runs import RunConfig


def attempt(solver: str = "lu", outcome: Outcome = Outcome.SOLVED, **changes: Any) -> Attempt:
    """Return what a solver left that took a second."""
    values = {"residual": 0.0, "products": 0, "measured_seconds": 1.0}
    return Attempt(solver=solver, outcome=outcome, **(values | changes))


def block(name: str = "full", chosen: str = "lu", **changes: Any) -> BlockRecord:
    """Return a block of two rows that ``chosen`` solved at once, without a quote."""
    quotes = changes.pop("quotes", ())
    values: dict[str, Any] = {
        "n": 2,
        "curvature": CurvatureRecord(kind="hessian", route="given", reason=""),
        "treatment": Treatment(),
        "facts": Facts(n=changes.get("n", 2)),
        "decision": Decision(chosen=chosen, quotes=quotes, policy="classical", reason=""),
        "attempts": (attempt(chosen),),
    }
    return BlockRecord(name=name, **(values | changes))


def step(number: int = 0, **changes: Any) -> StepRecord:
    """Return a Newton step without blocks, which no clock has seen."""
    values: dict[str, Any] = {
        "phase": "newton",
        "loss": 1.0,
        "gradient_norm": 1.0,
        "step_norm": 1.0,
        "cosine": 1.0,
        "parameters": 4,
        "measured": MeasuredSeconds(),
    }
    return StepRecord(step=number, **(values | changes))


def metric(number: int = 0, accuracy: float = 0.5, **changes: Any) -> MetricRecord:
    """Return an evaluation that no modelled clock has seen."""
    values = {"test_loss": 1.0, "measured_seconds": 0.1, "modelled_seconds": None}
    return MetricRecord(step=number, test_accuracy=accuracy, **(values | changes))


def run_config(**changes: Any) -> RunConfig:
    """Return what a run on the digits begins with, without a machine that prices it."""
    values: dict[str, Any] = {
        "kind": "train",
        "workload": "digits",
        "policy": "paper",
        "seed": 0,
        "options": {},
        "versions": {},
        "machine": "2 cores",
        "threads": 2,
        "created": "2025-01-01T00:00:00+00:00",
    }
    return RunConfig(**(values | changes))


def estimate(value: float | None, method: str = "lanczos", **changes: Any) -> Estimate:
    """Return an estimate of κ without a bracket."""
    values = {"low": None, "high": None, "products": 0}
    return Estimate(value=value, method=method, **(values | changes))


def bound(value: float | None, log_value: float | None = None, **changes: Any) -> Estimate:
    """Return an upper bound of κ, from the determinant unless another method is named."""
    values = {"method": "determinant", "high": value, "log_value": log_value}
    return estimate(value, **(values | changes))


def machine(gate_time_s: float, name: str = "m", hypothetical: bool = False) -> QuantumHardware:
    """Return a quantum machine of which nothing but the gate time is known."""
    figure = Figure(value=gate_time_s, source="a test", date="2026-01-01")
    return QuantumHardware(name=name, title=name, hypothetical=hypothetical, gate_time_s=figure)
