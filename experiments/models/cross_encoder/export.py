"""Export a trained cross-encoder to a folder that sentence-transformers' ``CrossEncoder`` loads with the same scores.

The folder also holds the padding, the segment ids and the cutting of pairs. ``CrossEncoder`` has no limit on query
tokens: the limit is in ``config.json``, where ``load_scorer`` reads it, and in the folder's README.md.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.cache import write_json
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.windows import Windows
from experiments.models.heads import one_logit
from experiments.pretrained.padding import has_segments
from experiments.pretrained.source import quiet
from experiments.pretrained.tokenizer import keep

log = logging.getLogger(__name__)

FIELD = "rerank_ablations"  # key in config.json
WINDOWS = "windows"  # below it, of a model that scores windows
MODULE = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
IDENTITY = "torch.nn.modules.linear.Identity"


@dataclass(frozen=True)
class PairCut:
    """Maximum lengths of a pair: ``max_query_tokens`` for the query, the rest of ``max_length`` for the passage.

    ``cut_queries``: the collection's queries that are longer, of ``queries`` in all. ``max_passage_tokens``: a limit of
    the passage alone, which lightning-ir has; None for none. ``windows``: of passages that do not fit (MaxP); None
    reads their first tokens (FirstP).
    """

    max_query_tokens: int
    max_length: int
    cut_queries: int = 0
    queries: int = 0
    max_passage_tokens: int | None = None
    windows: Windows | None = None

    @classmethod
    def of(cls, encoder: PairEncoder, windows: Windows | None = None) -> "PairCut":
        """Return the maximum lengths of an encoder, and warn of queries that are cut."""
        lengths, limit = encoder.queries.lengths, encoder.max_query_tokens
        cut = cls(limit, encoder.max_length, int((lengths > limit).sum()), len(lengths), windows=windows)
        if cut.cut_queries:
            log.warning("%s", cut.describe())
        return cut

    @classmethod
    def read(cls, config: PreTrainedConfig) -> "PairCut | None":
        """Read the maximum lengths from an exported model's config; None if it has none."""
        limits = getattr(config, FIELD, None)
        if not isinstance(limits, Mapping) or not {"max_query_tokens", "max_length"} <= limits.keys():
            return None
        passage, windows = limits.get("max_passage_tokens"), limits.get(WINDOWS)
        return cls(
            int(limits["max_query_tokens"]),
            int(limits["max_length"]),
            max_passage_tokens=passage,
            windows=Windows(**windows) if isinstance(windows, Mapping) else None,
        )

    def describe(self) -> str:
        """Describe the query limit and the number of queries that it cuts."""
        return (
            f"queries are cut to {self.max_query_tokens} tokens (model.max_query_tokens), and {self.cut_queries:,} of "
            f"the collection's {self.queries:,} are longer; sentence-transformers' CrossEncoder has no such limit and "
            f"scores them whole"
        )

    def fields(self) -> dict[str, Any]:
        """Return the maximum lengths as they are written into an exported model's config."""
        limits = {"max_query_tokens": self.max_query_tokens, "max_length": self.max_length}
        return limits if self.windows is None else {**limits, WINDOWS: asdict(self.windows)}


def export_pairs(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, rank_by: str, cut: PairCut | None
) -> None:
    """Save network and tokenizer in Hugging Face format with one logit, the score that ranks.

    ``rank_by``: which score two logits give, see ``score_of``. ``cut``: the maximum lengths of the training; None if
    unknown.
    """
    config = network.config
    with one_logit(network, rank_by), quiet():
        # sentence-transformers puts a sigmoid on a single logit unless the config names another activation
        config.sentence_transformers = {"activation_fn": IDENTITY, "version": "5.0.0"}
        if cut is not None:
            setattr(config, FIELD, cut.fields())
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
    """Make ``CrossEncoder`` cut the passage alone, as in training. Its default, the longer text first, differs only if
    the query may take more than half of a pair.
    """
    transformer: dict[str, Any] = {
        "transformer_task": "sequence-classification",
        "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
        "module_output_name": "scores",
        "processing_kwargs": {"text": {"truncation": "only_second"}},
    }
    settings = {"activation_fn": IDENTITY, "prompts": dict[str, str](), "default_prompt_name": None}
    write_json(folder / "modules.json", [MODULE])
    write_json(folder / "sentence_bert_config.json", transformer)
    write_json(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder", **settings})


def _readme(cut: PairCut, passage_alone: bool) -> str:
    scorer = "`load_scorer` of `experiments.models.pair_scorer` (`negatives.filter.scorer`, `audit.scorer`)"
    refused = " It refuses a query that leaves no room for a passage (Truncation error)." if passage_alone else ""
    return f"""# A cross-encoder

```python
from sentence_transformers import CrossEncoder

scores = CrossEncoder("path/of/this/folder").predict([("query", "passage")])
```

Pairs have at most {cut.max_length} tokens; the passage is cut. In training, {cut.describe()}. Scores of queries within
the limit equal the training's to 1e-5.{refused} For longer queries use {scorer}: it reads `{FIELD}` in config.json.
{_of_windows(cut.windows) if cut.windows is not None else ""}"""


def _of_windows(windows: Windows) -> str:
    width = f"{windows.tokens} tokens" if windows.tokens is not None else "as many tokens as fit next to the query"
    stride = f"{windows.stride} tokens" if windows.stride is not None else "half a window"
    return f"""
This model's results are of MaxP (`model.document=max_p`): a passage that does not fit was scored in windows of {width},
one every {stride}, the first {windows.most} at most, and its best window counts. `CrossEncoder` cannot do that: it
scores the first tokens alone (FirstP), as this model was trained. `load_scorer` scores the windows.
"""
