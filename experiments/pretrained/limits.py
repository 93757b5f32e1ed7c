"""Check how many tokens a network can read, and which."""

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError

# Embeddings without a token: checkpoints round the vocabulary up, those on the hub by less than this share.
SPARE_ROWS = 0.05


def longest_input(network: PreTrainedModel) -> int | None:
    """Return the maximum input length, special tokens included; None if unlimited (XLNet's positions are relative).

    RoBERTa, XLM-RoBERTa, CamemBERT and MPNet count positions from the padding index: 514 positions serve 512 tokens.
    """
    positions = getattr(network.config, "max_position_embeddings", None)
    if not positions or positions < 0:
        return None
    padding = getattr(getattr(network.base_model, "embeddings", None), "padding_idx", None)
    return int(positions) if padding is None else int(positions) - int(padding) - 1


def check_length(network: PreTrainedModel, key: str, tokens: int, label: str) -> None:
    """Raise ExperimentError if inputs exceed a network's positions. ``key``: the setting of their length."""
    longest = longest_input(network)
    if longest is not None and tokens > longest:
        raise ExperimentError(
            f"{key}={tokens}, but {label} has {longest} positions for tokens: set {key} to at most {longest}"
        )


def check_vocabulary(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, label: str, *, spare: float | None = None
) -> None:
    """Raise ExperimentError if a token has no embedding, or too many embeddings have no token.

    ``spare``: largest share of embeddings without a token; None allows any.
    """
    embeddings: Any = network.get_input_embeddings()
    rows, words = int(embeddings.num_embeddings), max(tokenizer.get_vocab().values(), default=-1) + 1
    if words > rows or (spare is not None and rows - words > spare * words):
        raise ExperimentError(
            f"{label}: its tokenizer has {words:,} tokens but its network has embeddings of {rows:,}: they do not "
            f"belong together, give the tokenizer that the network was trained with"
        )
