"""A collection, a run and a model small enough to work out by hand or to train in seconds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.cache import Cache
from experiments.data.collection import Collection, open_collection
from experiments.data.ragged import Ragged
from experiments.data.run import Run

SHAPES = ("circle", "square", "triangle", "hexagon", "line", "point", "sphere", "cube", "cone", "torus")
ASPECTS = ("area", "colour", "border", "origin", "history", "symmetry")


@dataclass
class LiteralSource:
    """A data source written down in a test."""

    passage_rows: Sequence[tuple[str, str]]
    query_rows: Sequence[tuple[str, str]]
    judgements: Mapping[str, Sequence[tuple[str, str, int]]]
    name: str = "literal"
    extra: dict[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> Mapping[str, Any]:
        return {
            "passages": list(self.passage_rows),
            "queries": list(self.query_rows),
            "qrels": dict(self.judgements),
            **self.extra,
        }

    def passages(self) -> Iterator[tuple[str, str]]:
        yield from self.passage_rows

    def queries(self) -> Iterator[tuple[str, str]]:
        yield from self.query_rows

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        return {split: iter(rows) for split, rows in self.judgements.items()}


def literal_collection(
    tmp_path: Path, passages: int = 12, queries: int = 4, judgements: Mapping[str, Any] | None = None
) -> Collection:
    """Passages p0, p1 ... and queries q0, q1 ...; by default query i is answered by passage i, the last query being the
    test split.
    """
    rows = [(f"p{i}", f"passage number {i}") for i in range(passages)]
    asked = [(f"q{i}", f"query number {i}") for i in range(queries)]
    default = {
        "train": [(f"q{i}", f"p{i}", 1) for i in range(queries - 1)],
        "test": [(f"q{queries - 1}", f"p{queries - 1}", 1)],
    }
    return open_collection(LiteralSource(rows, asked, judgements or default), Cache(tmp_path / "store"))


def literal_run(rankings: Mapping[int, Sequence[int]], name: str = "first") -> Run:
    """A run from query row -> passage rows, best first, scored 0, -1, -2 ..."""
    queries = np.array(sorted(rankings), np.int64)
    passages = [rankings[int(query)] for query in queries]
    return Run(
        name, queries, Ragged.of(passages, np.int64), Ragged.of([-np.arange(len(one)) for one in passages], np.float32)
    )


def write_beir_folder(folder: Path, *, train: int = 40, dev: int = 8, test: int = 12) -> Path:
    """A collection in BEIR's layout that BM25 finds hard and a small model can learn: each shape has a passage for each
    aspect, which does not name the aspect but describes it in words of its own.
    """
    words = {
        "area": "measures {n} units inside and fills the plane",
        "colour": "is painted red or blue with {n} pigments",
        "border": "is enclosed by {n} edges all around",
        "origin": "was first drawn by {n} scribes long ago",
        "history": "appears in {n} books through the centuries",
        "symmetry": "looks the same after {n} turns or mirrors",
    }
    folder.mkdir(parents=True)
    names = [f"{shape} {number}" for number in range(1, 3) for shape in SHAPES]
    corpus = [
        {
            "_id": f"{name}-{aspect}".replace(" ", "-"),
            "title": name,
            "text": f"the {name} {words[aspect].format(n=i % 7 + 2)}",
        }
        for i, name in enumerate(names)
        for aspect in ASPECTS
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in corpus))
    asked = [
        (f"{one['_id']}-q", f"what is the {one['_id'].rpartition('-')[2]} of the {one['title']} ?", one["_id"])
        for one in corpus
    ]
    order = np.random.default_rng(0).permutation(len(asked))[: train + dev + test]
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": asked[i][0], "text": asked[i][1]}) + "\n" for i in order)
    )
    (folder / "qrels").mkdir()
    bounds = {"train": order[:train], "dev": order[train : train + dev], "test": order[train + dev :]}
    for split, rows in bounds.items():
        lines = [f"{asked[i][0]}\t{asked[i][2]}\t1" for i in rows]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return folder


def write_tiny_bert(
    folder: Path, texts: Sequence[str], *, hidden: int = 32, layers: int = 2, seed: int = 0, pooler: bool = True
) -> Path:
    """A random BERT with a word-level vocabulary of the given texts, in Hugging Face format."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    words = sorted({word for text in texts for word in text.lower().replace("-", " ").split()})
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "what",
        "is",
        *[word for word in words if word not in ("what", "is")],
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True, model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=pooler).save_pretrained(folder)
    return folder
