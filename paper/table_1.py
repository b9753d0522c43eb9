"""Table I: how many parameters the three networks have, counted from their configurations."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from paper import parameter_counts as counts
from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, Texts
from paper.parameter_counts import BERT, MISTRAL, Part, Transformer, count, printed
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

THREE_LAYERS = "all, 3 layers (the published sweeps)"
NO_EMBEDDINGS = {"BERT": "without embeddings", "Mistral": "without embeddings and output weight"}
FOUR_HEADS = "all, 4 key-value heads"


_TEXTS = Texts("table-1")


@dataclass(frozen=True)
class Network:
    """One of Table I's networks, and its parameters under every way of counting.

    The first way is Table I's.
    """

    name: str
    hidden: int
    layers: int
    parts: tuple[Part, ...]
    ways: dict[str, int]

    @property
    def total(self) -> int:
        """Parameters of all parts."""
        return count(self.parts)

    @property
    def outside(self) -> float:
        """Percent of the parameters that are in no layer."""
        return 100 * (self.total - count(self.parts, "layers")) / self.total


def _run(context: PaperContext, widths: tuple[int, ...]) -> dict[str, Network]:
    """Count. Well below a second."""
    context.progress("counting parameters")
    dnn, bert = counts.dnn_parts(widths), counts.bert_parts(BERT)
    mistral = counts.mistral_parts(MISTRAL)
    dnn_ways = {
        "784-16-16-10, weights and biases": count(dnn),
        "first weight alone (Fig. 6)": widths[0] * widths[1],
        "784-16-10 (the published script's default)": count(counts.dnn_parts((784, 16, 10))),
    }
    bert_ways = {
        "all; output weight tied to the words": count(bert),
        "output weight counted again": count(bert) + BERT.vocabulary * BERT.hidden,
        "no language-model head, but the pooler": _headless(BERT),
        NO_EMBEDDINGS["BERT"]: count(bert) - count(bert, "embeddings"),
        THREE_LAYERS: count(counts.bert_parts(replace(BERT, layers=3))),
    }
    mistral_ways = {
        "all; output weight not tied": count(mistral),
        "output weight tied to the words": count(mistral) - count(mistral, "head"),
        NO_EMBEDDINGS["Mistral"]: count(mistral, "layers"),
        FOUR_HEADS: count(counts.mistral_parts(replace(MISTRAL, key_value_heads=4))),
        THREE_LAYERS: count(counts.mistral_parts(replace(MISTRAL, layers=3))),
    }
    return {
        "DNN": Network("DNN", 16, 2, dnn, dnn_ways),
        "BERT": Network("BERT", BERT.hidden, BERT.layers, bert, bert_ways),
        "Mistral": Network("Mistral", MISTRAL.hidden, MISTRAL.layers, mistral, mistral_ways),
    }


def _headless(bert: Transformer) -> int:
    """Return a BERT's parameters with a pooler in place of the language-model head."""
    parts = counts.bert_parts(bert)
    return count(parts) - count(parts, "head") + bert.hidden * (bert.hidden + 1)


def _tables(networks: dict[str, Network]) -> Iterator[ArtifactTable]:
    nets = networks.values()
    rows = (
        (n.name, n.hidden, n.layers, PAPER[n.name], n.total, printed(n.total), n.outside)
        for n in nets
    )
    yield _TEXTS.table("table-1", rows)
    rows = (
        (net.name, part.group, part.name, part.formula, part.each, part.times, part.total)
        for net in nets
        for part in net.parts
    )
    yield _TEXTS.table("table-1-breakdown", rows)
    rows = (
        (net.name, way, number, printed(number), printed(number) == PAPER[net.name])
        for net in nets
        for way, number in net.ways.items()
    )
    yield _TEXTS.table("table-1-conventions", rows)


def _checks(networks: dict[str, Network]) -> Iterator[Check]:
    sums = {name: sum(part.total for part in net.parts) for name, net in networks.items()}
    built = _size(build_mlp(DNN_WIDTHS, seed=0))
    encoder = _size(
        nn.TransformerEncoderLayer(BERT.hidden, BERT.heads, BERT.intermediate, device="meta")
    )
    bert_layer = count(networks["BERT"].parts, "layers") // BERT.layers
    found = {
        "BERT-base, no head": _headless(BERT_BASE),
        "Mistral 7B": count(counts.mistral_parts(MISTRAL_7B)),
    }
    whole = all(sums[name] == net.total for name, net in networks.items())
    yield _TEXTS.check("sums", whole, sums=sums)
    yield _TEXTS.check("built", built == sums["DNN"], built=built, expected=sums["DNN"])
    yield _TEXTS.check("encoder", encoder == bert_layer, encoder=encoder, expected=bert_layer)
    yield _TEXTS.check("published", found == PUBLISHED, found=found, published=PUBLISHED)
    if find_spec("transformers") is not None:
        yield _library_check(networks)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _library_check(networks: dict[str, Network]) -> Check:
    """Compare with the real models, where the extra ``text`` is installed."""
    import torch

    transformers: Any = import_module("transformers")  # an extra, whose types are not at hand

    def sizes(shape: Transformer) -> dict[str, int]:
        return {
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "intermediate_size": shape.intermediate,
            "max_position_embeddings": shape.positions or 512,
        }

    bert = transformers.BertConfig(**sizes(BERT), type_vocab_size=2)
    mistral = transformers.MistralConfig(
        **sizes(MISTRAL), num_key_value_heads=MISTRAL.key_value_heads
    )
    with torch.device("meta"):
        found = {
            "BERT": _size(transformers.BertForMaskedLM(bert)),
            "Mistral": _size(transformers.MistralForCausalLM(mistral)),
        }
    expected = {name: networks[name].total for name in found}
    version = transformers.__version__
    same = found == expected
    return _TEXTS.check("library", same, version=version, found=found, expected=expected)


def _finding(networks: dict[str, Network]) -> Finding:
    right = all(printed(net.total) == PAPER[name] for name, net in networks.items())
    ways = {"alone": NO_EMBEDDINGS, "three": THREE_LAYERS, "four": FOUR_HEADS}
    return _TEXTS.finding("counts", False, networks=networks, printed=printed, right=right, **ways)


EXPERIMENT = Experiment(
    name="table-1",
    title="Table I: parameters of the three networks",
    quick=DNN_WIDTHS,
    full=DNN_WIDTHS,
    run=_run,
    tables=_tables,
    checks=_checks,
    findings=lambda networks: [_finding(networks)],
    settings=lambda *_: {"bert": BERT, "mistral": MISTRAL, "dnn": DNN_WIDTHS},
)
