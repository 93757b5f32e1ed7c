"""Write what all contestants of a training share: the groups of each step, and the weights they begin with.

In the folder of the line: ``groups.jsonl`` (query, passages with the positive first, in the order of our steps),
``model`` and ``model_without_dropout`` (Hugging Face folders with the same weights, head included), and the same texts
for lightning-ir: ``queries.tsv``, ``docs.tsv``, ``tuples.json``.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants.collection import collection_of, read_texts

if TYPE_CHECKING:
    from benchmarks.contestants.job import Job


def groups_of(job: "Job") -> Iterator[tuple[str, list[str]]]:
    """Yield the ids of each group, in the order of the steps: the query, and its passages."""
    for step in range(job.setup.steps):
        groups = job.setup.data.groups.groups(step)
        for query, passages in zip(groups.queries_Q.tolist(), groups.passages_QN, strict=True):
            yield job.collection.queries.id(query), job.collection.passages.ids(passages)


def write_groups(folder: Path, texts: Path, groups: list[tuple[str, list[str]]]) -> None:
    """Write groups twice: with their texts, and by ids with files of texts."""
    queries, passages = read_texts(texts / "queries.jsonl"), read_texts(texts / "corpus.jsonl")
    rows = [{"query": queries[query], "passages": [passages[name] for name in own]} for query, own in groups]
    tuples = [[query, *([name, float(not i)] for i, name in enumerate(own))] for query, own in groups]
    for name, values in (("groups.jsonl", rows), ("tuples.json", tuples)):
        (folder / name).write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")
    for name, own in (("queries.tsv", queries), ("docs.tsv", passages)):
        (folder / name).write_text("".join(f"{key}\t{text}\n" for key, text in own.items()), encoding="utf-8")


def main() -> None:
    """Write everything."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder, texts = Path(settings["folder"]), collection_of(settings)
    from benchmarks.contestants.job import Job, overrides  # not for the processes that read the texts

    for name, dropout in (("model_without_dropout", 0.0), ("model", settings["dropout"])):
        job = Job.open(overrides(settings, dropout))
        job.setup.module.finish_training()
        job.setup.module.export(folder / name)
    write_groups(folder, texts, list(groups_of(job)))


if __name__ == "__main__":
    main()
