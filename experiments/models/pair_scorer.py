"""Score query-passage pairs with a trained model: a cross-encoder, or a bi-encoder of one or many vectors per text.

Scores are cached under the content of the model's folder and the rows of the pairs.

Shapes: P pairs, B pairs of a batch.
"""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.common.model_files import folder_digest
from experiments.common.progress import tracked
from experiments.common.text import first_line
from experiments.config.compute import INT8
from experiments.data.batches.pairs import PairEncoder, PairTemplate, micro_batches
from experiments.data.batches.scored_pairs import ScoredPairs, check_windows
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.run import Run
from experiments.data.tokens import tokens_of
from experiments.models.cross_encoder.export import PairCut
from experiments.models.int8 import scoring_in
from experiments.models.packed_forward import choose_layout, logits_of, score_of
from experiments.models.trained_pairs import default_prompt, kind_of, load_classifier
from experiments.pretrained.encoder import load_sentence_transformer
from experiments.pretrained.limits import longest_input
from experiments.pretrained.source import Source, quiet
from experiments.pretrained.token_budget import tokens_per_batch
from experiments.retrieval.pair_vectors import TIMED, head_of

MAX_LENGTH, MAX_QUERY_TOKENS = 512, 64  # for a cross-encoder whose config has no limits
SCORES = "pair_scores"  # kind of entry in the cache
TEXTS_PER_CHUNK = 2_048  # passages whose vectors a bi-encoder holds at a time
PAIRS_PER_CHUNK = 8_192
FIX = "give the folder of a trained cross-encoder or bi-encoder, such as the folder model of a finished job"


def load_scorer(
    path: str,
    key: str = "negatives.filter.scorer",
    cut: PairCut | None = None,
    own_windows: bool = True,
    precision: str = "",
) -> "PairScorer":
    """Load the model of a folder or hub id: with a ``modules.json`` a sentence-transformers bi-encoder, else a
    cross-encoder in Hugging Face format, such as a job's ``model`` folder. ``key``: its config key, for messages.
    ``cut``: maximum lengths of a cross-encoder whose config has none. ``own_windows``: whether a cross-encoder's config
    says how passages that do not fit are scored; False takes the windows of ``cut``. ``precision``: or int8-dynamic.

    Raises:
        ExperimentError: there is no such model, or it is neither; or a bi-encoder is to score windows or in 8 bits.
    """
    source = Source(str(_folder_of(path, key)), key, FIX)
    kind = kind_of(source)
    if kind == "CrossEncoder":
        cut = cut or PairCut(MAX_QUERY_TOKENS, MAX_LENGTH)
        return CrossEncoderScorer(source, cut, own_windows, precision == INT8)
    if precision == INT8:
        raise ExperimentError(f"trainer.precision={INT8} is of a cross-encoder, but {source.label} is a {kind}")
    if cut is not None and cut.windows is not None:
        raise ExperimentError(
            f"model.document=max_p scores windows by a cross-encoder, but {source.label} is a {kind}: set it to null"
        )
    return BiEncoderScorer(source, kind)


class PairScorer(ABC):
    """A trained model that scores pairs of a query and a passage; its content and the pairs are the cache key."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._fingerprint = {**settings, "files": folder_digest(folder)}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the digest of the folder and the settings."""
        return self._fingerprint

    def score(self, collection: Collection, queries: Rows, passages: Rows, cache: Cache) -> NDArray[np.float32]:
        """Return the (P,) scores of the pairs of query and passage rows (P,), from the cache if present.

        Raises:
            ExperimentError: a score is not finite.
        """
        rows = np.stack([queries, passages]).astype("<i8")
        key = {
            "format": 1,
            "collection": collection.fingerprint,
            "scorer": self.fingerprint(),
            "pairs": hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest(),
        }

        def build(target: Path) -> None:
            scores_P = self.computed(collection, rows[0], rows[1], cache)
            if not np.isfinite(scores_P).all():
                raise ExperimentError(f"the scorer {self.folder} gives scores that are not finite: choose another")
            np.save(target / "scores.npy", scores_P)

        scores_P: NDArray[np.float32] = np.load(cache.get(SCORES, key, build) / "scores.npy")
        return scores_P

    def milliseconds_at(self, collection: Collection, run: Run, depths: Sequence[int]) -> dict[int, float] | None:
        """Return depth -> milliseconds of a query; None for a scorer whose time is spent on pairs alone."""
        return None

    def windows_of(
        self, collection: Collection, queries: Rows, passages: Rows, cache: Cache
    ) -> NDArray[np.int64] | None:
        """Return the (P,) number of windows in which each pair is read; None for a scorer that reads each once."""
        return None

    @abstractmethod
    def computed(self, collection: Collection, queries: Rows, passages: Rows, cache: Cache) -> NDArray[np.float32]:
        """Compute the (P,) scores without the cache."""


