"""The paper's two small transformers, built from ``transformers`` configurations."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from qnewton.workloads.sources import needing_library

Architecture = Literal["bert", "mistral"]

HIDDEN, LAYERS, HEADS, INTERMEDIATE = 64, 4, 4, 256


class Logits(nn.Module):
    """A language model whose output is its logits alone, shape [n, T, V].

    Args:
        model: A ``transformers`` model for language modelling.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of ``tokens``, shape [n, T]."""
        return self.model(input_ids=tokens).logits


def build_transformer(
    architecture: Architecture, embeddings: Tensor, length: int, seed: int
) -> Logits:
    """Return the paper's BERT or Mistral (hidden 64, 4 layers), word embeddings frozen.

    BERT, masked language modelling, its output weight tied to the words: 2,221,178 parameters at
    30,522 words and 512 positions, 2.2 M. Mistral, causal, its output weight its own: 4,334,144
    parameters at 32,000 words, 4.3 M. All of BERT's embedding tables are frozen, words, positions
    and segments. Without dropout, so that a loss depends on parameters and batch alone.

    Args:
        architecture: ``bert`` or ``mistral``.
        embeddings: Word embeddings, shape [V, 64].
        length: Tokens of a sequence.
        seed: Seeds all other weights; the global generator is left as it was.

    Raises:
        ValueError: If ``transformers`` is not installed.
    """
    with needing_library(f"workload {architecture!r}"):
        import transformers as hub  # pyright: ignore[reportMissingImports]  # extra
    shape: dict[str, Any] = {
        "vocab_size": embeddings.shape[0],
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": max(512, length),
        # Its double backward exists, which the other kernels' on the CPU does not.
        "attn_implementation": "eager",
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "bert":
            config = hub.BertConfig(
                **shape, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
            )
            model: Any = hub.BertForMaskedLM(config)
            tables: nn.Module = model.bert.embeddings
            frozen = [p for n, p in tables.named_parameters() if "embeddings.weight" in n]
        else:
            config = hub.MistralConfig(
                **shape, num_key_value_heads=1, sliding_window=None, use_cache=False
            )
            model = hub.MistralForCausalLM(config)
            frozen = list(model.get_input_embeddings().parameters())
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(embeddings)
    for parameter in frozen:
        parameter.requires_grad_(False)
    return Logits(model)
