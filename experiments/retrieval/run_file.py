"""Read published runs as a retriever, such as Anserini's or SPLADE's run files, or ir_datasets' scored documents."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.common.cache import Cache, fingerprint
from experiments.common.checks import one_of
from experiments.common.errors import ExperimentError
from experiments.data import run_formats
from experiments.data.collection import Collection
from experiments.data.ids import escaped
from experiments.data.run import Run, run_in_order
from experiments.data.run_formats import RankedIds
from experiments.data.run_lines import FORMATS
from experiments.data.source import MISSING
from experiments.retrieval import catalogue

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Lines:
    """Lines of one source for the requested queries. ``queries``: row of each line. ``within``: its rank minus 1."""

    queries: NDArray[np.int64]
    within: NDArray[np.int64]
    passages: NDArray[np.int64]
    scores: NDArray[np.float32]


class RunFile:
    """Rankings from published run files, as a source of negatives or a first stage.

    ``path``: a file, plain or gzipped, or a list of files with different queries; or ``ir_datasets:<id>`` for the
    scored documents of a catalogue's data set; None for a file that a job is to write. ``format``: ``trec`` (query Q0
    passage rank score name), ranked by score, ties by descending passage id as in trec_eval; ``msmarco`` (query,
    passage, rank and perhaps score, separated by tabs), ranked by rank; ``scores`` (query, passage, score), ranked as
    ``trec``; ``top1000`` (query, passage, and their texts), MS MARCO's official candidates, which are not ranked and
    used whole or not at all; ``auto`` detects the format.
    ``missing``: whether a query without lines is an ``error`` or has an ``empty`` ranking.

    Raises:
        ExperimentError: a missing or empty file, or an id that the catalogue does not have.
    """

    def __init__(
        self, path: str | Sequence[str] | None, format: str = "auto", missing: str = "error", name: str = "run_file"
    ) -> None:
        one_of(f"retrievers.{name}.format", format, FORMATS)
        one_of(f"retrievers.{name}.missing", missing, MISSING)
        self.name, self.format, self.missing = name, format, missing
        self.sources = [path] if isinstance(path, str) else [str(source) for source in path or ()]
        if not self.sources and path is not None:
            raise ExperimentError(f"retrievers.{name}.path is empty: name at least one run file")
        for source in self.sources:
            if catalogue.is_named(source):
                catalogue.dataset_of(source, catalogue.SCORED, f"retrievers.{name}.path")
            else:
                _check_file(Path(source), f"retrievers.{name}.path")

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the digests of the files, the catalogue's ids and version, and the settings."""
        return {
            "retriever": "run_file 2",
            "sources": [catalogue.content_of(source) for source in self.sources],
            "format": self.format,
            "missing": self.missing,
        }

    def content(self) -> str:
        return fingerprint([catalogue.content_of(source) for source in self.sources])

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return the first ``depth`` passages of each query, with the files' scores as float32.

        Raises:
            ExperimentError: a malformed line, a query in two files, a passage twice for a query or unknown to the
            collection, no query in the files, or, if ``missing`` is ``error``, one query missing.
        """
        ranked = [self._read(source, cache) for source in self.sources]
        self._check_disjoint(ranked)
        ids = collection.queries.ids(queries)
        asked = pa.array(ids, pa.large_string())
        as_written = pa.array([escaped(query_id) for query_id in ids], pa.large_string())
        positions = [
            np.maximum(_positions(asked, source_run.query_ids), _positions(as_written, source_run.query_ids))
            for source_run in ranked
        ]
        self._check_coverage(asked, np.max(positions, axis=0) >= 0)
        parts = []
        for source, source_run, at in zip(self.sources, ranked, positions, strict=True):
            part = _lines_of(source, source_run, queries[at >= 0], at[at >= 0], collection)
            self._check_ranked(source, source_run, part, depth)
            parts.append(part)
        kept = [part.within < depth for part in parts]
        queries, passages, scores = (
            np.concatenate([getattr(part, column)[keep] for part, keep in zip(parts, kept, strict=True)])
            for column in ("queries", "passages", "scores")
        )
        return run_in_order(self.name, queries, passages, scores)

    def _read(self, source: str, cache: Cache) -> RankedIds:
        """Return a source in ranked order from the cache, or parse it."""

        def build(folder: Path) -> None:
            log.info("reading the run %s", source)
            if catalogue.is_named(source):
                rows = catalogue.rows_of(source, catalogue.SCORED, f"retrievers.{self.name}.path")
                run_formats.read_scoreddocs(rows, source).save(folder)
            else:
                run_formats.read(Path(source), self.format, f"retrievers.{self.name}.format").save(folder)

        return RankedIds.load(
            cache.get("run_file", {**catalogue.content_of(source), "format": self.format, "version": 2}, build)
        )

    def _check_disjoint(self, ranked: Sequence[RankedIds]) -> None:
        counts = pc.value_counts(pa.concat_arrays([source_run.query_ids for source_run in ranked]))
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
        if len(twice):
            holders = [
                source
                for source, source_run in zip(self.sources, ranked, strict=True)
                if pc.index(source_run.query_ids, twice[0]).as_py() >= 0
            ]
            raise ExperimentError(
                f"retrievers.{self.name}.path: {len(twice):,} query id(s) are in more than one file, such as "
                f"{twice[0].as_py()!r} in {' and '.join(holders)}: leave one of them out"
            )

    def _check_coverage(self, asked: Any, found: NDArray[np.bool_]) -> None:
        absent = asked.filter(pa.array(~found))
        if not len(absent):
            return
        where = ", ".join(self.sources)
        if len(absent) == len(asked):
            raise ExperimentError(
                f"{where}: none of the {len(asked):,} queries asked for is in the run, such as {absent[0].as_py()!r}: "
                f"add the file of this split: retrievers.{self.name}.path=[train.run,test.run]"
            )
        example = absent[0].as_py()
        lacking = f"{where}: {len(absent):,} of the {len(asked):,} queries asked for have no line, such as {example!r}"
        if self.missing == "error":
            raise ExperimentError(f"{lacking}; retrievers.{self.name}.missing=empty accepts them with an empty ranking")
        log.warning("%s: their rankings are empty", lacking)

    def _check_ranked(self, source: str, source_run: RankedIds, part: _Lines, depth: int) -> None:
        """Refuse to cut candidates without scores, such as MS MARCO's top 1000."""
        if catalogue.is_named(source):
            if source_run.scores.any():
                return
        elif run_formats.has_order(Path(source), self.format, f"retrievers.{self.name}.format"):
            return
        longest = int(part.within.max(initial=-1)) + 1
        if longest > depth:
            raise ExperimentError(
                f"{source} has candidates without scores, up to {longest:,} a query, and so no best {depth:,}: use all "
                f"of them (negatives.depth, first_stage_depth or validation.depth) or another run"
            )
        log.warning("%s has candidates without scores: the order of its passages means nothing", source)


