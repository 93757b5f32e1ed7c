"""What a network can read: how many tokens, and which."""

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError

# Rows of embeddings that no token has: checkpoints round the vocabulary up, the hub's by less than this share of it.
SPARE_ROWS = 0.05


def longest_input(network: PreTrainedModel) -> int | None:
    """How many tokens a network reads at most, special tokens included; None where nothing limits them.

    RoBERTa, XLM-RoBERTa, CamemBERT and MPNet count positions from behind the padding index, so that 514 of them serve
    512 tokens. XLNet's are relative.
    """
    positions = getattr(network.config, "max_position_embeddings", None)
    if not positions or positions < 0:
        return None
    padding = getattr(getattr(network.base_model, "embeddings", None), "padding_idx", None)
    return int(positions) if padding is None else int(positions) - int(padding) - 1


def check_length(network: PreTrainedModel, key: str, tokens: int, label: str) -> None:
    """Refuse inputs longer than a network's positions. ``key``: the setting that says how long they are.

    Raises:
        ExperimentError: with the longest that can be set.
    """
    longest = longest_input(network)
    if longest is not None and tokens > longest:
        raise ExperimentError(
            f"{key}={tokens}, but {label} has {longest} positions for tokens: set {key} to at most {longest}"
        )


def check_vocabulary(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, label: str, *, spare: float | None = None
) -> None:
    """Refuse a tokenizer of another vocabulary than a network's embeddings.

    ``spare``: the share of embeddings without a token from which on they must be another vocabulary's; None allows any.

    Raises:
        ExperimentError: a token has no embedding, or too many embeddings have no token.
    """
    embeddings: Any = network.get_input_embeddings()
    rows, words = int(embeddings.num_embeddings), max(tokenizer.get_vocab().values(), default=-1) + 1
    if words > rows or (spare is not None and rows - words > spare * words):
        raise ExperimentError(
            f"{label}: its tokenizer has {words:,} tokens but its network has embeddings of {rows:,}: they do not "
            f"belong together, give the tokenizer that the network was trained with"
        )