class CrossEncoderScorer(PairScorer):
    """A sequence classifier of one logit, or of two whose log-odds are the score.

    The folder of a job gives the maximum lengths; otherwise ``cut`` does, or the model's positions if they are fewer.
    ``own_windows``: see ``load_scorer``. ``int8``: score in 8-bit integers.
    The default prompt of a ``CrossEncoder`` of sentence-transformers is written before each query, and its tokens do
    not count as the query's. The score is the logit, without the activation of ``predict``, which keeps the order.

    Raises:
        ExperimentError: the folder has no such model, no trained head, or more logits.
    """

    def __init__(self, source: Source, cut: PairCut, own_windows: bool = True, int8: bool = False) -> None:
        self.network, self.tokenizer = load_classifier(source)
        own = PairCut.read(self.network.config)
        if own is None:
            reach = longest_input(self.network) or cut.max_length
            longest = int(min(cut.max_length, self.tokenizer.model_max_length, reach))
            own = PairCut(min(cut.max_query_tokens, longest // 2), longest)
        windows, cut = own.windows if own_windows else cut.windows, own
        self.prompt = default_prompt(source)
        prompt_tokens = len(self.tokenizer.encode(self.prompt, add_special_tokens=False)) if self.prompt else 0
        self.max_length, self.max_query_tokens = cut.max_length, cut.max_query_tokens + prompt_tokens
        settings = {"kind": "cross_encoder 2", "max_length": self.max_length, "max_query": self.max_query_tokens}
        settings |= {"prompt": self.prompt} if self.prompt else {}
        settings |= {"windows": asdict(windows)} if windows is not None else {}
        settings |= {"precision": INT8} if int8 else {}
        self.max_passage_tokens = min(cut.max_length, cut.max_passage_tokens or cut.max_length)
        if windows is not None and windows.tokens is None and cut.max_passage_tokens is not None:
            windows = replace(windows, tokens=self.max_passage_tokens)
        self.windows = windows
        super().__init__(Path(source.place), settings)
        self.network.to(self.device)  # type: ignore[arg-type]
        self.layout = choose_layout(self.network, "auto", self.device.type)
        if int8 and self.device.type != "cpu":
            raise ExperimentError(f"trainer.precision={INT8} is for a CPU: set trainer.precision=auto")
        self.precision = INT8 if int8 else ""

    @torch.no_grad()
    def computed(self, collection: Collection, queries: Rows, passages: Rows, cache: Cache) -> NDArray[np.float32]:
        pairs = self._read(collection, queries, passages, cache)
        limit = tokens_per_batch("score", self.device.type, self.layout)
        scores_W = np.empty(len(pairs), np.float32)
        what = "pairs" if self.windows is None else f"windows of {len(queries):,} pairs"
        with tracked(f"scoring {len(pairs):,} {what}", len(pairs)) as advance, scoring_in(self.precision, self.network):
            for part_B in micro_batches(pairs.lengths_W, limit):
                tokens = pairs.join(part_B).to(self.device)
                scores_W[part_B] = score_of(logits_of(self.network, tokens, self.layout)).cpu().numpy()
                advance(len(part_B))
        return pairs.best(scores_W)

    def windows_of(
        self, collection: Collection, queries: Rows, passages: Rows, cache: Cache
    ) -> NDArray[np.int64] | None:
        return self._read(collection, queries, passages, cache).counts_P if self.windows is not None else None

    def _read(self, collection: Collection, queries: Rows, passages: Rows, cache: Cache) -> ScoredPairs:
        """Return the texts that are read to score pairs."""
        reach = self.max_passage_tokens if self.windows is None else self.windows.reach(self.max_length)
        encoder = PairEncoder(
            PairTemplate.of(self.tokenizer),
            tokens_of(collection, "queries", self.tokenizer, self.max_query_tokens, cache, prompt=self.prompt),
            tokens_of(collection, "passages", self.tokenizer, reach, cache),
            self.max_query_tokens,
            self.max_length,
        )
        if self.windows is not None:
            check_windows(self.windows, encoder)
        return ScoredPairs(encoder, queries, passages, self.windows)


class BiEncoderScorer(PairScorer):
    """A ``SentenceTransformer`` or ``MultiVectorEncoder``: each distinct text is encoded once, and the model's own
    similarity is the score.

    All query vectors are held in memory, passage vectors one chunk at a time.
    """

    def __init__(self, source: Source, kind: str) -> None:
        import sentence_transformers

        settings = {"kind": f"{kind} 2", "sentence_transformers": sentence_transformers.__version__}
        super().__init__(Path(source.place), settings)
        self.model: Any = load_sentence_transformer(source, kind, str(self.device))

    @torch.no_grad()
    def computed(self, collection: Collection, queries: Rows, passages: Rows, cache: Cache) -> NDArray[np.float32]:
        distinct_queries, query_P = np.unique(queries, return_inverse=True)
        distinct_passages, passage_P = np.unique(passages, return_inverse=True)
        order_P = np.argsort(passage_P, kind="stable")
        bounds = np.searchsorted(passage_P[order_P], np.arange(0, len(distinct_passages) + 1))
        scores_P = np.empty(len(queries), np.float32)
        total = len(distinct_queries) + len(distinct_passages)
        with tracked(f"encoding {total:,} texts", total) as advance:
            query_vectors: list[NDArray[np.float32]] = []
            for rows in _chunks(distinct_queries, TEXTS_PER_CHUNK):
                query_vectors += self._vectors(self.model.encode_query, collection.queries.texts(rows))
                advance(len(rows))
            first = 0
            for rows in _chunks(distinct_passages, TEXTS_PER_CHUNK):
                vectors = self._vectors(self.model.encode_document, collection.passages.texts(rows))
                for part_B in _chunks(order_P[bounds[first] : bounds[first + len(rows)]], PAIRS_PER_CHUNK):
                    left = [query_vectors[i] for i in query_P[part_B]]
                    right = [vectors[i - first] for i in passage_P[part_B]]
                    pair = (np.stack(left), np.stack(right)) if left[0].ndim == 1 else (left, right)
                    scores_P[part_B] = self.model.similarity_pairwise(*pair).float().cpu().numpy()
                first += len(rows)
                advance(len(rows))
        return scores_P

    @torch.no_grad()
    def milliseconds_at(self, collection: Collection, run: Run, depths: Sequence[int]) -> dict[int, float] | None:
        """Return depth -> milliseconds of a query: its encoding and the similarities to its passages, on at most
        ``TIMED`` queries; the passages are encoded before, as in an index.
        """
        sample, _ = head_of(run, TIMED, depths[-1])
        rows = np.unique(sample.passages.values)
        vectors = dict(
            zip(rows.tolist(), self._vectors(self.model.encode_document, collection.passages.texts(rows)), strict=True)
        )
        self._score_queries(collection, sample, vectors)  # warms the model up
        taken = {}
        for depth in depths:
            part, _ = head_of(sample, TIMED, depth)
            began = time.perf_counter()
            self._score_queries(collection, part, vectors)
            taken[depth] = 1000 * (time.perf_counter() - began) / max(1, len(part))
        return taken

    def _score_queries(self, collection: Collection, run: Run, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Encode the queries and compare each with its passages. ``vectors``: of each passage row."""
        queries = self._vectors(self.model.encode_query, collection.queries.texts(run.queries))
        for i, query in enumerate(queries):
            right = [vectors[row] for row in run.passages[i].tolist()]
            left = [query] * len(right)
            if right:
                pairs = (np.stack(left), np.stack(right)) if query.ndim == 1 else (left, right)
                self.model.similarity_pairwise(*pairs).float().cpu()

    @staticmethod
    def _vectors(encode: Any, texts: list[str]) -> list[NDArray[np.float32]]:
        """Return (D,) or (tokens, D) vectors of each text."""
        return list(encode(texts, convert_to_numpy=True, show_progress_bar=False))


def _chunks(rows: Rows, size: int) -> Iterator[Rows]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _folder_of(path: str, key: str) -> Path:
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download

    try:
        with quiet():
            return Path(snapshot_download(path, ignore_patterns=["onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot"]))
    except (OSError, ValueError) as error:
        raise ExperimentError(
            f"{key} is {path!r}: there is no such folder, and the hub gave no model of this name "
            f"({first_line(error)}): {FIX}"
        ) from error