def _positions(asked: Any, ids: Any) -> NDArray[np.int64]:
    """Return the position of each requested id in ``ids``, or -1."""
    return np.asarray(pc.fill_null(pc.index_in(asked, value_set=ids), -1).to_numpy().astype(np.int64))


def _lines_of(
    source: str, source_run: RankedIds, queries: NDArray[np.int64], at: NDArray[np.int64], collection: Collection
) -> _Lines:
    """``queries``: their rows. ``at``: their positions in the source."""
    starts, lengths = source_run.offsets[at], source_run.offsets[at + 1] - source_run.offsets[at]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    picked = np.repeat(starts, lengths) + within
    passages = source_run.passages[picked]
    distinct = np.flatnonzero(np.bincount(passages, minlength=len(source_run.passage_ids)))
    rows = np.empty(len(source_run.passage_ids), np.int64)
    rows[distinct] = collection.passages.rows(source_run.passage_ids.take(pa.array(distinct)).to_pylist(), source)
    return _Lines(np.repeat(queries, lengths), within, rows[passages], source_run.scores[picked])


def _check_file(path: Path, key: str) -> None:
    if path.is_dir():
        raise ExperimentError(f"{key}: {path} is a folder: name the run file in it, or a list of them")
    if not path.exists():
        raise ExperimentError(f"{key}: there is no file {path}")
    if path.stat().st_size == 0:
        raise ExperimentError(f"{key}: the file {path} is empty")
