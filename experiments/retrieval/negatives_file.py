"""Read published negatives as a source: sentence-transformers', Tevatron's, ColBERT's, or MS MARCO's triples."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.checks import one_of
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection
from experiments.data.ids import escaped
from experiments.data.negatives_formats import (
    FORMATS,
    TEXT_TRIPLES,
    ListedNegatives,
    format_of,
    line_of,
    of_triples,
    read_negatives,
)
from experiments.data.run import Run, run_in_order
from experiments.data.source import MISSING
from experiments.data.text_triples import read_text_triples
from experiments.retrieval import catalogue

log = logging.getLogger(__name__)


class NegativesFile:
    """Negatives of a file, in its order. It lists no positives, so it is no first stage.

    ``path``: a file, plain or gzipped, ``ir_datasets:<id>`` for the triples of a catalogue's data set, or a list of
    both. ``format``: ``sentence_transformers`` (``{"qid": 1, "pos": [2], "neg": {"bm25": [3, 4]}}``), ``tevatron``
    (``{"query_id": "1", "negative_passages": [{"docid": "3"}]}``, or ``negative_document_ids``), ``colbert`` (``[1, 2,
    3]`` or ``[1, [2, 9.5], [3, 1.5]]``: query, positive, negatives, perhaps with scores), ``triples`` (ids of query,
    positive, negative), ``text_triples`` (their texts), or ``auto``, told from the content.
    ``systems``: whose negatives are read of a sentence-transformers file; null for all, which take turns by rank.
    ``missing``: whether a query without negatives is an ``error`` or ``empty``.

    Raises:
        ExperimentError: a missing or empty file.
    """

    source_only = "which lists negatives alone"

    def __init__(
        self,
        path: str | Sequence[str],
        format: str = "auto",
        systems: Sequence[str] | None = None,
        missing: str = "error",
        name: str = "negatives_file",
    ) -> None:
        one_of(f"retrievers.{name}.format", format, FORMATS)
        one_of(f"retrievers.{name}.missing", missing, MISSING)
        self.name, self.format, self.missing = name, format, missing
        self.systems = None if systems is None else [str(system) for system in systems]
        self.sources = [path] if isinstance(path, str) else [str(part) for part in path]
        if not self.sources or self.systems == []:
            key, what = ("path", "file of negatives") if not self.sources else ("systems", "system")
            raise ExperimentError(f"retrievers.{name}.{key} is empty: name at least one {what}")
        for source in self.sources:
            if catalogue.is_named(source):
                catalogue.dataset_of(source, catalogue.TRIPLES, f"retrievers.{name}.path")
            elif not Path(source).is_file():
                raise ExperimentError(f"retrievers.{name}.path: there is no file {source}")

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the digests of the files, and the settings."""
        return {
            "retriever": "negatives_file 1",
            "files": self._contents(),
            "format": self.format,
            "systems": self.systems,
            "missing": self.missing,
        }

    def content(self) -> str:
        return "+".join(self._contents())

    def _contents(self) -> list[str]:
        return ["@".join(catalogue.content_of(source).values()) for source in self.sources]

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return the first ``depth`` negatives of each query, scored minus their rank.

        Raises:
            ExperimentError: a malformed line, a passage that the collection does not have, no query in the files, or,
            if ``missing`` is ``error``, one query missing.
        """
        ids = collection.queries.ids(queries)
        parts = []
        for source in self.sources:
            log.info("reading the negatives of %s", source)
            listed = self._listed(source, ids, depth, collection)
            parts.append((listed.queries_L, self._rows(source, listed, ids, collection)))
        places, passages = (np.concatenate(column) for column in zip(*parts, strict=True))
        self._check_coverage(ids, places)
        order = _firsts(places, passages)
        places, passages = places[order], passages[order]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        ranks = np.arange(len(places)) - np.repeat(starts, np.diff(starts, append=len(places))) + 1
        kept = ranks <= depth
        return run_in_order(self.name, queries[places[kept]], passages[kept], -ranks[kept].astype(np.float32))

    def _listed(self, source: str, ids: Sequence[str], depth: int, collection: Collection) -> ListedNegatives:
        """Read the negatives of the queries with these ids from one source."""
        asked = {written: place for place, query in enumerate(ids) for written in (query, escaped(query))}
        key = f"retrievers.{self.name}.format"
        if catalogue.is_named(source):
            return of_triples(
                catalogue.rows_of(source, catalogue.TRIPLES, f"retrievers.{self.name}.path"), asked, depth
            )
        path = Path(source)
        if (format_of(path, key) if self.format == "auto" else self.format) != TEXT_TRIPLES:
            return read_negatives(path, asked, depth, self.format, self.systems, key)
        by_text: dict[str, list[int]] = {}
        for place, text in enumerate(collection.queries.texts(collection.queries.rows(ids, source))):
            by_text.setdefault(text.strip(), []).append(place)
        return read_text_triples(path, by_text, depth, collection.passages)

    def _rows(self, source: str, listed: ListedNegatives, ids: Sequence[str], collection: Collection) -> Any:
        """Return the passage rows (L,) of listed negatives; refuse unknown ids by file and line."""
        encoded = listed.passages_L.dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        rows = collection.passages.find(distinct)
        if (rows < 0).any():
            unknown = {distinct[i] for i in np.flatnonzero(rows < 0).tolist()}
            at = int(np.flatnonzero(rows[encoded.indices.to_numpy()] < 0)[0])
            passage, query = distinct[encoded.indices[at].as_py()], ids[int(listed.queries_L[at])]
            where = source
            if not catalogue.is_named(source):
                line = line_of(Path(source), self.format, (query, escaped(query)), passage)
                where = f"{source}, line {line}"
            raise ExperimentError(
                f"{where}: passage {passage!r} of the query {query!r} is not in the collection, as are "
                f"{len(unknown):,} ids of {len(distinct):,}: check that the files belong together"
            )
        return rows[encoded.indices.to_numpy()]

    def _check_coverage(self, ids: Sequence[str], places: NDArray[np.int64]) -> None:
        absent = np.setdiff1d(np.arange(len(ids)), places)
        if not len(absent):
            return
        where, example = ", ".join(self.sources), ids[int(absent[0])]
        if len(absent) == len(ids):
            raise ExperimentError(
                f"{where}: none of the {len(ids):,} queries asked for has negatives, such as {example!r}: check that "
                f"retrievers.{self.name}.path is of this collection and has its training queries"
            )
        lacking = (
            f"{where}: {len(absent):,} of the {len(ids):,} queries asked for have no negatives, such as {example!r}"
        )
        if self.missing == "error":
            raise ExperimentError(f"{lacking}; retrievers.{self.name}.missing=empty accepts them with none")
        log.warning("%s", lacking)


def _firsts(places: NDArray[np.int64], passages: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the first of equal (query, passage) pairs, by query and in their order."""
    pairs = np.stack([places, passages], axis=1)
    firsts = np.sort(np.unique(pairs, axis=0, return_index=True)[1])
    return firsts[np.argsort(places[firsts], kind="stable")]
