"""Probing speed: all layers beside the last alone, and encoding beside sentence-transformers' ``encode``, in one run.

    python tests/benchmarks/bench_probe.py [--backbone minilm|bert_tiny] [--texts N] [--rounds N] [--threads N]

The texts are docstrings of the installed numpy and scipy, each paired with itself for the first comparison: all layers,
and the last layer alone, from cached tokens to files in the store. For the second a text stands alone, as the library
reads it, and the mean is over all tokens of the last layer, special ones too: then both make the same vectors. The
library's ``encode`` runs at its defaults (32 texts a batch, sorted by length); ours is timed from texts to files in the
store, and again from cached tokens, as in a study of several settings. fp32 on the CPU. Rounds alternate between the
contestants, so that what else the machine does falls on all. Exits with an error if vectors differ by more than the
rounding of the files, which are fp16.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from docstring_texts import BACKBONES, alternate, docstrings, package_folder, take
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers.utils import logging as transformers_logging

from experiments.common.cache import Cache
from experiments.data.collection import Collection, open_collection
from experiments.data.tokens import tokens_of
from experiments.probing.embeddings import layer_embeddings
from experiments.probing.encoder import LayerEncoder
from experiments.probing.model import ProbedModel, load_model

MAX_LENGTH = 256
ALL, LAST = "all layers", "the last layer"
LIBRARY, OURS, CACHED = "sentence-transformers", "ours, tokenising too", "ours, cached tokens"
TOLERANCE = 2**-10  # of fp16, relative to the greatest value


@dataclass
class Texts:
    """Texts as a data set."""

    texts: Sequence[str]
    name: str = "benchmark"

    def fingerprint(self) -> Mapping[str, Any]:
        """All texts."""
        return {"texts": list(self.texts)}

    def passages(self) -> Iterator[tuple[str, str]]:
        """The texts."""
        return ((f"p{i}", text) for i, text in enumerate(self.texts))

    def queries(self) -> Iterator[tuple[str, str]]:
        """One."""
        yield "q0", "what"

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        """One."""
        return {"test": iter([("q0", "p0", 1)])}


class Contest:
    """Encodes the same texts in different ways, each time into a store of its own."""

    def __init__(self, model: ProbedModel, collection: Collection, root: Path) -> None:
        self.model, self.collection, self.root, self.runs = model, collection, root, count()

    def ours(self, *, cached: Cache | None, **settings: Any) -> NDArray[np.float32]:
        """(P, D) vectors of the last layer in the order of the texts, read back from the file. ``cached``: a store that
        holds the tokens.
        """
        store = Cache(self.root / f"run{next(self.runs)}")
        if cached is not None:
            store.root.mkdir()
            (store.root / "tokens").symlink_to(cached.root / "tokens")
        encoder = LayerEncoder(self.model, max_length=MAX_LENGTH, **settings)
        last = layer_embeddings(encoder, self.collection, "passages", store).of(self.model.layers, encoder.poolings[0])
        values = np.asarray(last.vectors.values, np.float32)
        return values[np.argsort(last.rows_P)]


def texts_of(amount: int, model: ProbedModel) -> list[str]:
    """Docstrings of 10 to 120 tokens: two copies fit into ``MAX_LENGTH``, so that no contestant cuts."""
    return take(docstrings(), amount, range(10, 121), model.tokenizer)


def report(title: str, amount: int, reference: str, seconds: dict[str, list[float]]) -> Table:
    """Texts a second, and how many times as long the reference takes: of the medians, then the least and the greatest
    of a round.
    """
    table = Table(title)
    for column in ("texts/s", "min - max", "ratio", "min - max "):
        table.add_column(column, justify="right")
    for name, own in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(seconds[reference], own, strict=True)]
        table.add_row(
            name,
            f"{amount / statistics.median(own):.1f}",
            f"{amount / max(own):.1f} - {amount / min(own):.1f}",
            f"{statistics.median(seconds[reference]) / statistics.median(own):.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}",
        )
    return table


def check(vectors: dict[str, NDArray[np.float32]], reference: str) -> float:
    """The greatest difference of a vector's value to the reference's, relative to the greatest value.

    Raises:
        SystemExit: it is more than rounding.
    """
    expected = vectors[reference]
    worst = max(float(np.abs(own - expected).max() / np.abs(expected).max()) for own in vectors.values())
    if worst > TOLERANCE:
        raise SystemExit(f"the vectors differ by {worst:.1e}, more than {TOLERANCE:.1e}")
    return worst


def main() -> None:
    """Run both comparisons and print a table each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=BACKBONES, default="minilm")
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    package, inside = BACKBONES[options.backbone]
    place = str(package_folder(package) / inside)
    model = load_model(place, name=options.backbone)
    texts = texts_of(options.texts, model)
    transformer = Transformer(place)
    library = SentenceTransformer(
        modules=[transformer, Pooling(transformer.get_embedding_dimension(), "mean")], device="cpu"
    )
    library.max_seq_length = MAX_LENGTH
    with tempfile.TemporaryDirectory() as folder:
        cached = Cache(Path(folder) / "cached")
        contest = Contest(model, open_collection(Texts(texts), cached), Path(folder))
        alone: dict[str, Any] = {"layers": model.layers, "pairing": "single", "poolings": ["mean_all"]}
        for encoder in (
            LayerEncoder(model, max_length=MAX_LENGTH),
            LayerEncoder(model, max_length=MAX_LENGTH, **alone),
        ):
            tokens_of(contest.collection, "passages", model.tokenizer, encoder.pairing.max_text_tokens, cached)
        by_layers: dict[str, Callable[[], NDArray[np.float32]]] = {
            LAST: lambda: contest.ours(cached=cached, layers=model.layers),
            ALL: lambda: contest.ours(cached=cached, layers="all"),
        }
        encoding: dict[str, Callable[[], NDArray[np.float32]]] = {
            LIBRARY: lambda: library.encode(texts, show_progress_bar=False),
            OURS: lambda: contest.ours(cached=None, **alone),
            CACHED: lambda: contest.ours(cached=cached, **alone),
        }
        print(f"{options.backbone}, texts: {options.texts}, threads: {options.threads}, rounds: {options.rounds}")
        for title, reference, contestants in (("probing", LAST, by_layers), ("encoding", LIBRARY, encoding)):
            seconds, vectors = alternate(contestants, options.rounds)
            Console(width=100).print(report(title, options.texts, reference, seconds))
            print(f"vectors of the last layer differ by {check(vectors, reference):.0e}")


if __name__ == "__main__":
    main()
