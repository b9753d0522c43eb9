"""Table I: counts against models that are really built, and against the paper."""

from dataclasses import replace

import pytest
from torch import nn

from paper import table_1
from paper.parameter_counts import (
    BERT,
    MISTRAL,
    Transformer,
    bert_parts,
    count,
    dnn_parts,
    mistral_parts,
    printed,
)


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def bert_modules(shape: Transformer) -> nn.Module:
    """The modules of a BERT for masked language modeling, output weight left out as tied."""
    h = shape.hidden
    layers = [
        nn.TransformerEncoderLayer(h, shape.heads, shape.intermediate, device="meta")
        for _ in range(shape.layers)
    ]
    embeddings = [
        nn.Embedding(number, h, device="meta") for number in (shape.vocabulary, shape.positions, 2)
    ]
    head = [nn.Linear(h, h, device="meta"), nn.LayerNorm(h, device="meta")]
    bias = nn.Linear(0, shape.vocabulary, device="meta")
    return nn.ModuleList([*embeddings, nn.LayerNorm(h, device="meta"), *layers, *head, bias])


def mistral_modules(shape: Transformer) -> nn.Module:
    def linear(a: int, b: int) -> nn.Module:
        return nn.Linear(a, b, bias=False, device="meta")

    h, f = shape.hidden, shape.intermediate
    narrow = shape.key_value_heads * h // shape.heads
    modules: list[nn.Module] = [nn.Embedding(shape.vocabulary, h, device="meta")]
    for _ in range(shape.layers):
        modules += [linear(h, h), linear(h, narrow), linear(h, narrow), linear(h, h)]
        modules += [linear(h, f), linear(h, f), linear(f, h)]
        modules += [nn.RMSNorm(h, device="meta"), nn.RMSNorm(h, device="meta")]
    modules += [nn.RMSNorm(h, device="meta"), linear(h, shape.vocabulary)]
    return nn.ModuleList(modules)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("change", [{}, {"layers": 3}, {"hidden": 96, "heads": 8}])
def test_the_closed_forms_count_real_modules(change: dict[str, int]) -> None:
    bert = replace(BERT, **change)
    assert count(bert_parts(bert)) == size(bert_modules(bert))
    mistral = replace(MISTRAL, **change, key_value_heads=2)
    assert count(mistral_parts(mistral)) == size(mistral_modules(mistral))


def test_the_dnn_is_the_workload() -> None:
    assert count(dnn_parts((784, 16, 16, 10))) == 13_002


def test_counts_are_printed_as_the_paper_prints_them() -> None:
    assert [printed(n) for n in (13_002, 2_221_178, 4_334_144, 234_746)] == [
        "13K",
        "2.2M",
        "4.3M",
        "0.2M",
    ]


def test_the_artifact(paper_context) -> None:
    artifact = table_1.EXPERIMENT.make(paper_context)
    assert all(check.passed for check in artifact.checks)
    summary, breakdown, conventions = artifact.tables
    assert [row[3] for row in summary.rows] == [row[5] for row in summary.rows]
    assert sum(row[-1] for row in breakdown.rows) == 13_002 + 2_221_178 + 4_334_144
    # The first convention of each network is the table's own.
    firsts = {row[0]: row[2] for row in reversed(conventions.rows)}
    assert firsts == {row[0]: row[4] for row in summary.rows}
    [finding] = artifact.findings
    assert finding.verdict == "holds under a named assumption"
    assert finding.assumption is not None
    for table in artifact.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_wrong_count_fails_its_check(paper_context, monkeypatch) -> None:
    monkeypatch.setattr(table_1, "PUBLISHED", table_1.PUBLISHED | {"Mistral 7B": 7_000_000_000})
    failed = [check for check in table_1.EXPERIMENT.make(paper_context).checks if not check.passed]
    assert len(failed) == 1
    assert "7,241,732,096 against 7,000,000,000" in failed[0].detail


def test_another_count_than_the_papers_does_not_hold(paper_context, monkeypatch) -> None:
    monkeypatch.setattr(table_1, "MISTRAL", replace(MISTRAL, key_value_heads=4))
    [finding] = table_1.EXPERIMENT.make(paper_context).findings
    assert finding.verdict == "does not hold"
    assert finding.assumption is None
