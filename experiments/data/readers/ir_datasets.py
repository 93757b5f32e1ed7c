"""Read any data set of the ir_datasets catalogue, such as ``msmarco-passage/dev/small`` or ``beir/scifact/test``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.data.source import SPLITS, check_missing, named_splits, with_judged

QUERIES_AMONG_PASSAGES = ("beir/arguana", "beir/quora")  # data sets whose queries are passages too, under the same ids


class IrDataset:
    """One catalogue id for each split; all must share their passages.

    ``splits``: for some of train, dev and test an ir_datasets id with queries and qrels. ``name``: name in results; the
    first part of the ids by default. ``missing``: judged passages without a text are an ``error``, or ``empty`` and
    count.

    Raises:
        ExperimentError: an id that the catalogue does not have, or that lacks passages, queries or qrels.
    """

    def __init__(self, splits: Mapping[str, str | None], name: str | None = None, missing: str = "error") -> None:
        import ir_datasets

        chosen = named_splits(splits)
        if not chosen:
            raise ExperimentError(
                f"data.source.splits names no data set: set data.source.splits.test to an id such as beir/scifact/test "
                f"(the splits are {', '.join(SPLITS)})"
            )
        self.missing = check_missing(missing)
        self._datasets: dict[str, Any] = {}
        for split, dataset_id in chosen.items():
            try:
                dataset = ir_datasets.load(dataset_id)
            except KeyError as error:
                raise ExperimentError(
                    f"data.source.splits.{split}: ir_datasets has no data set {dataset_id!r}"
                ) from error
            if not (dataset.has_docs() and dataset.has_queries() and dataset.has_qrels()):
                raise ExperimentError(
                    f"data.source.splits.{split}: {dataset_id!r} has no docs, queries or qrels: name a sub-set that has"
                )
            self._datasets[split] = dataset
        self.ids = chosen
        self.queries_among_passages = all(
            dataset_id.split("/dev")[0].split("/test")[0] in QUERIES_AMONG_PASSAGES for dataset_id in chosen.values()
        )
        self.name = name or next(iter(chosen.values())).split("/train")[0].split("/dev")[0].split("/test")[0]

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the ids and the catalogue's version, which pins each file by its checksum."""
        from importlib.metadata import version

        settings = {"missing": self.missing} if self.missing != "error" else {}
        return {"reader": "ir_datasets 1", **settings, "ids": self.ids, "ir_datasets": version("ir-datasets")}

    def passages(self) -> Iterator[tuple[str, str]]:
        """Yield (id, default text) of every document."""
        documents = self._guarded(next(iter(self._datasets.values())).docs_iter)
        passages = ((document.doc_id, document.default_text()) for document in documents)
        return with_judged(passages, self.qrels(), self.missing)

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield (id, default text) of each query of all splits once."""
        seen: set[str] = set()
        for dataset in self._datasets.values():
            for query in self._guarded(dataset.queries_iter):
                if query.query_id not in seen:
                    seen.add(query.query_id)
                    yield query.query_id, query.default_text()

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        return {
            split: ((row.query_id, row.doc_id, row.relevance) for row in self._guarded(dataset.qrels_iter))
            for split, dataset in self._datasets.items()
        }

    def _guarded(self, rows: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        """Yield the rows; report a file that the catalogue cannot find or fetch."""
        try:
            yield from rows()
        except (RuntimeError, OSError, ValueError) as error:
            raise ExperimentError(
                f"ir_datasets could not provide {', '.join(self.ids.values())}: {error}. Without a network, put "
                f"its source files into the folder named by IR_DATASETS_HOME"
            ) from error
