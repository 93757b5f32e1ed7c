"""Set one padding token and padding side for tokenizer and network.

A decoder's sequence classifier reads the last token that is not ``config.pad_token_id``: with other padding, a pair's
score would depend on the rest of the batch.
"""

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.pretrained.tokenizer import keep


def pads_left(network: PreTrainedModel) -> bool:
    """Whether inputs are padded on the left, as the head always reads the last position (XLNet)."""
    summary = getattr(network, "sequence_summary", None)
    return getattr(summary, "summary_type", None) == "last"


def settle_padding(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, label: str) -> None:
    """Set one padding token in config and tokenizer (the config's, the tokenizer's, or the end-of-text token), and the
    side.

    A text that contains this token is read like any other; a decoder's head then skips it at the end.

    Raises:
        ExperimentError: there is no such token.
    """
    config: Any = network.config.get_text_config()
    embeddings: Any = network.get_input_embeddings()
    ids = (config.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.sep_token_id)
    token_id = next((i for i in ids if isinstance(i, int) and 0 <= i < embeddings.num_embeddings), None)
    token = None if token_id is None else tokenizer.convert_ids_to_tokens(token_id)
    if token is None:
        raise ExperimentError(
            f"{label}: neither its config.json nor its tokenizer has a padding token, or a token that ends a text, "
            f"which batches of different lengths need: name one as pad_token in its tokenizer_config.json"
        )
    config.pad_token_id = network.config.pad_token_id = token_id
    if tokenizer.pad_token_id != token_id:
        tokenizer.pad_token = token
    keep(tokenizer, padding_side="left" if pads_left(network) else "right")


def has_segments(network: PreTrainedModel) -> bool:
    """Whether a network distinguishes the two texts of a pair by segment ids (BERT's token types, XLNet's)."""
    return int(getattr(network.config, "type_vocab_size", 0)) >= 2 or network.config.model_type == "xlnet"
