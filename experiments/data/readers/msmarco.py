"""Read MS MARCO's files: ``collection.tsv``, ``queries.<split>.tsv`` and ``qrels.<split>.tsv``, plain or gzipped."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.data.readers import lines
from experiments.data.source import SPLITS, check_missing, named_splits, with_judged


class MsMarcoFolder:
    """Passages as ``id TAB text``, queries as ``id TAB text``, qrels in TREC's format.

    ``path``: the folder. ``collection``: the passages' file. ``splits``: for each of train, dev and test the middle of
    its file names, such as ``dev.small`` for ``queries.dev.small.tsv`` and ``qrels.dev.small.tsv``; null for none.
    ``missing``: whether a judged passage without a text is an ``error``, or ``empty`` and counts in the measures.

    Raises:
        ExperimentError: the folder or one of its files is missing.
    """

    def __init__(
        self,
        path: str,
        splits: Mapping[str, str | None],
        name: str = "msmarco",
        collection: str = "collection.tsv",
        missing: str = "error",
    ) -> None:
        folder = Path(path)
        if not folder.is_dir():
            raise ExperimentError(f"there is no folder {folder}: set data.path to the folder of {collection}")
        named = named_splits(splits)
        if not named:
            raise ExperimentError(
                f"data.source.splits names no file: set data.source.splits.test to the middle of its files' names, "
                f"such as dev.small for queries.dev.small.tsv and qrels.dev.small.tsv; splits are {', '.join(SPLITS)}"
            )
        self.missing = check_missing(missing)
        self.name = name
        self._collection = lines.find(folder, collection)
        self._queries, self._qrels = {}, {}
        for split, middle in named.items():
            key = f"data.source.splits.{split}={middle}"
            self._queries[split] = lines.find(folder, f"queries.{middle}.tsv", key=key)
            self._qrels[split] = lines.find(folder, f"qrels.{middle}.tsv", f"qrels.{middle}.txt", key=key)

    def fingerprint(self) -> Mapping[str, Any]:
        files = {"collection": self._collection}
        files |= {f"queries {split}": path for split, path in self._queries.items()}
        files |= {f"qrels {split}": path for split, path in self._qrels.items()}
        settings = {"missing": self.missing} if self.missing != "error" else {}
        return {"reader": "msmarco 2", **settings, "files": lines.file_contents(files)}

    def passages(self) -> Iterator[tuple[str, str]]:
        """Yield (id, text) of every passage."""
        passages = ((passage, text) for _, (passage, text) in lines.columns(self._collection, 2))
        return with_judged(passages, self.qrels(), self.missing)

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield (id, text) of the queries of all splits."""
        for path in dict.fromkeys(self._queries.values()):
            for _, (query, text) in lines.columns(path, 2):
                yield query, text

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        return {split: lines.qrels(path) for split, path in self._qrels.items()}
