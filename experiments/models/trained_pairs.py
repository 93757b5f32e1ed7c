"""A trained cross-encoder: loaded whole or refused."""

from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.pretrained.limits import check_vocabulary
from experiments.pretrained.padding import settle_padding
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import is_head, load_weights


def load_classifier(source: Source) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A sequence classifier of one or two logits with all its weights, in fp32, and its tokenizer.

    Raises:
        ExperimentError: there is none, it has no trained head, or a head of more than two logits.
    """
    tokenizer = tokenizer_of(source)
    network, report = load_weights(AutoModelForSequenceClassification, source, may_start_anew=is_head)
    if report.missing or report.mismatched:
        lacking = min([*report.missing, *report.mismatched])
        raise ExperimentError(
            f"{source.said}: {source.place} is no trained cross-encoder, it lacks weights such as {lacking}: "
            f"{source.fix}"
        )
    if network.config.num_labels not in (1, 2):
        raise ExperimentError(
            f"{source.said}: {source.place} has {network.config.num_labels} logits a pair, not one or two: {source.fix}"
        )
    check_vocabulary(network, tokenizer, source.said)
    settle_padding(network, tokenizer, source.said)
    return network.eval(), tokenizer
