"""Table I: how many parameters the three networks have, counted from their configurations."""

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from paper.artifact import (
    Artifact,
    ArtifactTable,
    Check,
    Finding,
    PaperContext,
    PaperExperiment,
    Verdict,
)
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
from qnewton.workloads.mlp import build_mlp

DNN_WIDTHS = (784, 16, 16, 10)

PAPER = {"DNN": "13K", "BERT": "2.2M", "Mistral": "4.3M"}
"""Table I's counts as printed."""

BERT_BASE = replace(BERT, hidden=768, layers=12, heads=12, key_value_heads=12, intermediate=3072)
MISTRAL_7B = replace(
    MISTRAL, hidden=4096, layers=32, heads=32, key_value_heads=8, intermediate=14_336
)
PUBLISHED = {"BERT-base, no head": 109_482_240, "Mistral 7B": 7_241_732_096}
"""Counts of the published models, against which the closed forms are checked."""


def _conventions() -> tuple[tuple[str, str, int], ...]:
    """Return (model, way of counting, parameters); the first of each model is Table I's."""
    bert, mistral = bert_parts(BERT), mistral_parts(MISTRAL)
    words = BERT.vocabulary * BERT.hidden
    no_head = count(bert) - count(bert, "head") + BERT.hidden * (BERT.hidden + 1)
    return (
        ("DNN", "784-16-16-10, weights and biases", count(dnn_parts(DNN_WIDTHS))),
        ("DNN", "first weight alone (Fig. 6)", DNN_WIDTHS[0] * DNN_WIDTHS[1]),
        ("DNN", "784-16-10 (the published script's default)", count(dnn_parts((784, 16, 10)))),
        ("BERT", "all; output weight tied to the words", count(bert)),
        ("BERT", "output weight counted again", count(bert) + words),
        ("BERT", "no language-model head, but the pooler", no_head),
        ("BERT", "without embeddings", count(bert) - count(bert, "embeddings")),
        (
            "BERT",
            "all, 3 layers (the published sweeps)",
            count(bert_parts(replace(BERT, layers=3))),
        ),
        ("Mistral", "all; output weight not tied", count(mistral)),
        ("Mistral", "output weight tied to the words", count(mistral) - count(mistral, "head")),
        ("Mistral", "without embeddings and output weight", count(mistral, "layers")),
        (
            "Mistral",
            "all, 4 key-value heads",
            count(mistral_parts(replace(MISTRAL, key_value_heads=4))),
        ),
        (
            "Mistral",
            "all, 3 layers (the published sweeps)",
            count(mistral_parts(replace(MISTRAL, layers=3))),
        ),
    )


def _tables() -> tuple[ArtifactTable, ...]:
    networks = (
        ("DNN", 16, 2, dnn_parts(DNN_WIDTHS)),
        ("BERT", BERT.hidden, BERT.layers, bert_parts(BERT)),
        ("Mistral", MISTRAL.hidden, MISTRAL.layers, mistral_parts(MISTRAL)),
    )
    summary = ArtifactTable(
        name="table-1",
        title="Table I: the networks' parameters",
        columns=(
            "architecture",
            "hidden dimension",
            "layers",
            "parameters (paper)",
            "parameters (counted)",
            "as printed",
            "outside the layers (%)",
        ),
        rows=tuple(
            (
                name,
                hidden,
                layers,
                PAPER[name],
                count(parts),
                printed(count(parts)),
                100 * (count(parts) - count(parts, "layers")) / count(parts),
            )
            for name, hidden, layers, parts in networks
        ),
        note="BERT: 30,522 words, 512 positions; Mistral: 32,000 words, 4 heads, 1 key-value head; "
        "both: MLP width 256. The DNN is this project's own workload mnist.",
    )
    breakdown = ArtifactTable(
        name="table-1-breakdown",
        title="Table I, tensor by tensor",
        columns=("architecture", "group", "part", "formula", "parameters each", "times", "total"),
        rows=tuple(
            (name, p.group, p.name, p.formula, p.each, p.times, p.total)
            for name, _, _, parts in networks
            for p in parts
        ),
        note="h hidden dimension, f MLP width, V words, P positions.",
    )
    conventions = ArtifactTable(
        name="table-1-conventions",
        title="Table I under other ways of counting",
        columns=("architecture", "counted", "parameters", "as printed", "the paper's figure"),
        rows=tuple(
            (model, way, number, printed(number), printed(number) == PAPER[model])
            for model, way, number in _conventions()
        ),
    )
    return summary, breakdown, conventions


