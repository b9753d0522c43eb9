"""Text as windows of tokens, kept in a cache, and what a workload on them adds.

The cache's key is the content that an entry was made from. Masks are drawn by step, and a test
split is evaluated in pieces.
"""

import hashlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.runs import cache_folder, write_atomically
from qnewton.workloads.base import Workload, evaluating

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


IGNORED = -100
"""Target of a position that no loss is taken at."""

_EVALUATED_AT_ONCE = 16


@dataclass(frozen=True)
class Masking:
    """Masked language modelling: 15% of positions are to be told, most of them hidden.

    Every sequence has the same number of them, so that every sequence has the same weight in the
    mean loss. Of these, 80% show the mask token, 10% a random token, 10% their own.

    Attributes:
        mask_token: Number of the mask token.
        vocabulary: Number of tokens.
        protected: Tokens that are never asked for.
        share: Share of positions asked for.

    Reference: Devlin et al., arXiv:1810.04805, 3.1.
    """

    mask_token: int
    vocabulary: int
    protected: tuple[int, ...]
    share: float = 0.15

    def apply(self, windows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return (inputs, targets), both of the shape [n, T] of ``windows``."""
        n, length = windows.shape
        score = torch.rand(n, length, generator=generator)
        for token in self.protected:
            score[windows == token] = 2.0
        count = max(1, round(self.share * length))
        chosen = score.argsort(dim=1)[:, :count]
        told = torch.zeros_like(windows, dtype=torch.bool).scatter_(1, chosen, True)
        targets = windows.masked_fill(~told, IGNORED)
        fate = torch.rand(n, length, generator=generator)
        drawn = torch.randint(self.vocabulary, windows.shape, generator=generator)
        inputs = windows.masked_fill(told & (fate < 0.8), self.mask_token)
        return torch.where(told & (fate >= 0.9), drawn, inputs), targets


@dataclass(frozen=True)
class TextWorkload(Workload):
    """A workload on windows of tokens; a sample is a sequence.

    ``train_inputs`` and ``test_inputs`` have shape [n, T]. Accuracy is the share of positions
    asked for whose token has the largest logit.

    Attributes:
        masking: How inputs and targets are drawn from ``train_inputs`` at each step; ``None``
            where ``train_targets`` are the next tokens.
    """

    masking: Masking | None = None

    def batches(self, seed: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every step's batch; its mask, too, depends on seed and step alone."""
        step = first_step
        for inputs, targets in super().batches(seed, first_step):
            if self.masking is None:
                yield inputs, targets
            else:
                # PyTorch's CPU generator reads the lower 32 bits of a seed alone.
                mixed = np.random.SeedSequence((seed, step)).generate_state(1)[0]
                generator = torch.Generator().manual_seed(int(mixed))
                yield self.masking.apply(inputs, generator)
            step += 1

    def evaluate(self, model: nn.Module) -> tuple[float, float]:
        """Return (mean loss, accuracy) over the positions asked for in the test split."""
        loss, right, asked = 0.0, 0, 0
        splits = (self.test_inputs, self.test_targets)
        pieces = zip(*(split.split(_EVALUATED_AT_ONCE) for split in splits), strict=True)
        with evaluating(model):
            for inputs, targets in pieces:
                counted = targets != IGNORED
                known, logits = targets[counted], model(inputs)[counted]
                loss += float(cross_entropy(logits, known, reduction="sum"))
                right += int((logits.argmax(1) == known).sum())
                asked += len(known)
        return loss / asked, right / asked


def token_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy over the positions asked for.

    Args:
        outputs: Logits, shape [n, T, V].
        targets: Tokens, shape [n, T]; :data:`IGNORED` where nothing is asked.

    Example:
        >>> float(token_loss(torch.zeros(1, 2, 4), torch.tensor([[3, IGNORED]])))
        1.3862943649291992
    """
    return cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
