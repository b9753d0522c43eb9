"""What a language-modelling workload adds: masks drawn by step, and evaluation in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.workloads.base import Workload, evaluating

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
        pieces = zip(
            self.test_inputs.split(_EVALUATED_AT_ONCE),
            self.test_targets.split(_EVALUATED_AT_ONCE),
            strict=True,
        )
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
