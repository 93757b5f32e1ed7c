"""Read any data set of the ir_datasets catalogue, such as ``msmarco-passage/dev/small`` or ``beir/scifact/test``."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.data.source import SPLITS, check_missing, named_splits, with_judged

QUERIES_AMONG_PASSAGES = ("beir/arguana", "beir/quora")  # data sets whose queries are passages too, under the same ids


class IrDataset:
    """One catalogue id for each split; all must share their passages.

    ``splits``: for some of train, dev and test an ir_datasets id with queries and qrels. ``name``: name in results; the
    first part of the ids by default. ``missing``: judged passages without a text are an ``error``, or ``empty`` and
    count. ``fields``: of a document, whose values are its text, joined by spaces; None for the catalogue's default
    text, which leaves out the URL.

    Raises:
        ExperimentError: an id that the catalogue does not have, or that lacks passages, queries or qrels; a field that
            its documents do not have.
    """

    fetched = True

    def __init__(
        self,
        splits: Mapping[str, str | None],
        name: str | None = None,
        missing: str = "error",
        fields: Sequence[str] | None = None,
    ) -> None:
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
        self.fields = None if fields is None else self._known_fields(list(fields))
        self.queries_among_passages = all(
            dataset_id.split("/dev")[0].split("/test")[0] in QUERIES_AMONG_PASSAGES for dataset_id in chosen.values()
        )
        self.name = name or next(iter(chosen.values())).split("/train")[0].split("/dev")[0].split("/test")[0]

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the ids and the catalogue's version, which pins each file by its checksum."""
        from importlib.metadata import version

        settings: dict[str, Any] = {"missing": self.missing} if self.missing != "error" else {}
        settings |= {"fields": self.fields} if self.fields is not None else {}
        return {"reader": "ir_datasets 1", **settings, "ids": self.ids, "ir_datasets": version("ir-datasets")}

    def counts(self) -> dict[str, int]:
        """Return the numbers of ``passages`` and of each split's queries that the catalogue says; reads no data."""
        said = {split: dataset.metadata() for split, dataset in self._datasets.items()}
        counts = {split: (each.get("queries") or {}).get("count") for split, each in said.items()}
        counts["passages"] = next(((each.get("docs") or {}).get("count") for each in said.values()), None)
        return {name: int(count) for name, count in counts.items() if count is not None}

    def passages(self) -> Iterator[tuple[str, str]]:
        """Yield (id, text) of every document."""
        documents = self._guarded(next(iter(self._datasets.values())).docs_iter)
        passages = ((document.doc_id, self._text(document)) for document in documents)
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

    def _text(self, document: Any) -> str:
        """Return the text of a document: its non-empty fields, or the catalogue's default."""
        if self.fields is None:
            return str(document.default_text())
        return " ".join(filter(None, (str(getattr(document, field) or "").strip() for field in self.fields)))

    def _known_fields(self, fields: list[str]) -> list[str]:
        """Return the fields that make a text; raises ExperimentError for one that the documents do not have."""
        known = next(iter(self._datasets.values())).docs_cls()._fields
        if not fields or not set(fields) <= set(known):
            raise ExperimentError(
                f"data.source.fields is {fields}: it must name some of the fields of {next(iter(self.ids.values()))} "
                f"({', '.join(known)}), or be null for the catalogue's default text"
            )
        return fields

    def _guarded(self, rows: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        """Yield the rows; report a file that the catalogue cannot find or fetch."""
        try:
            yield from rows()
        except (RuntimeError, OSError, ValueError) as error:
            raise ExperimentError(
                f"ir_datasets could not provide {', '.join(self.ids.values())}: {error}. Without a network, put "
                f"its source files into the folder named by IR_DATASETS_HOME"
            ) from error
