"""A run on digits as the policy paper records it, made by hand so that no training is needed."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qnewton.records import (
    Attempt,
    BlockRecord,
    Calibration,
    CurvatureRecord,
    Decision,
    Estimate,
    Facts,
    Figure,
    KernelFit,
    MeasuredSeconds,
    MetricRecord,
    ModelledSeconds,
    Outcome,
    PriceTerm,
    QuantumHardware,
    QuantumPart,
    QueryCount,
    Quote,
    Spectrum,
    StepRecord,
    Treatment,
)
from qnewton.runs import (
    Comparison,
    ComparisonRow,
    Run,
    RunConfig,
    RunWriter,
    create_folder,
    read_run,
    write_comparison,
)
from tests import recorded

N = 1482
LU_SECONDS = 0.21


def machine(name: str, gate_time_s: float, *, hypothetical: bool) -> QuantumHardware:
    return QuantumHardware(
        name=name,
        title=f"{name}: a machine of the tests",
        hypothetical=hypothetical,
        gate_time_s=Figure(value=gate_time_s, source="Q-Newton paper, V-B", date="2024-05-01"),
    )


@pytest.fixture
def machines() -> tuple[QuantumHardware, ...]:
    return (
        machine("ibm_sherbrooke", 533e-9, hypothetical=False),
        machine("photonic-ns", 1e-9, hypothetical=True),
        machine("photonic-ps", 1e-12, hypothetical=True),
        machine("attosecond", 1e-18, hypothetical=True),
    )


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        name="local",
        machine="2 cores, 2 threads",
        date="2025-01-01",
        source="qnewton calibrate",
        fits=(
            KernelFit(
                kernel="lu_inverse",
                work="N^3",
                dtype="float32",
                seconds_per_unit=LU_SECONDS / N**3,
                median_error=0.06,
            ),
        ),
    )


@pytest.fixture
def config(calibration: Calibration, machines: tuple[QuantumHardware, ...]) -> RunConfig:
    return recorded.run_config(
        options={"damping": 1.0, "blocks": "full", "curvature": "hessian", "prune": None},
        versions={"qnewton": "0.1.0", "torch": "2.13.0"},
        machine="x86_64, 2 cores, Linux 6.1",
        calibration=calibration,
        hardware=machines[-1],
        profiles=machines,
    )


def quantum_quote(log_kappa: float) -> Quote:
    model = "t_gate × expected queries (Jennings et al. 2023, Theorem 1, as transcribed)"
    if log_kappa > 690:  # no finite number of queries in float64
        return Quote(
            solver="qsvt",
            machine="quantum",
            hardware="attosecond",
            seconds=None,
            model=model,
            hypothetical=True,
            refused=f"the determinant bound e^{log_kappa:.0f} overflows",
        )
    kappa, alpha = math.exp(log_kappa), 640
    queries = 9.46 * alpha * kappa * (3.4 * math.log(2 * kappa + 3) + 1)
    count = QueryCount(
        queries=queries,
        success_probability=0.39,
        expected=queries / 0.39,
        theorem="2305.11352, Theorem 1",
        provenance="copy",
    )
    return Quote(
        solver="qsvt",
        machine="quantum",
        hardware="attosecond",
        seconds=1e-18 * count.expected,
        model=model,
        hypothetical=True,
        terms=(PriceTerm(name="queries", seconds=1e-18 * count.expected),),
        assumptions=("one gate a query", "block-encoding and read-out are free"),
        condition_number=kappa,
        quantum=QuantumPart(
            algorithm="jennings",
            query_count=count,
            logical_qubits=29,
            sparsity=alpha,
            epsilon=1e-12,
        ),
    )


def newton_block(log_kappa: float, name: str = "full") -> BlockRecord:
    classical = Quote(
        solver="lu_inverse",
        machine="classical",
        seconds=LU_SECONDS,
        model="C·N³",
        hardware="local",
        terms=(PriceTerm(name="inverse", seconds=LU_SECONDS),),
    )
    quantum = quantum_quote(log_kappa)
    by_quantum = quantum.seconds is not None and quantum.seconds < LU_SECONDS
    chosen = "qsvt" if by_quantum else "lu_inverse"
    bound = Estimate(
        value=math.exp(log_kappa) if log_kappa < 690 else None,
        low=None,
        high=None,
        method="determinant",
        products=0,
        log_value=log_kappa,
    )
    kappa = Estimate(value=9.4, low=9.3, high=9.6, method="lanczos", products=44)
    return BlockRecord(
        name=name,
        n=N,
        curvature=CurvatureRecord(kind="hessian", route="closed-form", reason="probe agrees"),
        treatment=Treatment(damping=1.0),
        facts=Facts(n=N, spectrum=Spectrum(condition=kappa, bounds=(bound,), row_sparsity=640)),
        decision=Decision(
            chosen=chosen,
            quotes=(classical, quantum),
            policy="paper",
            reason="quantum is cheaper" if by_quantum else "classical is cheaper",
        ),
        attempts=(
            Attempt(
                solver=chosen,
                outcome=Outcome.SOLVED,
                residual=2e-7,
                products=0,
                measured_seconds=0.03,
            ),
        ),
    )


def measured(rng: random.Random, scale: float = 1.0) -> MeasuredSeconds:
    def about(seconds: float) -> float:
        return seconds * scale * rng.uniform(0.9, 1.2)

    return MeasuredSeconds(
        forward_backward=about(0.004),
        curvature=about(0.021),
        treatment=about(0.003),
        survey=about(0.012),
        solve=about(0.034),
        update=about(0.001),
    )


def newton_steps(
    n_steps: int, blocks: tuple[str, ...] = ("full",), warmup: int = 0
) -> list[StepRecord]:
    rng = random.Random(0)
    records = []
    for step in range(n_steps):
        growth = 6 + 44 * step / 20 if step < n_steps - 4 else 100 + 300 * (step - n_steps + 5)
        first_order = step < warmup
        records.append(
            recorded.step(
                step,
                phase="first-order" if first_order else "newton",
                loss=2.3 * math.exp(-step / 4) + 0.05,
                gradient_norm=math.exp(-step / 5),
                step_norm=0.3,
                cosine=0.6,
                parameters=N,
                measured=measured(rng),
                modelled=ModelledSeconds(curvature=0.02, solve=LU_SECONDS if step > 9 else 2e-7),
                reason="warm-up" if first_order else None,
                blocks=() if first_order else tuple(newton_block(growth, b) for b in blocks),
            )
        )
    return records


def sgd_steps(n_steps: int) -> list[StepRecord]:
    rng = random.Random(1)
    return [
        recorded.step(
            step,
            phase="first-order",
            loss=2.3 * math.exp(-step / 25) + 0.12 + 0.02 * rng.random(),
            gradient_norm=0.5,
            step_norm=0.05,
            cosine=1.0,
            parameters=N,
            measured=MeasuredSeconds(forward_backward=0.004, update=0.001),
            modelled=ModelledSeconds(forward_backward=0.003),
        )
        for step in range(n_steps)
    ]


def metrics(n_steps: int, rate: float) -> list[MetricRecord]:
    return [
        recorded.metric(
            step,
            0.97 - 0.87 * math.exp(-step / rate),
            test_loss=2.3 * math.exp(-step / rate) + 0.1,
            measured_seconds=0.075 * step,
            modelled_seconds=0.2 * step,
        )
        for step in range(n_steps + 1)
    ]


WriteRun = Callable[..., Run]


@pytest.fixture
def write_run(config: RunConfig) -> WriteRun:
    def write(
        folder: Path, steps: list[StepRecord], evaluations: list[MetricRecord], **changes: object
    ) -> Run:
        with RunWriter.create(folder, replace(config, **changes)) as writer:  # type: ignore[arg-type]
            for step in steps:
                writer.append_step(step)
            for metric in evaluations:
                writer.append_metric(metric)
        return read_run(folder)

    return write


@pytest.fixture
def newton_run(tmp_path: Path, write_run: WriteRun) -> Run:
    return write_run(tmp_path / "q-newton", newton_steps(24), metrics(24, 5.0))


@pytest.fixture
def sgd_run(tmp_path: Path, write_run: WriteRun) -> Run:
    return write_run(
        tmp_path / "sgd", sgd_steps(70), metrics(70, 18.0), policy="sgd", hardware=None
    )


@pytest.fixture
def comparison_folder(tmp_path: Path, config: RunConfig, write_run: WriteRun) -> Path:
    folder = create_folder(tmp_path / "compare", replace(config, kind="compare"))
    write_run(folder / "newton", newton_steps(24), metrics(24, 5.0))
    write_run(folder / "sgd", sgd_steps(70), metrics(70, 18.0), policy="sgd", hardware=None)
    shared = "priced from the recorded steps of Q-Newton: every policy takes the same steps"
    row = ComparisonRow(
        method="q-newton",
        steps=19,
        reached=True,
        test_accuracy=0.953,
        measured_seconds=1.43,
        modelled_seconds=2.31,
        modelled_seconds_per_step=0.121,
        quantum_share=0.42,
        run="newton",
        label="Q-Newton",
    )
    rows = (
        ComparisonRow(
            method="sgd",
            steps=70,
            reached=False,
            test_accuracy=0.944,
            measured_seconds=0.35,
            modelled_seconds=0.21,
            modelled_seconds_per_step=0.003,
            quantum_share=None,
            run="sgd",
            label="SGD",
            learning_rate=0.3,
        ),
        replace(
            row,
            method="classical-only",
            label="Classical-only",
            measured_seconds=None,
            modelled_seconds=4.4,
            modelled_seconds_per_step=0.23,
            quantum_share=0.0,
            note=shared,
        ),
        replace(
            row,
            method="quantum-only",
            label="Quantum-only",
            measured_seconds=None,
            modelled_seconds=None,
            modelled_seconds_per_step=None,
            quantum_share=1.0,
            note="4 of 19 steps have no finite quantum price",
        ),
        row,
    )
    write_comparison(
        folder,
        Comparison(workload="digits", target=0.95, seed=0, run=folder.name, rows=rows),
    )
    return folder
