"""Evaluate each layer's embeddings as a retriever of the whole collection and as a re-ranker of each first stage.

Ananthakrishnan et al. (2025) found early layers of cross-encoders fit for retrieval. Probing the untrained backbone
shows what training as a cross-encoder adds.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache, fingerprint, write_json
from experiments.common.code_versions import probe_versions
from experiments.common.errors import ExperimentError
from experiments.config.probe import Probe
from experiments.data.collection import Collection
from experiments.data.run import Run, digest_of
from experiments.evaluation.measure_names import WHOLE_COLLECTION, check_depth, cutoff_of, parse
from experiments.evaluation.measures import Evaluation, evaluate, rerank
from experiments.evaluation.significance import Interval, paired_bootstrap
from experiments.probing.embeddings import LayerEmbeddings, embeddings_key, layer_embeddings
from experiments.probing.encoder import LayerEncoder
from experiments.probing.model import ProbedModel
from experiments.probing.search import pair_scores, search
from experiments.probing.whitening import whitened
from experiments.retrieval import own_passages

log = logging.getLogger(__name__)

DEFAULT_MAX_LENGTH = 256  # tokens of an input
FEW_QUERIES = 2  # below this there is no interval


@dataclass(frozen=True)
class ProbeCell:
    """One layer and pooling. ``candidates``: ``WHOLE_COLLECTION``, or the first stage whose passages it re-ranks.

    ``mean``: measure -> mean over queries, without measures deeper than the candidates. ``per_query``: values of the
    first measure. ``ties``: of the re-ranked ``pairs``, those with the score of the pair above; they keep the first
    stage's order. ``differences``: first stage -> mean difference of the first measure with its 95 % interval.
    """

    layer: int
    pooling: str
    candidates: str
    mean: Mapping[str, float]
    per_query: Sequence[float]
    ties: int | None = None
    pairs: int | None = None
    differences: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def undecided(self) -> bool:
        """Whether most scores are tied, so that the first stage's order stays, as with [CLS] at layer 0."""
        return 2 * (self.ties or 0) > (self.pairs or 0)


@dataclass(frozen=True)
class ProbeResult:
    """All cells of a probed model. ``queries``: (Q,) query rows. ``first_stages``: name -> measure -> mean before
    re-ranking. ``layers``: number of layers above the embeddings. ``weights``: their digest.
    """

    model: str
    weights: str
    layers: int
    settings: Mapping[str, Any]
    queries: Sequence[int]
    first_stages: Mapping[str, Mapping[str, float]]
    cells: Sequence[ProbeCell]

    @property
    def measure(self) -> str:
        """The first measure, which has intervals."""
        return str(self.settings["measures"][0])

    def as_dict(self) -> dict[str, Any]:
        """Return everything but per-query values, for ``metrics.json``."""
        whole = asdict(self)
        for cell in whole["cells"]:
            del cell["per_query"]
        return {**whole, "queries": len(self.queries)}

    def columns(self) -> dict[str, list[float]]:
        """Return the first measure by query for each column of a TSV, such as ``layer2:mean:whole_collection``."""
        return {f"layer{cell.layer}:{cell.pooling}:{cell.candidates}": list(cell.per_query) for cell in self.cells}

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Return the column names and one row a cell, for a W&B table."""
        names = ["layer", "pooling", "candidates", *self.settings["measures"], "ties", "compared_to"]
        rows = []
        for cell in self.cells:
            base, gap = next(iter(cell.differences.items()), (None, None))
            values = [cell.mean.get(name) for name in self.settings["measures"]]
            between = [gap.mean, gap.low, gap.high] if gap else [None] * 3
            rows.append([cell.layer, cell.pooling, cell.candidates, *values, cell.ties, base, *between])
        return [*names, "difference", "low", "high"], rows


def probe(
    model: ProbedModel,
    settings: Probe,
    collection: Collection,
    relevance: Mapping[int, Mapping[int, int]],
    first_stages: Mapping[str, Run],
    cache: Cache,
    candidates_depth: int | None = None,
) -> ProbeResult:
    """Evaluate every layer and pooling, or read the result from the cache.

    ``relevance``: query row -> passage row -> grade, for every probed query. ``first_stages``: runs over some or all of
    them. ``candidates_depth``: their depth; re-ranking leaves out deeper measures. None: no limit.

    Raises:
        ExperimentError: an unknown setting, or one that the model does not allow; a run of other queries.
    """
    if not relevance:
        raise ExperimentError("there are no queries with judgements to probe a model with")
    if WHOLE_COLLECTION in first_stages:
        raise ExperimentError(f"a first stage may not be called {WHOLE_COLLECTION}: rename it under retrievers")
    parse(settings.measures, "probe.measures")
    check_depth(settings.measures, settings.depth, "probe.measures", "probe.depth")
    if candidates_depth is not None:
        check_depth(settings.measures[:1], candidates_depth, "probe.measures", "first_stage_depth")
    encoder = layer_encoder(model, settings)
    probing = _Probing(encoder, settings, collection, relevance, first_stages, cache, candidates_depth)
    folder = cache.get("probe", probing.key(), lambda target: write_json(target / "result.json", probing.measured()))
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    cells = [
        ProbeCell(differences={name: Interval(**gap) for name, gap in cell.pop("differences").items()}, **cell)
        for cell in result.pop("cells")
    ]
    return ProbeResult(model=model.name, cells=cells, **result)


def layer_encoder(model: ProbedModel, settings: Probe) -> LayerEncoder:
    """Build the encoder of a model's layers from the settings of a probe. Raises as ``LayerEncoder`` does."""
    return LayerEncoder(
        model,
        layers="all" if settings.layers is None else settings.layers,
        poolings=settings.pooling,
        pairing=settings.pairing,
        max_length=settings.max_length or DEFAULT_MAX_LENGTH,
    )


