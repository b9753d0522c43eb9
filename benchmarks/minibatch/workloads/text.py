"""Three networks on WikiText-2: letters by a GRU, words by a tied GPT, articles by BERT.

The text is what ``load_wikitext`` finds. A data folder without a training split is trained on the
validation split, and the split held out is always the test split.
"""

import functools
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from benchmarks.minibatch.workloads.training import (
    Batch,
    Training,
    Workload,
    accuracy,
    seeded,
    shuffled,
    supervised,
)
from qnewton.workloads.sources import needing_library
from qnewton.workloads.wikitext import load_wikitext

_LENGTH = 64
_LETTERS, _TRAIN_LETTERS, _TEST_LETTERS = 80, 100_000, 25_000
_WORDS, _TRAIN_WORDS, _TEST_WORDS = 2000, 50_000, 12_500
_ARTICLES, _BERT_WORDS = 20, 4000


class _LetterModel(nn.Module):
    """The next letter by a GRU: logits [n, T, V] of letters [n, T]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_LETTERS, 32)
        self.gru = nn.GRU(32, 128, batch_first=True)
        self.output = nn.Linear(128, _LETTERS)

    def forward(self, letters: Tensor) -> Tensor:
        hidden, _ = self.gru(self.embedding(letters))
        return self.output(hidden)


def gru(seed: int) -> Training:
    """Return the letters of WikiText-2, 64 in a sequence, batch 32."""
    text = load_wikitext("wikitext-2", None)
    train, test = text.train[:_TRAIN_LETTERS], text.test[:_TEST_LETTERS]
    number = _numbered(train, _LETTERS)
    splits = _next_of(_encoded(train, number)), _next_of(_encoded(test, number))
    batches = shuffled(splits[0], 32, seed)
    return supervised(seeded(_LetterModel, seed), _token_loss, splits, batches, _token_loss)


class _Layer(nn.Module):
    """One layer of a GPT: causal attention and two linear layers, each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first_norm = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        parts = self.attention(self.first_norm(x)).split(width, dim=-1)
        q, k, v = (part.view(n, length, self.heads, -1).transpose(1, 2) for part in parts)
        attended = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mix(attended.transpose(1, 2).reshape(n, length, width))
        return x + self.feed_forward(self.second_norm(x))


class _TiedGPT(nn.Module):
    """Two layers of width 64 whose output weight is the embedding of the words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, 64)
        self.places = nn.Embedding(_LENGTH, 64)
        self.layers = nn.Sequential(_Layer(64, 4), _Layer(64, 4), nn.LayerNorm(64))
        self.output = nn.Linear(64, _WORDS, bias=False)
        nn.init.normal_(self.words.weight, std=0.02)
        self.output.weight = self.words.weight

    def forward(self, words: Tensor) -> Tensor:
        places = torch.arange(words.shape[1])
        return self.output(self.layers(self.words(words) + self.places(places)))


def gpt(seed: int) -> Training:
    """Return the words of WikiText-2, the 2,000 most frequent, 64 in a sequence, batch 16."""
    text = load_wikitext("wikitext-2", None)
    train, test = text.train.split()[:_TRAIN_WORDS], text.test.split()[:_TEST_WORDS]
    number = _numbered(train, _WORDS)
    splits = _next_of(_encoded(train, number)), _next_of(_encoded(test, number))
    batches = shuffled(splits[0], 16, seed)
    return supervised(seeded(_TiedGPT, seed), _token_loss, splits, batches, _token_loss)


class _Classifier(nn.Module):
    """BERT of hidden size 64 and 4 layers with its own defaults, for sequence classification."""

    def __init__(self) -> None:
        super().__init__()
        with needing_library("BERT"):
            import transformers as hub  # pyright: ignore[reportMissingImports]  # extra
        shape: dict[str, Any] = {
            "vocab_size": _BERT_WORDS,
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "max_position_embeddings": _LENGTH,
            "num_labels": _ARTICLES,
        }
        self.bert = hub.BertForSequenceClassification(hub.BertConfig(**shape))

    def forward(self, words: Tensor) -> Tensor:
        return self.bert(input_ids=words).logits


def bert(seed: int) -> Training:
    """Return which of the 20 longest articles 64 words come from, batch 32.

    A fifth of the passages is held out, spread over all articles.
    """
    windows, labels = _passages()
    held_out = torch.arange(len(labels)) % 5 == 4
    splits = (
        (windows[~held_out], labels[~held_out]),
        (windows[held_out], labels[held_out]),
    )
    batches = shuffled(splits[0], 32, seed)
    return supervised(seeded(_Classifier, seed), cross_entropy, splits, batches, accuracy)


TEXT = (
    Workload("GRU", "letters of WikiText-2, GRU of 128 units, batch 32 × 64", "nats", False, gru),
    Workload(
        "tied GPT",
        "words of WikiText-2, two layers of width 64, embedding tied, batch 16 × 64",
        "nats",
        False,
        gpt,
    ),
    Workload(
        "BERT",
        "articles of WikiText-2 by their words, 4 layers of width 64, batch 32 × 64",
        "accuracy",
        True,
        bert,
    ),
)


@functools.cache
def _passages() -> tuple[Tensor, Tensor]:
    """Return windows of words [n, 64] of the longest articles, and the article of each."""
    articles: list[list[str]] = []
    for line in load_wikitext("wikitext-2", None).train.splitlines():
        # A title has one equals sign on each side, a section at least two.
        if line.startswith(" = ") and not line.startswith(" = = "):
            articles.append([])
        elif articles:
            articles[-1] += line.split()
    longest = sorted(articles, key=len, reverse=True)[:_ARTICLES]
    number = _numbered([word for article in longest for word in article], _BERT_WORDS)
    windows, labels = [], []
    for label, article in enumerate(longest):
        words = _encoded(article, number)
        cut = words[: len(words) // _LENGTH * _LENGTH].view(-1, _LENGTH)
        windows.append(cut)
        labels.append(torch.full((len(cut),), label))
    return torch.cat(windows), torch.cat(labels)


def _numbered(symbols: str | list[str], most: int) -> dict[str, int]:
    """Return a number for each of the most frequent symbols; 0 is for all others."""
    counted = sorted(Counter(symbols).items(), key=lambda pair: (-pair[1], pair[0]))
    return {symbol: i + 1 for i, (symbol, _) in enumerate(counted[: most - 1])}


def _encoded(symbols: str | list[str], number: dict[str, int]) -> Tensor:
    return torch.tensor([number.get(symbol, 0) for symbol in symbols])


def _next_of(tokens: Tensor) -> Batch:
    """Return windows [n, 64] of tokens, and those of the tokens that follow."""
    count = (len(tokens) - 1) // _LENGTH * _LENGTH
    return tokens[:count].view(-1, _LENGTH), tokens[1 : count + 1].view(-1, _LENGTH)


def _token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    return cross_entropy(logits.flatten(0, 1), tokens.flatten())
