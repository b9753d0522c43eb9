"""Fig. 1 on the digits, at two levels and for a few steps."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from paper.artifact import Artifact, PaperContext
from paper.fig_1 import EXPERIMENT, findings
from paper.pruning_sweep import HalfMassProbe, Setup, Sweep, pruning_sweep
from paper.repricing import reprice_all
from paper.shared_run import Setup as SharedSetup
from paper.shared_run import shared_run
from qnewton.operators import DenseOperator, LinearSystem
from qnewton.records import BlockRecord, CurvatureRecord, Decision, Facts, Treatment
from qnewton.report import save_chart
from qnewton.treatment import mass_sparsity, prune

# The sweep that the module's tests read takes seconds.
pytestmark = pytest.mark.slow

TINY = Setup(name="tiny", workload="digits", shares=(0.1, 1.0), seeds=(0,), steps=3, probe_every=3)
SHARED = SharedSetup(
    name="tiny",
    workload="digits",
    target=0.3,
    newton_steps=3,
    first_order_steps=10,
    agreement_every=1000,
    sgd_rates=(0.3,),
    adam_rates=(1e-2,),
)


@pytest.fixture(scope="module")
def artifact(context: PaperContext) -> Artifact:
    return EXPERIMENT.make(context, (TINY, SHARED))


@pytest.fixture(scope="module")
def swept(context: PaperContext) -> Sweep:
    return pruning_sweep(context, dataclasses.replace(TINY, steps=1))


def test_its_checks_pass_and_every_row_fits_its_columns(artifact: Artifact) -> None:
    assert [check.name for check in artifact.checks if not check.passed] == []
    for table in artifact.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert not {table.name for table in artifact.tables} & set(artifact.pictures)


def test_both_prices_of_a_step_are_those_its_run_recorded(
    artifact: Artifact, context: PaperContext
) -> None:
    table = next(t for t in artifact.tables if t.name == "fig-1-alternation")
    run = shared_run(context, SHARED).newton
    for record, row in zip(run.steps, table.rows, strict=True):
        (block,) = record.blocks
        quotes = {quote.solver: quote.seconds for quote in block.decision.quotes}
        assert row[1] == quotes["lu_inverse"]
        assert row[3] == quotes["qsvt"]


def test_a_cap_is_the_share_of_n(artifact: Artifact) -> None:
    table = next(t for t in artifact.tables if t.name == "fig-1-levels")
    caps = {row[0]: row[1] for row in table.rows}
    assert caps["10% of a row"] == 148
    assert caps["100% of a row"] == caps["unpruned"] == 1482


def test_the_probe_compares_the_pruned_step_with_the_exact_one() -> None:
    generator = torch.Generator().manual_seed(0)
    square = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    matrix = square @ square.mT / 40 + 2 * torch.eye(40, dtype=torch.float64)
    rhs = torch.randn(40, generator=generator, dtype=torch.float64)
    exact = torch.linalg.solve(matrix, rhs)
    system = LinearSystem(operator=DenseOperator(matrix), rhs=rhs, parameters=(), name="full")
    probe = HalfMassProbe(seed=7, every=2)
    record = BlockRecord(
        name="full",
        n=40,
        curvature=CurvatureRecord(kind="hessian", route="given", reason=""),
        treatment=Treatment(),
        facts=Facts(n=40),
        decision=Decision(chosen="lu", quotes=(), policy="classical", reason=""),
        attempts=(),
    )
    for step in range(3):
        probe(step, system, record, exact)
    assert [effect.step for effect in probe.effects] == [0, 2]
    effect = probe.effects[0]
    assert effect.seed == 7
    assert effect.treatment.max_per_row == int(mass_sparsity(matrix, 0.5).max())

    pruned = prune(matrix, mass=0.5).dense()
    step = torch.linalg.solve(pruned, rhs)
    cosine = float(step @ exact / (step.norm() * exact.norm()))
    assert effect.angle_degrees == pytest.approx(
        float(torch.rad2deg(torch.arccos(torch.tensor(cosine)))), rel=1e-4
    )
    assert effect.relative_error == pytest.approx(float((step - exact).norm() / exact.norm()))

    def model(x: torch.Tensor) -> float:
        return float(rhs @ x - 0.5 * x @ matrix @ x)

    assert effect.decrease_share == pytest.approx(model(step) / model(exact))
    assert effect.decrease_share is not None
    assert effect.decrease_share < 1.0
    exact_values = torch.linalg.eigvalsh(pruned)
    assert effect.pruned.spectrum.definiteness == (
        "positive" if exact_values[0] > 0 else "indefinite"
    )


def test_a_decline_above_the_threshold_contradicts_the_paper(
    swept: Sweep, context: PaperContext
) -> None:
    shared = shared_run(context, SHARED)
    prices = reprice_all(shared.newton)

    def verdict(lost: float) -> str:
        levels = tuple(
            dataclasses.replace(
                level,
                trial=dataclasses.replace(
                    level.trial, test_accuracy=level.trial.test_accuracy - lost
                ),
            )
            for level in swept.levels
        )
        changed = dataclasses.replace(swept, levels=levels)
        return next(iter(findings(changed, shared, prices))).verdict

    assert verdict(0.0) == "holds"
    assert verdict(0.05) == "does not hold"


def test_its_pictures_can_be_drawn(artifact: Artifact, tmp_path: Path) -> None:
    for name, picture in artifact.pictures.items():
        assert all(path.stat().st_size > 0 for path in save_chart(picture, tmp_path, name))


def test_leaders_join_the_labels_of_lu_inversion_to_their_lines(artifact: Artifact) -> None:
    panel = artifact.pictures["fig-1-right"].chart.to_dict()["vconcat"][0]
    *prices, leaders, labels = panel["layer"]
    rules = [layer for layer in prices if layer["mark"]["type"] == "rule"]
    assert len(rules) == 2
    assert "y2" in leaders["encoding"]
    rows = leaders["data"]["values"]
    low, high = (math.log10(end) for end in rules[0]["encoding"]["y"]["scale"]["domain"])
    for rule, row in zip(rules, rows, strict=True):
        (line,) = rule["data"]["values"]
        assert row["text"] == ["LU inversion,", line["price"].removeprefix("LU, ")]
        share = (high - math.log10(line["drawn_s"])) / (high - low)
        assert row["line_px"] == pytest.approx(panel["height"] * share)
        # Machines that exist: full lines.
        assert "strokeDash" not in rule["mark"]
    assert labels["encoding"]["y"]["field"] == "label_px"
