"""Estimate what a plan does besides training and scoring: the text store, tokens, indexes, vectors and runs.

Only what the cache lacks is counted. The processor's time follows from measured rates (``stage_rates``), an encoder's
from its operations on the card.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common import stage_rates as rates
from experiments.common.cache import Cache
from experiments.common.model_files import folder_digest, is_folder
from experiments.common.text import plural
from experiments.config import Experiment, compose
from experiments.config.negatives import sources_of
from experiments.config.retriever_references import references
from experiments.data.splits import DEV, TEST, TRAIN
from experiments.jobs.prerequisites import Prerequisite
from experiments.retrieval.retriever import run_key
from experiments.studies.cost_estimate import data_key
from experiments.studies.data_sizes import DataSize, size_of
from experiments.studies.needs import Shape, shape_in, shape_of

DIMENSION, QUERY_TOKENS = 128, 32  # of a ColBERT
HALF, SINGLE = 2, 4  # bytes of a number of a vector: of ColBERTs and probed layers, and of models with one vector
BERT_BASE = Shape(layers=12, hidden=768, encoder=85_646_592, embeddings=23_835_648)
HUB = {"castorini/tct_colbert-v2-hnp-msmarco": BERT_BASE, "colbert-ir/colbertv2.0": BERT_BASE}


@dataclass(frozen=True)
class Stage:
    """A stage of the work. ``seconds``: on the processor. ``operations``: of an encoder, on the card. ``memory``: peak
    bytes of main memory. ``disk``: bytes in the cache. None where the size that decides it is not known. ``download``:
    a hub id and its bytes.
    """

    what: str
    seconds: float | None = 0.0
    operations: float | None = 0.0
    memory: float | None = 0.0
    disk: float | None = 0.0
    download: tuple[str, int] | None = None


def stages_of(jobs: Iterable[tuple[Experiment, Mapping[str, Any], Sequence[Prerequisite]]]) -> list[Stage]:
    """Return the stages of jobs that the cache lacks, each once. A job is given with its ``data`` and what it needs."""
    stages: dict[tuple[Any, ...], Stage] = {}
    sizes: dict[tuple[str, bool], DataSize] = {}
    embedding: dict[str, list[Stage]] = {}
    for experiment, data, prerequisites in jobs:
        key = data_key(data)
        size = sizes.get((key, experiment.model.trains)) or size_of(experiment)
        sizes[key, experiment.model.trains] = size
        for identity, stage in Preparation(experiment, size, prerequisites).stages():
            stages.setdefault((key, *identity), stage)
        if (own := own_vectors(experiment, size)) is not None:
            embedding.setdefault(size.name, []).append(own)
    return [*stages.values(), *(_of_all(name, each) for name, each in embedding.items())]


def own_vectors(experiment: Experiment, size: DataSize) -> Stage | None:
    """Return the stage in which a trained model encodes the whole collection, to search it or to probe its layers."""
    model, probe = experiment.model, experiment.probe
    probed = probe.layers is not None
    if not (model.trains and (model.retrieves or probed)):
        return None
    shape, passages = shape_of(experiment.backbone), size.passages
    if shape is None or passages is None:
        return Stage("", 0.0, None, rates.ENCODE_BASE, None)
    tokens = _tokens_read(size, model.max_length, copies=2 if probed and probe.pairing == "self" else 1)
    if probed:
        layers = (
            shape.layers + 1 if probe.layers == "all" else len(probe.layers) if isinstance(probe.layers, list) else 1
        )
        bytes_a_passage = HALF * layers * len(probe.pooling) * shape.hidden
    elif (dimension := getattr(model, "dimension", None)) is not None:  # one vector a token
        bytes_a_passage = HALF * tokens * dimension
    else:
        bytes_a_passage = SINGLE * shape.hidden
    return Stage("", 0.0, passages * shape.forward(tokens), rates.ENCODE_BASE, float(passages * bytes_a_passage))


def _of_all(name: str, stages: Sequence[Stage]) -> Stage:
    """Return one stage for the trained models that encode a data set."""
    operations, disk = [stage.operations for stage in stages], [stage.disk for stage in stages]
    return Stage(
        f"vectors of {name} by {plural(len(stages), 'trained model')}",
        0.0,
        None if None in operations else sum(each or 0.0 for each in operations),
        rates.ENCODE_BASE,
        None if None in disk else sum(each or 0.0 for each in disk),
    )


Identified = tuple[tuple[Any, ...], Stage]


class Preparation:
    """The stages of one job, each with what tells it from others on the same data."""

    def __init__(self, experiment: Experiment, size: DataSize, prerequisites: Sequence[Prerequisite]) -> None:
        self.experiment, self.size, self.cache = experiment, size, Cache(experiment.cache)
        self.trained = {before.key: before for before in prerequisites}

    def stages(self) -> Iterator[Identified]:
        """Yield the stages that the cache lacks."""
        if self.size.collection is None:
            yield ("read",), self._by_passages(f"read {self.size.name}", rates.READ, 1.0, self.size.length)
        if (tokens := self._tokens()) is not None:
            yield tokens
        for name, split, depth in self._runs():
            settings = self.experiment.retrievers[name]
            target = str(settings.get("_target_"))
            if target.endswith(".BM25"):
                yield from self._bm25(name, settings, split, depth)
            elif "checkpoint" in settings:
                yield from self._encoded(name, settings, split, depth)

    def _runs(self) -> Iterator[tuple[str, str, int]]:
        """Yield (retriever, split, depth) of each run that a job reads, and of the runs that these are made from."""
        experiment = self.experiment
        wanted = []
        if experiment.model.trains:
            of_training = sources_of(experiment.negatives.source)
            wanted += [(name, TRAIN, experiment.negatives.depth) for name in of_training]
            wanted.append((experiment.first_stage[0], DEV, experiment.validation.depth))
        wanted += [(name, TEST, experiment.rerank_depth) for name in experiment.first_stage]
        while wanted:
            name, split, depth = wanted.pop(0)
            yield name, split, depth
            settings = experiment.retrievers[name]
            for key, other in references(settings):
                wanted.append((other, split, int(settings["depth" if key == "of" else "candidates"])))

    def _by_passages(self, what: str, rate: rates.StageRate, memory: float, disk: float) -> Stage:
        """Return a stage of all passages. ``memory``, ``disk``: how many times more than the rate's a passage takes."""
        passages = self.size.passages
        if passages is None:
            return Stage(what, None, 0.0, None, None)
        seconds = passages * self.size.length / rate.passages
        return Stage(what, seconds, 0.0, rate.base + rate.memory * passages * memory, rate.disk * passages * disk)

    def _built(self, entries: str, /, **wanted: Any) -> bool:
        """Whether the cache has an entry of this collection with these values in its key."""
        if self.size.collection is None:
            return False
        wanted["collection"] = self.size.collection.fingerprint
        return any(all(key.get(name) == value for name, value in wanted.items()) for key in self.cache.keys(entries))

    def _tokens(self) -> Identified | None:
        """Return the stage of the passages' tokens. Tokens of the same length count as those of this backbone."""
        model, backbone = self.experiment.model, self.experiment.backbone
        cut = {} if model.retrieves else {"max_tokens": model.max_length}
        if self._built("features" if model.retrieves else "tokens", kind="passages", **cut):
            return None
        what = f"tokens of {self.size.name} for {backbone.name}, {model.max_length} at most"
        what += " (single texts)" if model.retrieves else ""
        kept = _tokens_read(self.size, model.max_length) / rates.TOKENS_A_PASSAGE
        identity = "tokens", backbone.name, model.retrieves, model.max_length
        return identity, self._by_passages(what, rates.TOKENISE, kept, kept)

    def _bm25(self, name: str, settings: Mapping[str, Any], split: str, depth: int) -> Iterator[Identified]:
        retriever = compose.make(f"retrievers.{name}", settings, name=name)
        own = dict(retriever.fingerprint())
        identity = tuple(sorted((key, str(value)) for key, value in own.items()))
        key = self._run_key(split, depth)
        if key is not None and self._built("run", **key, retriever=own):
            return
        if not self._built("bm25", **own):
            yield (
                ("index", identity),
                self._by_passages(f"index of {name}", rates.INDEX, self.size.entries, self.size.entries),
            )
        passages, queries = self.size.passages, self.size.queries(split)
        work = None if passages is None or queries is None else passages * self.size.entries * queries
        yield (
            ("run", identity, split, depth),
            Stage(
                self._run_name(name, split, depth),
                None if work is None else work / rates.SEARCHED,
                0.0,
                None if passages is None else rates.SEARCH_BASE + rates.INDEX.disk * passages * self.size.entries,
                None if queries is None else rates.BYTES_OF_HIT * queries * depth,
            ),
        )

    def _run_name(self, name: str, split: str, depth: int) -> str:
        queries = self.size.queries(split)
        return f"{name}'s top {depth:,} of {'the' if queries is None else f'{queries:,}'} {split} queries"

    def _run_key(self, split: str, depth: int) -> dict[str, Any] | None:
        """Return the cache key of a run, without its retriever; None where the queries are not known one by one."""
        rows, collection = self.size.rows.get(split), self.size.collection
        return run_key(collection, rows, depth) if collection is not None and isinstance(rows, np.ndarray) else None

    def _encoded(self, name: str, settings: Mapping[str, Any], split: str, depth: int) -> Iterator[Identified]:
        """Yield the stages of a neural retriever: the vectors of the passages, and the search."""
        before = self.trained.get(f"retrievers.{name}.job")
        place = str(settings["checkpoint"] or (before.made if before is not None else ""))
        content = _content_of(place)
        key = self._run_key(split, depth)
        if key is not None and self._made_by(content, "run", "retriever", key):
            return
        shape = shape_of(before.experiment.backbone) if before is not None else _shape_at(place)
        passages, queries = self.size.passages, self.size.queries(split)
        candidates = settings.get("candidates_from") and int(settings["candidates"])
        if candidates and passages is not None and queries is not None:
            passages = min(passages, queries * candidates)
        late = str(settings["_target_"]).endswith(".ColBERT")
        tokens = _tokens_read(self.size, settings.get("document_length" if late else "max_length"))
        vectors = tokens if late else 1
        dimension = DIMENSION if late else None if shape is None else shape.hidden
        if not self._made_by(content, "embeddings", "encoder", {"rows": None}):
            width = HALF if late else SINGLE
            size = None if passages is None or dimension is None else float(width * passages * vectors * dimension)
            encoding = None if passages is None or shape is None else passages * shape.forward(tokens)
            of = f"{split} candidates" if candidates else "passages"
            yield (
                ("encode", place, split if candidates else ""),
                Stage(f"{name}'s vectors of {of}", 0.0, encoding, rates.ENCODE_BASE, size, _download(place)),
            )
        searched = candidates or self.size.passages
        search = None
        if queries is not None and searched is not None and dimension is not None:
            exact = settings.get("index", "exact") == "exact"
            search = 2.0 * queries * searched * vectors * dimension * (QUERY_TOKENS if late else 1) * exact
        disk = None if queries is None else float(rates.BYTES_OF_HIT * queries * depth)
        what = self._run_name(name, split, depth)
        yield ("run", place, split, depth), Stage(what, 0.0, search, rates.ENCODE_BASE, disk)

    def _made_by(self, content: str | None, kind: str, part: str, wanted: Mapping[str, Any]) -> bool:
        """Whether the cache has an entry of this collection with these values, and of this checkpoint in ``part``."""
        if content is None or self.size.collection is None:
            return False
        return any(
            all(key.get(name) == value for name, value in wanted.items())
            and key["collection"] == self.size.collection.fingerprint
            and str(key[part].get("checkpoint")).startswith(content)
            for key in self.cache.keys(kind)
        )


def _tokens_read(size: DataSize, limit: int | None, copies: int = 1) -> int:
    """Return the tokens of a passage that an encoder reads, on average."""
    tokens = round(rates.TOKENS_A_PASSAGE * size.length) * copies
    return tokens if limit is None else min(tokens, limit)


def _content_of(place: str) -> str | None:
    """Return what a cache key's checkpoint begins with; None for a model that is not there yet."""
    if not place:
        return None
    if not is_folder(place):
        return f"{place}@"
    return folder_digest(Path(place)) if Path(place).is_dir() else None


def _download(place: str) -> tuple[str, int] | None:
    return (place, SINGLE * HUB[place].weights) if place in HUB else None


def _shape_at(place: str) -> Shape | None:
    return HUB.get(place) or shape_in(Path(place))
