"""Any data set of the ir_datasets catalogue, such as ``msmarco-passage/dev/small`` or ``beir/scifact/test``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from experiments.data.source import SPLITS
from experiments.errors import ExperimentError


class IrDataset:
    """One catalogue id for each split; they must share their passages.

    ``splits``: for some of train, dev and test an ir_datasets id with queries and qrels. ``name``: what results call
    it; the first part of the ids if not given. ``files``: local files that the ids were read from, if their change
    shall be noticed.

    Raises:
        ExperimentError: an id that the catalogue does not have, or that lacks passages, queries or qrels.
    """

    def __init__(self, splits: Mapping[str, str | None], name: str | None = None) -> None:
        import ir_datasets

        unknown = set(splits) - set(SPLITS)
        chosen = {split: one for split, one in splits.items() if one is not None}
        if unknown or not chosen:
            raise ExperimentError(
                f"data.splits must name some of {', '.join(SPLITS)}, not {', '.join(sorted(unknown)) or 'none'}"
            )
        self._datasets: dict[str, Any] = {}
        for split, one in chosen.items():
            try:
                dataset = ir_datasets.load(one)
            except KeyError as error:
                raise ExperimentError(f"data.splits.{split}: ir_datasets has no data set {one!r}") from error
            if not (dataset.has_docs() and dataset.has_queries() and dataset.has_qrels()):
                raise ExperimentError(
                    f"data.splits.{split}: {one!r} has no docs, queries or qrels; a sub-set of it may have"
                )
            self._datasets[split] = dataset
        self.ids = chosen
        self.name = name or next(iter(chosen.values())).split("/train")[0].split("/dev")[0].split("/test")[0]

    def fingerprint(self) -> Mapping[str, Any]:
        """The ids and the catalogue's version: the catalogue pins each file by its checksum."""
        from importlib.metadata import version

        return {"reader": "ir_datasets 1", "ids": self.ids, "ir_datasets": version("ir-datasets")}

    def passages(self) -> Iterator[tuple[str, str]]:
        """(id, default text) of every document."""
        dataset = next(iter(self._datasets.values()))
        for doc in self._guarded(dataset.docs_iter):
            yield doc.doc_id, doc.default_text()

    def queries(self) -> Iterator[tuple[str, str]]:
        """(id, default text) of the queries of all splits; a query of two splits comes once."""
        seen: set[str] = set()
        for dataset in self._datasets.values():
            for query in self._guarded(dataset.queries_iter):
                if query.query_id not in seen:
                    seen.add(query.query_id)
                    yield query.query_id, query.default_text()

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        """The judgements of each split."""
        return {split: self._judgements(dataset) for split, dataset in self._datasets.items()}

    def _judgements(self, dataset: Any) -> Iterator[tuple[str, str, int]]:
        for one in self._guarded(dataset.qrels_iter):
            yield one.query_id, one.doc_id, one.relevance

    def _guarded(self, rows: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        """The rows, with the catalogue's failure to find or fetch a file turned into one clear line."""
        try:
            yield from rows()
        except (RuntimeError, OSError, ValueError) as error:
            raise ExperimentError(
                f"ir_datasets could not provide {', '.join(self.ids.values())}: {error}. Without a network, lay "
                f"its source files under the folder that IR_DATASETS_HOME names"
            ) from error
