"""Count the terms of passages for BM25, part by part, on every core; as a command, count the parts named on stdin.

A counted part is a folder; it gets its name once it is whole, so that a killed count goes on with the others.

Shapes: L terms of a part, E entries (a term in a passage) of a part, P passages of a part.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from experiments.common.progress import tracked
from experiments.common.worker_processes import answer_tasks, answers_of
from experiments.data.collection import TextTable
from experiments.retrieval.words import Words

PASSAGES_A_PART = 100_000  # some ten seconds of a core
WORDS = pa.schema([("word", pa.large_string())])


def counted(texts: TextTable, words: Words, name: str, folder: Path) -> list[Path]:
    """Count the terms of each part that has not been counted yet; return the folder of every part, in order.

    ``name``: of the retriever, for the progress.
    """
    total, size = len(texts), PASSAGES_A_PART
    parts = {start: min(start + size, total) for start in range(0, total, size)}  # start -> end
    left = [start for start in parts if not (folder / str(start)).is_dir()]
    done = total - sum(parts[start] - start for start in left)
    with tracked(f"{name}: counting the terms of {total:,} passages", total, done) as advance:
        if len(left) < 2:
            for start in left:
                count_part(texts, words, start, parts[start], folder)
                advance(parts[start] - start)
        else:
            arguments = [str(texts.path), str(folder), words.stemmer or "", words.stopwords or ""]
            for answer in answers_of(__name__, arguments, [f"{start} {parts[start]}" for start in left]):
                advance(parts[int(answer)] - int(answer))
    return [folder / str(start) for start in parts]


def count_part(texts: TextTable, words: Words, start: int, end: int, folder: Path) -> None:
    """Save how often each term is in each passage from ``start`` to before ``end``, by term and passage."""
    place = folder / str(start)
    unfinished = folder / f".{start}.{os.getpid()}"  # a killed caller's worker may still be at the same part
    unfinished.mkdir(parents=True)
    ids, terms = words.numbered(texts.texts(np.arange(start, end)))
    _save(ids, terms, start, unfinished)
    if place.is_dir():
        shutil.rmtree(unfinished)
    else:
        os.replace(unfinished, place)


def _save(ids: Sequence[Sequence[int]], terms: Sequence[str], start: int, folder: Path) -> None:
    lengths_P = np.array([len(own) for own in ids], np.int64)
    flat = np.fromiter(chain.from_iterable(ids), np.int64, int(lengths_P.sum()))
    pairs, counts_E = np.unique(flat * len(ids) + np.repeat(np.arange(len(ids)), lengths_P), return_counts=True)
    terms_E, within_E = np.divmod(pairs, len(ids))
    np.save(folder / "frequencies.npy", np.bincount(terms_E, minlength=len(terms)))
    np.save(folder / "rows.npy", (within_E + start).astype(np.int32))
    np.save(folder / "counts.npy", counts_E.astype(np.int32))
    np.save(folder / "lengths.npy", lengths_P)
    with pa.OSFile(str(folder / "words.arrow"), "wb") as sink, pa.ipc.new_file(sink, WORDS) as writer:
        writer.write_table(pa.table([pa.array(terms, pa.large_string())], schema=WORDS))


def main() -> None:
    """Count parts, each named by its start and end; answer each with its start."""
    place, folder, stemmer, stopwords = sys.argv[1:]
    texts = TextTable(Path(place), "passage")

    def answer(task: str) -> str:
        start, end = map(int, task.split())
        # new words for each part: the memory of stems grows with the distinct words
        count_part(texts, Words(stemmer or None, stopwords or None), start, end, Path(folder))
        return str(start)

    answer_tasks(answer)


if __name__ == "__main__":
    main()