@dataclass(frozen=True)
class _Probing:
    """One probing of a model."""

    encoder: LayerEncoder
    settings: Probe
    collection: Collection
    relevance: Mapping[int, Mapping[int, int]]
    first_stages: Mapping[str, Run]
    cache: Cache
    candidates_depth: int | None

    @cached_property
    def queries(self) -> NDArray[np.int64]:
        """Query rows (Q,), ascending."""
        return np.array(sorted(self.relevance), np.int64)

    @property
    def of_candidates(self) -> list[str]:
        """Measures that the first stages are deep enough for."""
        deepest = self.candidates_depth
        return [name for name in self.settings.measures if deepest is None or (cutoff_of(name) or 0) <= deepest]

    def described(self) -> dict[str, Any]:
        """Return the settings that decide the result, with layers by number."""
        decisive = {key: value for key, value in asdict(self.settings).items() if key != "control"}
        decisive |= {"layers": list(self.encoder.layers), "pooling": list(self.encoder.poolings)}
        shallow = len(self.of_candidates) < len(self.settings.measures)
        return decisive | ({"candidates_depth": self.candidates_depth} if shallow else {})

    def key(self) -> dict[str, Any]:
        """Return everything that decides the result."""
        judged = [[query, sorted(self.relevance[query].items())] for query in self.queries.tolist()]
        return {
            "format": 1,
            "code": probe_versions(),
            "embeddings": embeddings_key(self.encoder, self.collection, "passages"),
            "settings": self.described(),
            "relevance": fingerprint(judged),
            "first_stages": [[name, digest_of(run)] for name, run in self.first_stages.items()],
            **({"ignore_identical_ids": True} if self.collection.ignore_identical_ids else {}),
        }

    def measured(self) -> dict[str, Any]:
        """Compute the result as JSON, without the model's name, which is not part of the key."""
        queries = layer_embeddings(self.encoder, self.collection, "queries", self.cache, self.queries)
        passages = layer_embeddings(self.encoder, self.collection, "passages", self.cache)
        before = {name: evaluate(run, self.relevance, self.of_candidates) for name, run in self.first_stages.items()}
        return {
            "weights": self.encoder.model.weights,
            "layers": self.encoder.model.layers,
            "settings": self.described(),
            "queries": self.queries.tolist(),
            "first_stages": {name: evaluation.mean for name, evaluation in before.items()},
            "cells": [asdict(cell) for cell in self._cells(queries, passages, before)],
        }

    def _cells(
        self, queries: LayerEmbeddings, passages: LayerEmbeddings, before: Mapping[str, Evaluation]
    ) -> Iterator[ProbeCell]:
        similarity = self.settings.similarity
        for layer, pooling in self.encoder.keys:
            name = f"layer {layer}, {pooling}"
            embedded = whitened(passages.of(layer, pooling), self.settings.whiten)
            query_embeddings = queries.of(layer, pooling)
            vectors_QD = embedded.affine(query_embeddings.at(query_embeddings.places(self.queries)))
            run = search(
                name,
                self.queries,
                vectors_QD,
                embedded,
                depth=own_passages.depth_for(self.collection, self.settings.depth),
                similarity=similarity,
                device=self.encoder.device,
            )
            run = own_passages.left_out(run, self.collection, self.settings.depth)
            cell = self._cell((layer, pooling, WHOLE_COLLECTION), run, before)
            log.info("%s: %s %.3f of the whole collection", name, *next(iter(cell.mean.items())))
            yield cell
            for first_stage, candidates in self.first_stages.items():
                scores_P = pair_scores(candidates, self.queries, vectors_QD, embedded, similarity)
                reranked, ties = rerank(candidates, scores_P, name)
                own = {first_stage: before[first_stage]}
                cell = self._cell((layer, pooling, first_stage), reranked, own, ties, len(scores_P))
                if cell.undecided:
                    log.warning(
                        "%s: most passages of %s tie and keep its order: embeddings are alike", name, first_stage
                    )
                yield cell

    def _cell(
        self,
        place: tuple[int, str, str],
        run: Run,
        before: Mapping[str, Evaluation],
        ties: int | None = None,
        pairs: int | None = None,
    ) -> ProbeCell:
        whole = place[-1] == WHOLE_COLLECTION
        evaluation = evaluate(run, self.relevance, self.settings.measures if whole else self.of_candidates)
        first = self.settings.measures[0]
        values_Q = evaluation.per_query[first]
        differences = {
            name: paired_bootstrap(values_Q - base.per_query[first])
            for name, base in before.items()
            if len(values_Q) >= FEW_QUERIES
        }
        return ProbeCell(*place, evaluation.mean, values_Q.tolist(), ties, pairs, differences)
