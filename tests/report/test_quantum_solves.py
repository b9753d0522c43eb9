"""What the report says of quantum solves and of blocks without a Newton system."""

import math
from dataclasses import replace

import pytest

from qnewton.records import QuantumStats, StepRecord
from qnewton.report.quantum_solves import quantum_solves, quantum_table
from qnewton.report.run_summary import coverage_text, quantum_summary, quantum_text
from qnewton.runs import Run

STATS = QuantumStats(
    algorithm="qsvt",
    success_probability=0.04,
    queries=201,
    expected_queries=5025.0,
    degree=201,
    alpha=2.0,
    kappa=30.0,
    epsilon=1e-3,
    promise_held=True,
    resolved=True,
    angle=0.01,
)


def through_qsvt(step: StepRecord, **changes: object) -> StepRecord:
    (block,) = step.blocks
    attempt = replace(block.attempts[0], quantum=replace(STATS, **changes))
    return replace(step, blocks=(replace(block, attempts=(attempt,)),))


@pytest.fixture
def quantum_run(newton_run: Run) -> Run:
    first, second, *rest = newton_run.steps[:4]
    steps = (
        through_qsvt(first),
        through_qsvt(
            second,
            success_probability=0.01,
            expected_queries=20100.0,
            angle=None,
            promise_held=False,
            resolved=False,
            readout="amplitude",
            shots=1000,
        ),
        *rest,
    )
    return replace(newton_run, steps=steps)


def test_a_run_without_quantum_solves_has_none_to_show(newton_run: Run) -> None:
    assert quantum_solves(newton_run) is None
    assert quantum_table(newton_run).rows == []
    assert quantum_text(newton_run.steps) is None


def test_the_picture_holds_each_step_and_leaves_out_what_nobody_knows(quantum_run: Run) -> None:
    picture = quantum_solves(quantum_run)
    assert picture is not None
    drawn = {(row["step"], row["quantity"]): row["value"] for row in picture.rows}
    assert drawn == {
        (0, "success probability"): 0.04,
        (0, "queries until success"): 5025.0,
        (0, "angle to the exact step (rad)"): 0.01,
        (1, "success probability"): 0.01,
        (1, "queries until success"): 20100.0,
    }


def test_several_systems_a_step_count_by_the_worst_chance_and_all_queries(
    newton_run: Run,
) -> None:
    first = through_qsvt(newton_run.steps[0])
    other = through_qsvt(newton_run.steps[1], success_probability=0.5, expected_queries=402.0)
    both = replace(first, blocks=(*first.blocks, *other.blocks))
    picture = quantum_solves(replace(newton_run, steps=(both,)))
    assert picture is not None
    drawn = {row["quantity"]: row["value"] for row in picture.rows}
    assert drawn["success probability"] == 0.04
    assert math.isclose(drawn["queries until success"], 5427.0)


def test_the_table_says_what_was_broken_and_what_not_resolved(quantum_run: Run) -> None:
    table = quantum_table(quantum_run)
    assert len(table.rows) == 2
    assert table.rows[0][-2:] == ("held", "output state")
    assert table.rows[1][-2:] == ("broken", "a solution within the promise")
    assert table.rows[1][7:9] == ("amplitude", "1,000")


def test_the_summary_is_of_the_worst(quantum_run: Run) -> None:
    summary = quantum_summary(quantum_run.steps)
    assert summary is not None
    assert (summary.solves, summary.lowest_success, summary.largest_angle) == (2, 0.01, 0.01)
    assert (summary.broken_promises, summary.unresolved) == (1, 1)
    text = quantum_text(quantum_run.steps)
    assert text is not None
    assert "the promise on κ was broken in 1" in text


def test_blocks_without_a_system_are_named_with_newtons_share(newton_run: Run) -> None:
    names = tuple(f"layer {k}" for k in range(6))
    last = replace(newton_run.steps[-1], newton_share=0.731, first_order_blocks=names)
    text = coverage_text([*newton_run.steps[:-1], last])
    assert text == (
        "Newton covers 73.1% of the parameters; above max_newton, on first-order steps: layer 0, "
        "layer 1, layer 2, layer 3 and 2 more"
    )
    assert coverage_text(newton_run.steps) is None
