"""Read a local folder in BEIR's layout: ``corpus.jsonl``, ``queries.jsonl`` and qrels by split, plain or gzipped."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.data.readers import lines
from experiments.data.source import SPLITS, check_missing, named_splits, with_judged

QUERIES_AMONG_PASSAGES = ("arguana", "quora")  # data sets whose queries are passages too, under the same ids


class BeirFolder:
    """``corpus.jsonl`` and ``queries.jsonl`` (``_id``, ``title``, ``text``) with qrels by split.

    ``path``: the folder. ``name``: name in results; the folder's by default. ``title``: whether a passage is title and
    text, as in BEIR, or text alone. ``splits``: qrels for train, dev and test, such as ``{"test": "dl19"}``, read from
    ``qrels/<name>.tsv`` or ``qrels.<name>.txt``; a split without a name uses its own. ``missing``: whether a judged
    passage without a text is an ``error`` or ``empty`` and counts, as published for pools that hold only the passages
    of some runs.

    Raises:
        ExperimentError: the folder or one of its files is missing.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        title: bool = True,
        splits: Mapping[str, str | None] | None = None,
        missing: str = "error",
    ) -> None:
        folder = Path(path)
        if not folder.is_dir():
            raise ExperimentError(
                f"there is no folder {folder}: set data.path to a folder with corpus.jsonl and queries.jsonl"
            )
        self.name = name or folder.resolve().name
        self.title, self.missing = title, check_missing(missing)
        self.queries_among_passages = self.name.lower() in QUERIES_AMONG_PASSAGES
        self._corpus = lines.find(folder, "corpus.jsonl")
        self._queries = lines.find(folder, "queries.jsonl")
        self._qrels = _find_qrels(folder, named_splits(splits))

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the content of the files, and the settings."""
        files = {"corpus": self._corpus, "queries": self._queries, **{f"qrels {s}": p for s, p in self._qrels.items()}}
        settings = {"title": self.title, **({"missing": self.missing} if self.missing != "error" else {})}
        return {"reader": "beir 2", **settings, "files": lines.file_contents(files)}

    def passages(self) -> Iterator[tuple[str, str]]:
        """Yield (id, title and text) of every passage."""
        return with_judged(self._passages(), self.qrels(), self.missing)

    def _passages(self) -> Iterator[tuple[str, str]]:
        for passage, fields in self._objects(self._corpus):
            title = fields.get("title") or ""
            yield passage, f"{title} {fields['text']}" if self.title and title else fields["text"]

    def queries(self) -> Iterator[tuple[str, str]]:
        for query, fields in self._objects(self._queries):
            yield query, fields["text"]

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        return {split: lines.qrels(path) for split, path in self._qrels.items()}

    @staticmethod
    def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, fields in lines.json_lines(path):
            if not isinstance(fields.get("_id"), str) or not isinstance(fields.get("text"), str):
                raise ExperimentError(f"{path}, line {number}: '_id' and 'text' must be there and be strings")
            if not isinstance(fields.get("title") or "", str):
                raise ExperimentError(f"{path}, line {number}: 'title' must be a string")
            yield fields["_id"], fields


def _find_qrels(folder: Path, splits: Mapping[str, str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for split in SPLITS:
        name = splits.get(split, split)
        candidates = [f"qrels/{name}.tsv", f"qrels/{name}.txt", f"qrels.{name}.tsv", f"qrels.{name}.txt"]
        if split in splits:
            paths[split] = lines.find(folder, *candidates, key=f"data.source.splits.{split}={name}")
        elif path := lines.find_optional(folder, *candidates):
            paths[split] = path
    if not paths:
        raise ExperimentError(
            f"there are no qrels in {folder}: add qrels/test.tsv or qrels.test.txt (likewise train and dev), or set "
            f"data.source.splits.test=NAME for qrels/NAME.tsv or qrels.NAME.txt{_others(folder)}"
        )
    return paths


def _others(folder: Path) -> str:
    """List a folder's other qrels for a message."""
    paths = [*folder.glob("qrels/*.t*"), *folder.glob("qrels.*.t*")]
    names = {path.name.removesuffix(".gz").rpartition(".")[0].removeprefix("qrels.") for path in paths}
    return f" (there are {', '.join(sorted(names))})" if names else ""