def _checks(tables: tuple[ArtifactTable, ...]) -> tuple[Check, ...]:
    summary, breakdown, _ = tables
    sums: dict[str, int] = {}
    for row in breakdown.rows:
        sums[row[0]] = sums.get(row[0], 0) + row[-1]
    built = sum(p.numel() for p in build_mlp(DNN_WIDTHS, seed=0).parameters())
    encoder = sum(
        p.numel()
        for p in nn.TransformerEncoderLayer(
            BERT.hidden, BERT.heads, BERT.intermediate, device="meta"
        ).parameters()
    )
    bert_layer = count(bert_parts(BERT), "layers") // BERT.layers
    base = bert_parts(BERT_BASE)
    pooler = BERT_BASE.hidden * (BERT_BASE.hidden + 1)
    found = {
        "BERT-base, no head": count(base) - count(base, "head") + pooler,
        "Mistral 7B": count(mistral_parts(MISTRAL_7B)),
    }
    checks = [
        Check(
            name="the parts add up to the counts",
            passed=all(sums[row[0]] == row[4] for row in summary.rows),
            detail=", ".join(f"{name} {total:,}" for name, total in sums.items()),
        ),
        Check(
            name="the DNN that is trained has the count",
            passed=built == sums["DNN"],
            detail=f"build_mlp has {built:,} parameters, the parts {sums['DNN']:,}",
        ),
        Check(
            name="a layer of BERT has the parameters of torch's encoder layer",
            passed=encoder == bert_layer,
            detail=f"torch {encoder:,}, closed form {bert_layer:,}",
        ),
        Check(
            name="the closed forms give the published sizes of BERT-base and Mistral 7B",
            passed=found == PUBLISHED,
            detail=", ".join(f"{k}: {found[k]:,} against {PUBLISHED[k]:,}" for k in PUBLISHED),
        ),
    ]
    return (*checks, *_library_checks())


def _library_checks() -> tuple[Check, ...]:
    """Compare with the real models, where the extra ``text`` is installed."""
    if find_spec("transformers") is None:
        return ()
    import torch

    transformers: Any = import_module("transformers")  # an extra, whose types are not at hand

    with torch.device("meta"):
        models = {
            "BERT": transformers.BertForMaskedLM(
                transformers.BertConfig(**_library_sizes(BERT), type_vocab_size=2)
            ),
            "Mistral": transformers.MistralForCausalLM(
                transformers.MistralConfig(
                    **_library_sizes(MISTRAL), num_key_value_heads=MISTRAL.key_value_heads
                )
            ),
        }
    found = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    expected = {"BERT": count(bert_parts(BERT)), "Mistral": count(mistral_parts(MISTRAL))}
    return (
        Check(
            name=f"transformers {transformers.__version__} builds models of the same size",
            passed=found == expected,
            detail=f"transformers {found}, closed form {expected}",
        ),
    )


def _library_sizes(shape: Transformer) -> dict[str, int]:
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": shape.positions or 512,
    }


def _finding(tables: tuple[ArtifactTable, ...]) -> Finding:
    summary, _, conventions = tables
    right = all(row[3] == row[5] for row in summary.rows)
    verdict: Verdict = "holds under a named assumption" if right else "does not hold"
    number = {(row[0], row[1]): row[2] for row in conventions.rows}
    shares = {row[0]: row[6] for row in summary.rows}
    counts = ", ".join(f"{row[0]} {row[4]:,} ({row[5]})" for row in summary.rows)
    three = [
        f"{model} {printed(number[model, 'all, 3 layers (the published sweeps)'])}"
        for model in ("BERT", "Mistral")
    ]
    return Finding(
        claim="Table I: the DNN has 13K parameters, BERT (hidden 64, 4 layers) 2.2M and Mistral "
        "(hidden 64, 4 layers) 4.3M",
        measured=f"Counted from the configurations: {counts}. Embeddings and head hold "
        f"{shares['BERT']:.0f}% of BERT and {shares['Mistral']:.0f}% of Mistral; without them "
        f"{number['BERT', 'without embeddings']:,} and "
        f"{number['Mistral', 'without embeddings and output weight']:,} are left. The counts do "
        f"not tell 4 layers from the 3 of the authors' published sweeps ({', '.join(three)}), but "
        "4 key-value heads in Mistral would give "
        f"{printed(number['Mistral', 'all, 4 key-value heads'])}.",
        verdict=verdict,
        assumption="all embeddings counted, BERT's output tied to them and Mistral's not, MLP "
        "width 256, 1 key-value head in Mistral: the paper states none of these"
        if right
        else None,
        command="qnewton paper table-1",
    )


def make(context: PaperContext) -> Artifact:
    """Count, compare with Table I, and check the closed forms. Well below a second."""
    context.progress("counting parameters")
    tables = _tables()
    return Artifact(
        name="table-1",
        title="Table I: parameters of the three networks",
        tables=tables,
        checks=_checks(tables),
        findings=(_finding(tables),),
        settings={"bert": BERT, "mistral": MISTRAL, "dnn": DNN_WIDTHS},
    )


EXPERIMENT = PaperExperiment(
    name="table-1", title="parameters of the DNN, BERT and Mistral, counted", make=make
)
