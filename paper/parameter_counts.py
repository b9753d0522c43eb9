"""Parameter counts of ReLU networks, BERT and Mistral in closed form, tensor by tensor.

What the paper does not state is taken from the authors' published scripts
(github.com/UNITES-Lab/q-newton, approx-hessian, commit 5021386): intermediate size 256, 4 heads,
1 key-value head, 512 positions; the vocabularies are those of bert-base-uncased and Mistral 7B.
"""

import itertools
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """The sizes that decide a transformer's parameter count.

    Attributes:
        vocabulary: Tokens V.
        hidden: Width h.
        layers: Number of layers.
        heads: Attention heads, which share h.
        key_value_heads: Heads that have keys and values of their own.
        intermediate: Width f inside an MLP.
        positions: Learned positions; 0 where rotations take their place.
    """

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    positions: int = 0


@dataclass(frozen=True)
class Part:
    """One kind of tensors of a network.

    Attributes:
        group: ``embeddings``, ``layers`` or ``head``.
        name: What it is.
        formula: Its parameters in symbols.
        each: Its parameters.
        times: How often it occurs.
    """

    group: str
    name: str
    formula: str
    each: int
    times: int = 1

    @property
    def total(self) -> int:
        """Parameters of all its occurrences."""
        return self.each * self.times


BERT = Transformer(
    vocabulary=30_522,
    hidden=64,
    layers=4,
    heads=4,
    key_value_heads=4,
    intermediate=256,
    positions=512,
)
MISTRAL = Transformer(
    vocabulary=32_000, hidden=64, layers=4, heads=4, key_value_heads=1, intermediate=256
)


def bert_parts(shape: Transformer) -> tuple[Part, ...]:
    """Return the parts of a BERT for masked language modeling, output tied to the input.

    Reference: Devlin et al., arXiv:1810.04805; tensors as in ``transformers.BertForMaskedLM``.

    Example:
        >>> sum(part.total for part in bert_parts(BERT))
        2221178
    """
    v, h, f = shape.vocabulary, shape.hidden, shape.intermediate
    return (
        Part("embeddings", "words", "V·h", v * h),
        Part("embeddings", "positions", "P·h", shape.positions * h),
        Part("embeddings", "segments", "2·h", 2 * h),
        Part("embeddings", "norm", "2·h", 2 * h),
        Part("layers", "query, key, value, output", "4·(h² + h)", 4 * (h * h + h), shape.layers),
        Part("layers", "MLP", "2·h·f + f + h", 2 * h * f + f + h, shape.layers),
        Part("layers", "two norms", "4·h", 4 * h, shape.layers),
        Part("head", "transform and its norm", "h² + 3·h", h * h + 3 * h),
        Part("head", "output bias (weight tied to the words)", "V", v),
    )


def mistral_parts(shape: Transformer) -> tuple[Part, ...]:
    """Return the parts of a Mistral for causal language modeling, output not tied.

    Reference: Jiang et al., arXiv:2310.06825; tensors as in ``transformers.MistralForCausalLM``.

    Example:
        >>> sum(part.total for part in mistral_parts(MISTRAL))
        4334144
    """
    v, h, f = shape.vocabulary, shape.hidden, shape.intermediate
    g = shape.key_value_heads * (h // shape.heads)
    return (
        Part("embeddings", "words", "V·h", v * h),
        Part("layers", "query, output", "2·h²", 2 * h * h, shape.layers),
        Part(
            "layers", "key, value (g = h·key-value heads/heads)", "2·h·g", 2 * h * g, shape.layers
        ),
        Part("layers", "gated MLP", "3·h·f", 3 * h * f, shape.layers),
        Part("layers", "two norms", "2·h", 2 * h, shape.layers),
        Part("layers", "last norm", "h", h),
        Part("head", "output weight", "V·h", v * h),
    )


def dnn_parts(widths: tuple[int, ...]) -> tuple[Part, ...]:
    """Return the parts of a ReLU network, one weight and one bias per layer."""
    return tuple(
        Part("layers", f"linear {a} → {b}", f"{a}·{b} + {b}", a * b + b)
        for a, b in itertools.pairwise(widths)
    )


def count(parts: tuple[Part, ...], group: str | None = None) -> int:
    """Return the parameters of all parts, or of those of one group."""
    return sum(part.total for part in parts if group in (None, part.group))


def printed(parameters: int) -> str:
    """Return a count as Table I prints counts.

    Example:
        >>> printed(13_002), printed(2_221_178)
        ('13K', '2.2M')
    """
    if parameters >= 100_000:
        return f"{parameters / 1e6:.1f}M"
    return f"{parameters / 1e3:.0f}K"
