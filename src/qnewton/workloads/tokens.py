"""Text as windows of tokens, kept in a cache whose key is the content they were made from."""

import hashlib
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qnewton.runs import cache_folder, write_atomically

Encode = Callable[[str], Iterable[int]]

_DIGEST = 32
_PIECE = 1 << 18  # characters tokenised between two looks at the progress bar


def tokens_of(text: str, encode: Encode, identity: str, folder: Path | None = None) -> Tensor:
    r"""Return the tokens of ``text``, shape [n], from the cache if it holds them.

    The cache's key is the SHA-256 of the text and of the tokenizer, so a changed file or
    vocabulary never meets an old entry. An entry that does not match its own checksum is made
    again, with a warning that names it.

    Args:
        text: Text of whole lines.
        encode: Tokenizer, given some lines.
        identity: Says which tokenizer it is, contents included.
        folder: Where entries are kept; ``None`` for ``tokens`` in the cache folder.

    Cost: a pass over the text; 4 bytes per token on disk.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> tokens_of("ab\n", lambda line: [ord(c) for c in line.strip()], "codes", folder)
        tensor([97, 98])
    """
    folder = cache_folder() / "tokens" if folder is None else folder
    key = hashlib.sha256(f"{identity}\0".encode() + text.encode()).hexdigest()
    path = folder / f"{key}.tokens"
    found = _read(path) if path.exists() else None
    if found is None:
        found = _tokenise(text, encode)
        payload = found.astype("<i4").tobytes()
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(payload).digest(), payload)
    return torch.from_numpy(found.astype(np.int64))


def packed(tokens: Tensor, length: int) -> Tensor:
    """Return consecutive windows, shape [n // length, length]; what is left over is dropped.

    Raises:
        ValueError: If there are fewer tokens than one window has.

    Example:
        >>> packed(torch.arange(7), 3)
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    windows = len(tokens) // length
    if windows == 0:
        raise ValueError(
            f"the text has {len(tokens)} tokens, a window {length}; use more text or a shorter one"
        )
    return tokens[: windows * length].view(windows, length)


def _read(path: Path) -> NDArray[np.int32] | None:
    raw = path.read_bytes()
    digest, payload = raw[:_DIGEST], raw[_DIGEST:]
    if len(payload) % 4 or hashlib.sha256(payload).digest() != digest:
        warnings.warn(
            f"the token cache {path.name} is corrupt ({len(raw)} bytes, checksum differs): "
            "tokenising again",
            stacklevel=3,
        )
        return None
    return np.frombuffer(payload, "<i4")


def _tokenise(text: str, encode: Encode) -> NDArray[np.int32]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    tokens: list[int] = []
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("tokenising", total=len(text))
        for piece in _pieces(text):
            tokens.extend(encode(piece))
            progress.advance(task, len(piece))
    return np.array(tokens, np.int32)


def _pieces(text: str) -> Iterable[str]:
    """Cut text after line ends, so that no word is cut."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PIECE)
        stop = len(text) if end < 0 else end + 1
        yield text[start:stop]
        start = stop
