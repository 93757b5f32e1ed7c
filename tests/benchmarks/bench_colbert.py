"""Late interaction beside sentence-transformers' ``MultiVectorEncoder``, in one run; and how long BM25 takes.

    python tests/benchmarks/bench_colbert.py [--parts maxsim pairs encoding bm25] [--rounds N] [--threads N]
                                             [--backbone minilm|bert_tiny] [--texts N]

maxsim: 100 queries of 32 tokens with each of 5,000 passages of 128 dimensions, random unit vectors, once with short and
once with longer passages; the library's ``maxsim`` is what its ``similarity`` calls. pairs: each query with 100 of the
passages, as in re-ranking. encoding: docstrings of the installed numpy and scipy into token vectors by a pretrained
encoder and a random projection; the library's ``encode_document`` at its defaults (32 texts a batch, sorted by length),
ours with counting tokens and writing to the store. All in fp32 on the CPU. Rounds alternate between the contestants, so
that what else the machine does falls on both. bm25: 1,000 queries over 100,000 passages, indexing and top 100, seconds.
Exits with an error if scores or vectors differ by more than rounding.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from docstring_texts import BACKBONES, alternate, docstrings, package_folder
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.base.modules.dense import Dense
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.util.similarity import maxsim as library_maxsim
from sentence_transformers.util.similarity import maxsim_pairwise
from torch import nn

from experiments.common.cache import Cache
from experiments.data.collection import Collection, open_collection
from experiments.data.ragged import Ragged, offsets_of
from experiments.retrieval.bm25 import BM25
from experiments.retrieval.colbert import ColBERT
from experiments.retrieval.maxsim import Queries, maxsim, maxsim_pairs, rows_at
from experiments.retrieval.vector_store import passage_embeddings

QUERIES, QUERY_TOKENS, PASSAGES, DIMENSIONS, CANDIDATES = 100, 32, 5000, 128, 100
TOKENS = (15_000, 165_000)  # of all passages, about
LIBRARY, OURS = "sentence-transformers", "ours"
TOLERANCE = {"scores": 1e-4, "fp16 vectors": 2**-10}


@dataclass
class Texts:
    """Texts as a data set."""

    passage_texts: Sequence[str]
    query_texts: Sequence[str]
    name: str = "benchmark"

    def fingerprint(self) -> Mapping[str, Any]:
        return {"passages": list(self.passage_texts[:3]), "count": len(self.passage_texts)}

    def passages(self) -> Iterator[tuple[str, str]]:
        return ((f"p{i}", text) for i, text in enumerate(self.passage_texts))

    def queries(self) -> Iterator[tuple[str, str]]:
        return ((f"q{i}", text) for i, text in enumerate(self.query_texts))

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        return {"test": iter([("q0", "p0", 1)])}


def unit_vectors(lengths: NDArray[np.int64], dtype: type) -> Ragged:
    """Random token vectors of rows of the given lengths."""
    values = torch.nn.functional.normalize(torch.randn(int(lengths.sum()), DIMENSIONS), dim=-1)
    return Ragged(values.numpy().astype(dtype), offsets_of(lengths))


def as_tensors(rows: Ragged) -> list[torch.Tensor]:
    """What the library takes."""
    return [torch.from_numpy(rows[i]).float() for i in range(len(rows))]


def random_embeddings(tokens: int) -> tuple[Ragged, Ragged]:
    """Queries of one length, and passages whose lengths are log-normal as those of texts are."""
    lengths = np.random.default_rng(0).lognormal(np.log(tokens / PASSAGES) - 0.18, 0.6, PASSAGES)
    passages = unit_vectors(lengths.clip(1, 180).astype(np.int64), np.float16)
    return unit_vectors(np.full(QUERIES, QUERY_TOKENS), np.float32), passages


def all_scores(tokens: int) -> tuple[str, dict[str, Callable[[], NDArray[np.float32]]]]:
    """Every query with every passage; ours reads the float16 vectors, the library has them as tensors beforehand."""
    queries, passages = random_embeddings(tokens)
    query_tensors, passage_tensors = as_tensors(queries), as_tensors(passages)
    title = f"{QUERIES} queries x {PASSAGES:,} passages, {len(passages.values):,} tokens"
    return title, {
        LIBRARY: lambda: library_maxsim(query_tensors, passage_tensors).numpy(),
        OURS: lambda: maxsim(Queries(queries), passages).numpy(),
    }


def pair_scores() -> tuple[str, dict[str, Callable[[], NDArray[np.float32]]]]:
    """Each query with its own candidates, gathered from all passages."""
    queries, passages = random_embeddings(TOKENS[1])
    query_tensors, passage_tensors = as_tensors(queries), as_tensors(passages)
    random = np.random.default_rng(1)
    candidates = [random.permutation(PASSAGES)[:CANDIDATES] for _ in range(QUERIES)]

    def ours() -> NDArray[np.float32]:
        scores = [maxsim_pairs(query_tensors[i], rows_at(passages, rows)) for i, rows in enumerate(candidates)]
        return torch.cat(scores).numpy()

    def library() -> NDArray[np.float32]:
        repeated = [query for query in query_tensors for _ in range(CANDIDATES)]
        chosen = [passage_tensors[row] for rows in candidates for row in rows]
        return maxsim_pairwise(repeated, chosen).numpy()

    return f"{QUERIES} queries x their {CANDIDATES} candidates", {LIBRARY: library, OURS: ours}


def encoding(backbone: str, count: int, folder: Path) -> tuple[str, dict[str, Callable[[], NDArray[np.float32]]]]:
    """Docstrings into token vectors."""
    package, inside = BACKBONES[backbone]
    transformer = Transformer(str(package_folder(package) / inside), document_length=180)
    torch.manual_seed(0)
    projection = Dense(
        transformer.get_embedding_dimension(),
        DIMENSIONS,
        bias=False,
        activation_function=nn.Identity(),
        module_input_name="token_embeddings",
    )
    modules = [transformer, projection, MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    MultiVectorEncoder(modules=modules, device="cpu").save_pretrained(str(folder / "model"))
    library = MultiVectorEncoder(str(folder / "model"), device="cpu")
    encoder = ColBERT(str(folder / "model"), device="cpu").encoder
    texts = sorted(set(docstrings()))
    texts = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:count]]
    collection = open_collection(Texts(texts, texts[:1]), Cache(folder / "data"))

    def ours() -> NDArray[np.float32]:
        found = passage_embeddings(encoder, collection, Cache(tempfile.mkdtemp(dir=folder)))
        return rows_at(found.vectors, found.places(np.arange(count))).values.astype(np.float32)

    def theirs() -> NDArray[np.float32]:
        return np.concatenate(library.encode_document(texts, convert_to_numpy=True, show_progress_bar=False))

    return f"encoding {count:,} docstrings, {backbone}", {LIBRARY: theirs, OURS: ours}


def compare(
    title: str, contestants: dict[str, Callable[[], NDArray[np.float32]]], rounds: int, tolerance: float
) -> tuple[Any, ...]:
    """A row of the table: seconds, and the ratio, of the medians, then the least and the greatest of a round."""
    seconds, results = alternate(contestants, rounds)
    difference = float(np.abs(results[LIBRARY] - results[OURS]).max())
    if difference > tolerance:
        raise SystemExit(f"{title}: the results differ by {difference}, more than {tolerance}")
    ratios = [theirs / mine for theirs, mine in zip(seconds[LIBRARY], seconds[OURS], strict=True)]
    medians = {name: statistics.median(own) for name, own in seconds.items()}
    return (
        title,
        f"{medians[LIBRARY]:.2f}",
        f"{medians[OURS]:.2f}",
        f"{medians[LIBRARY] / medians[OURS]:.2f}",
        f"{min(ratios):.2f} - {max(ratios):.2f}",
        f"{difference:.0e}",
    )


def bm25(folder: Path, passages: int = 100_000, queries: int = 1000) -> str:
    """Seconds to index passages made of docstrings' lines, and to search them."""
    lines = sorted({line.strip() for text in docstrings() for line in text.splitlines() if len(line.split()) > 4})
    random = np.random.default_rng(0)
    texts = [" ".join(lines[i] for i in random.integers(0, len(lines), 6)) for _ in range(passages)]
    asked = [lines[i] for i in random.integers(0, len(lines), queries)]
    store = Cache(folder)
    collection: Collection = open_collection(Texts(texts, asked), store)
    began = time.perf_counter()
    BM25().retrieve(collection, np.arange(1), 100, store)
    indexed = time.perf_counter()
    BM25().retrieve(collection, np.arange(queries), 100, store)
    return (
        f"BM25: {passages:,} passages indexed in {indexed - began:.1f} s; top 100 of {queries:,} queries in "
        f"{time.perf_counter() - indexed:.1f} s"
    )


def main() -> None:
    """Run the comparisons and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("maxsim", "pairs", "encoding", "bm25")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--backbone", choices=BACKBONES, default="minilm")
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    table = Table("work", "library s", "ours s", "ratio", "min - max", "differ by")
    with tempfile.TemporaryDirectory() as folder:
        if "maxsim" in options.parts:
            for tokens in TOKENS:
                table.add_row(*compare(*all_scores(tokens), options.rounds, TOLERANCE["scores"]))
        if "pairs" in options.parts:
            table.add_row(*compare(*pair_scores(), options.rounds, TOLERANCE["scores"]))
        if "encoding" in options.parts:
            contest = encoding(options.backbone, options.texts, Path(folder))
            table.add_row(*compare(*contest, options.rounds, TOLERANCE["fp16 vectors"]))
        print(f"threads: {options.threads}, rounds: {options.rounds}")
        Console(width=120).print(table)
        if "bm25" in options.parts:
            print(bm25(Path(folder)))


if __name__ == "__main__":
    main()
