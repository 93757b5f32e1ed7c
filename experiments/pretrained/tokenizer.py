"""Load the tokenizer of a pretrained model."""

from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from experiments.pretrained.source import Source


def tokenizer_of(source: Source, **settings: Any) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a source, or raise ExperimentError."""
    with source.reading():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.place, revision=source.revision, trust_remote_code=False, **settings
        )
    return tokenizer


def keep(tokenizer: PreTrainedTokenizerBase, **settings: Any) -> None:
    """Change settings of a tokenizer so that ``save_pretrained`` writes them; it only writes arguments of the
    constructor.
    """
    for name, value in settings.items():
        setattr(tokenizer, name, value)
        tokenizer.init_kwargs[name] = value
