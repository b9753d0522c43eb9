"""What a quantum solver would have to cost against a step on a mini-batch, on the digits."""

import pytest

from paper.artifact import Artifact, PaperContext
from paper.batch_step import EXPERIMENT, Setup
from qnewton.cost.queries import jennings_2023


@pytest.fixture(scope="module")
def artifact(context: PaperContext) -> Artifact:
    return EXPERIMENT.make(context, Setup("test", "digits", 25, 64))


def test_its_checks_pass_and_its_tables_are_whole(artifact: Artifact) -> None:
    assert [check.detail for check in artifact.checks if not check.passed] == []
    assert len(artifact.checks) == 3
    for table in artifact.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_gate_time_is_the_kept_eigenvectors_price_over_the_queries(artifact: Artifact) -> None:
    systems, _ = artifact.tables
    unknowns = systems.column("unknowns")
    assert unknowns == sorted(unknowns, reverse=True)
    for _, n, d, kappa, kept, inversion, gate in systems.rows:
        assert 1 <= d <= n
        count = jennings_2023(alpha=d, kappa=max(kappa, 12**0.5), epsilon=1e-12)
        assert gate == pytest.approx(kept / count.expected, rel=1e-9)
        assert inversion > 0.0


def test_machines_are_compared_at_the_largest_system(artifact: Artifact) -> None:
    systems, machines = artifact.tables
    kept = systems.column("kept eigenvectors (modelled s)")[0]
    gate = systems.rows[0][-1]
    assert any(machines.column("errors corrected"))
    for _, _, paper, ratio, audited, audited_ratio, _ in machines.rows:
        assert ratio == pytest.approx(paper / kept)
        assert (ratio < 1) == (paper / kept < 1)
        if audited is not None:
            assert audited_ratio == pytest.approx(audited / kept)
            assert audited > paper
    times = dict(
        zip(machines.column("machine"), machines.column("times kept eigenvectors"), strict=True)
    )
    assert times["attosecond"] == pytest.approx(1e-18 / gate)


def test_its_finding_names_what_quantum_would_have_to_cost(artifact: Artifact) -> None:
    [finding] = artifact.findings
    assert finding.command == "qnewton paper batch-step"
    assert "A quantum solver would have to cost less than" in finding.measured
    # The audited price loses; the paper's, of gates a billion times faster than any, wins.
    assert finding.verdict == "holds under a named assumption"
    assert "attosecond" in (finding.assumption or "")
