"""A trained cross-encoder as a folder that sentence-transformers' ``CrossEncoder`` loads with the same scores.

What decides a score beside the weights is in the folder: how pairs are padded, whether segments are told apart, and how
pairs are cut. One thing ``CrossEncoder`` cannot be told, a limit to the query's tokens: it stands in ``config.json``,
where ``load_scorer`` reads it, and in the folder's README.md.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.cache import write_json
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.models.heads import one_logit
from experiments.pretrained.padding import has_segments
from experiments.pretrained.source import quiet
from experiments.pretrained.tokenizer import keep

log = logging.getLogger(__name__)

FIELD = "rerank_ablations"  # of config.json
MODULE = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
IDENTITY = "torch.nn.modules.linear.Identity"


@dataclass(frozen=True)
class PairCut:
    """How pairs are cut: the query to ``max_query_tokens``, the passage to what is left of ``max_length``.

    ``cut_queries``, ``queries``: how many of the collection's queries are longer, and how many there are.
    """

    max_query_tokens: int
    max_length: int
    cut_queries: int = 0
    queries: int = 0

    @classmethod
    def of(cls, encoder: PairEncoder) -> "PairCut":
        """Return how an encoder cuts pairs, and warn of queries that are cut."""
        lengths, limit = encoder.queries.lengths, encoder.max_query_tokens
        cut = cls(limit, encoder.max_length, int((lengths > limit).sum()), len(lengths))
        if cut.cut_queries:
            log.warning("%s", cut.said())
        return cut

    @classmethod
    def read(cls, config: PreTrainedConfig) -> "PairCut | None":
        """The cut of an exported model by its config; None if it says nothing of one."""
        said = getattr(config, FIELD, None)
        if not isinstance(said, Mapping) or not {"max_query_tokens", "max_length"} <= said.keys():
            return None
        return cls(int(said["max_query_tokens"]), int(said["max_length"]))

    def said(self) -> str:
        """The limit, in words, and whom it concerns."""
        return (
            f"queries are cut to {self.max_query_tokens} tokens (model.max_query_tokens), and {self.cut_queries:,} of "
            f"the collection's {self.queries:,} are longer; sentence-transformers' CrossEncoder has no such limit and "
            f"scores them whole"
        )


def export_pairs(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, rank_by: str, cut: PairCut | None
) -> None:
    """Save network and tokenizer in Hugging Face format with one logit, the score that ranks.

    ``rank_by``: of two logits, see ``score_of``. ``cut``: how pairs were cut in training; None where nobody knows.
    """
    config = network.config
    with one_logit(network, rank_by), quiet():
        # sentence-transformers puts a sigmoid on a single logit unless the config names another activation
        config.sentence_transformers = {"activation_fn": IDENTITY, "version": "5.0.0"}
        if cut is not None:
            kept = {name: value for name, value in asdict(cut).items() if name.startswith("max_")}
            setattr(config, FIELD, kept)
        network.save_pretrained(folder)
    names = ["input_ids", "token_type_ids", "attention_mask"]
    keep(
        tokenizer,
        model_input_names=names if has_segments(network) else [names[0], names[2]],
        **({"model_max_length": cut.max_length} if cut is not None else {}),
    )
    tokenizer.save_pretrained(folder)
    if cut is not None:
        passage_alone = 2 * cut.max_query_tokens > cut.max_length - PairTemplate.of(tokenizer).extra
        if passage_alone:
            _write_truncation(folder)
        (folder / "README.md").write_text(_readme(cut, passage_alone), encoding="utf-8")


def _write_truncation(folder: Path) -> None:
    """Let ``CrossEncoder`` cut the passage alone, as in training. Its own way, the longer text first, gives the same
    unless the query may take more than half of a pair.
    """
    modality = {"text": {"method": "forward", "method_output_name": "logits"}}
    transformer: dict[str, Any] = {
        "transformer_task": "sequence-classification",
        "modality_config": modality,
        "module_output_name": "scores",
        "processing_kwargs": {"text": {"truncation": "only_second"}},
    }
    settings: dict[str, Any] = {
        "model_type": "CrossEncoder",
        "activation_fn": IDENTITY,
        "prompts": {},
        "default_prompt_name": None,
    }
    write_json(folder / "modules.json", [MODULE])
    write_json(folder / "sentence_bert_config.json", transformer)
    write_json(folder / "config_sentence_transformers.json", settings)


def _readme(cut: PairCut, passage_alone: bool) -> str:
    refused = " It refuses a query that leaves no room for a passage (Truncation error)." if passage_alone else ""
    return f"""# A cross-encoder

```python
from sentence_transformers import CrossEncoder

scores = CrossEncoder("path/of/this/folder").predict([("query", "passage")])
```

Pairs have at most {cut.max_length} tokens; the passage is cut. In training, {cut.said()}. Scores of queries within the
limit are those of the training to 1e-5.{refused} For the others use `load_scorer` of `experiments.models.pair_scorer`
(`negatives.filter.scorer`, `audit.scorer`), which reads the limit from `{FIELD}` in config.json.
"""
