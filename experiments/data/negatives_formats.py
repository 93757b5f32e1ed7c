"""Read published lists of negatives: sentence-transformers', Tevatron's and ColBERT's JSONL, MS MARCO's triples of ids.

Files are read as a stream, of which only the lines of the requested queries are kept, so that 400 million triples need
no more memory than their queries' negatives. A query's negatives have the order of the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError, one_line, shown
from experiments.common.strict_text import parse_json
from experiments.data.colbert_examples import example_of, examples
from experiments.data.ids import UNUSABLE, check_id, fields
from experiments.data.readers import lines

SENTENCE_TRANSFORMERS, TEVATRON, COLBERT, TRIPLES = "sentence_transformers", "tevatron", "colbert", "triples"
TEXT_TRIPLES = "text_triples"  # of texts instead of ids: experiments.data.text_triples reads them
FORMATS = ("auto", SENTENCE_TRANSFORMERS, TEVATRON, COLBERT, TRIPLES, TEXT_TRIPLES)
EXPECTED = (
    "a JSON object with qid, pos and neg (sentence-transformers), one with query_id and negative_passages (Tevatron), "
    "a list (ColBERT), or three ids (query, positive, negative)"
)
WORDS_OF_TEXT = 5  # a field with as many is no id
BATCH = 2_000_000  # lines between two looks for repeated ones
NEGATIVES_OF_TEVATRON = ("negative_passages", "negative_document_ids")
ID_OF_PASSAGE = ("docid", "pid", "_id", "id")


@dataclass(frozen=True)
class ListedNegatives:
    """Negatives of the requested queries. Shapes: L negatives.

    ``queries_L``: position of each one's query among the requested ones, ascending. ``passages_L``: Arrow strings, ids
    in the order of the file, without repeats in a query.
    """

    queries_L: NDArray[np.int64]
    passages_L: Any


def read_negatives(
    path: Path,
    asked: Mapping[str, int],
    depth: int,
    format: str = "auto",
    systems: Sequence[str] | None = None,
    key: str = "format",
) -> ListedNegatives:
    """Read the first ``depth`` negatives of each requested query, from any format but triples of texts.

    ``asked``: query id -> its position. ``format``: one of ``FORMATS``; ``auto`` tells it from the first line.
    ``systems``: whose negatives are read of sentence-transformers' files, which take turns by rank; None for all.
    ``key``: name of the format's setting in messages.

    Raises:
        ExperimentError: an empty or unreadable file, a line that does not fit the format, or a system that no line has.
    """
    layout = format_of(path, key) if format == "auto" else format
    if systems is not None and layout != SENTENCE_TRANSFORMERS:
        raise ExperimentError(f"{path}: systems are those of sentence-transformers' files, and this one has none")
    if next(lines.lines(path), None) is None:
        raise ExperimentError(f"{path}: the file of negatives is empty")
    kept = Kept(depth)
    if layout == TRIPLES:
        _read_triples(path, asked, kept)
        return kept.listed()
    if layout == COLBERT:
        for _, query, passages in examples(path):
            if query in asked:
                kept.add(asked[query], [passage for passage, _ in passages[1:]])
        return kept.listed()
    known: set[str] = set()
    for number, value in lines.json_lines(path):
        query, lists = _of_line(path, number, value, layout, known)
        if query in asked:
            kept.add(
                asked[query], _by_turns([own for name, own in lists.items() if systems is None or name in systems])
            )
    unknown = sorted(set(systems or ()) - known)
    if unknown:
        raise ExperimentError(f"{path}: no line has negatives of {unknown[0]!r}; it has {', '.join(sorted(known))}")
    return kept.listed()


def of_triples(rows: Iterable[Any], asked: Mapping[str, int], depth: int) -> ListedNegatives:
    """Keep the first ``depth`` negatives of each requested query of ir_datasets' triples (``query_id``, ``doc_id_b``).

    ``asked``: query id -> its position.
    """
    kept = Kept(depth)
    for row in rows:
        if row.query_id in asked:
            kept.add(asked[row.query_id], [row.doc_id_b])
    return kept.listed()


def format_of(path: Path, key: str) -> str:
    """Tell the format from the first line.

    Raises:
        ExperimentError: the file is empty, or its first line fits no format.
    """
    first = next(lines.lines(path), None)
    if first is None:
        raise ExperimentError(f"{path}: the file of negatives is empty")
    number, line = first
    if line.lstrip().startswith("{"):
        value = parse_json(line, f"{path}, line {number}", nested=False)
        if "neg" in value:
            return SENTENCE_TRANSFORMERS
        if any(name in value for name in NEGATIVES_OF_TEVATRON):
            return TEVATRON
        raise ExperimentError(
            f"{path}, line {number}: {EXPECTED} is expected, not one with {shown(', '.join(value))[1:-1]}"
        )
    if line.lstrip().startswith("["):
        return COLBERT
    by_tabs = line.split("\t")
    if len(by_tabs) == 3 and all(len(text.split()) >= WORDS_OF_TEXT for text in by_tabs[1:]):
        return TEXT_TRIPLES
    if len(_ids_of(line)) == 3:
        return TRIPLES
    raise ExperimentError(f"{path}, line {number}: {EXPECTED} is expected, not {shown(line)}: check {key}")


def line_of(path: Path, format: str, query_ids: Sequence[str], passage_id: str) -> int | None:
    """Return the number of the first line that lists a passage as a negative of a query, for messages.

    ``query_ids``: the spellings of the query's id.
    """
    layout = format_of(path, "format") if format == "auto" else format
    for number, line in lines.lines(path):
        if layout == TRIPLES:
            query, _, *passages = _ids_of(line)
            lists = {"": passages}
        elif layout == COLBERT:
            query, scored = example_of(f"{path}, line {number}", line)
            lists = {"": [passage for passage, _ in scored[1:]]}
        else:
            query, lists = _of_line(
                path, number, parse_json(line, f"{path}, line {number}", nested=False), layout, set()
            )
        if query in query_ids and passage_id in chain(*lists.values()):
            return number
    return None


def _of_line(
    path: Path, number: int, value: Mapping[str, Any], layout: str, known: set[str]
) -> tuple[str, dict[str, list[str]]]:
    """Return the query id of a JSON line, and its negatives by system. ``known``: all systems so far, added to."""
    where = f"{path}, line {number}"
    names = ("qid", "query_id")
    query = next((value[name] for name in names if name in value), None)
    found = [value[name] for name in ("neg", *NEGATIVES_OF_TEVATRON) if name in value]
    if query is None or not found or (layout == SENTENCE_TRANSFORMERS) != ("neg" in value):
        raise ExperimentError(f"{where}: {EXPECTED} is expected, not one with {shown(', '.join(value))[1:-1]}")
    lists = found[0] if isinstance(found[0], Mapping) else {"": found[0]}
    if not all(isinstance(own, list) for own in lists.values()):
        raise ExperimentError(f"{where}: the negatives are expected as lists of ids")
    known.update(lists)
    if isinstance(query, bool) or not isinstance(query, str | int) or query == "":
        raise ExperimentError(f"{where}: {shown(query)} is no id of a query: a text or a whole number is expected")
    return str(query), {name: [_id_of(where, passage) for passage in own] for name, own in lists.items()}


def _id_of(where: str, passage: Any) -> str:
    """Return the id of a negative, which is written alone or as an object with its text or score."""
    if isinstance(passage, Mapping):
        passage = next((passage[name] for name in ID_OF_PASSAGE if name in passage), None)
    if not isinstance(passage, str | int) or isinstance(passage, bool):
        raise ExperimentError(f"{where}: a negative has no id: {', '.join(ID_OF_PASSAGE)} are looked for")
    check_id(where, str(passage))
    if passage == "":
        raise ExperimentError(f"{where}: a negative has an empty id")
    return str(passage)


def _by_turns(lists: Sequence[list[str]]) -> list[str]:
    """Merge lists: the first of each, then the second of each, and so on."""
    if len(lists) == 1:
        return lists[0]
    return [passage for row in zip_longest(*lists) for passage in row if passage is not None]


def _ids_of(line: str) -> list[str]:
    return [field.strip() for field in line.split("\t")] if "\t" in line else fields(line)


def _read_triples(path: Path, asked: Mapping[str, int], kept: "Kept") -> None:
    import pyarrow.csv

    ids = pa.array(list(asked), pa.string())
    places = np.fromiter(asked.values(), np.int64, len(asked))
    first = next(lines.lines(path), (0, ""))[1]
    names = ["query", "positive", "negative"]
    try:
        reader = pyarrow.csv.open_csv(
            str(path),
            pyarrow.csv.ReadOptions(column_names=names, block_size=2**24),
            pyarrow.csv.ParseOptions(delimiter="\t" if "\t" in first else " ", quote_char=False),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[]),
        )
        for batch in reader:
            if any(pc.any(pc.match_substring_regex(batch.column(name), UNUSABLE)).as_py() for name in names):
                raise pa.ArrowInvalid("an id is empty or has a control character")
            found = pc.index_in(batch.column("query"), value_set=ids)
            mask = pc.is_valid(found)
            kept.extend(
                places[found.filter(mask).to_numpy(zero_copy_only=False)], batch.column("negative").filter(mask)
            )
    except (pa.ArrowInvalid, OSError) as error:
        for number, line in lines.lines(path):
            if len(_ids_of(line)) != 3 or not all(_ids_of(line)):
                raise ExperimentError(
                    f"{path}, line {number}: three ids (query, positive, negative) are expected, not {shown(line)}"
                ) from error
            for text in _ids_of(line):
                check_id(f"{path}, line {number}", text)
        raise ExperimentError(f"{path}: cannot be read as triples of ids ({one_line(str(error))})") from error


class Kept:
    """Collect negatives, of each query the first ``depth`` different ones."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._whole = 0  # negatives in the first part, which has no repeats
        self._queries: list[NDArray[np.int64]] = []
        self._passages: list[Any] = []
        self._waiting: tuple[list[int], list[str]] = ([], [])

    def add(self, query: int, passages: Sequence[str]) -> None:
        """Add the negatives of one query."""
        self._waiting[0].extend([query] * len(passages))
        self._waiting[1].extend(passages)
        if len(self._waiting[0]) >= BATCH // 10:  # Python objects are larger than Arrow's strings
            self._hand_over()

    def extend(self, queries: NDArray[np.int64], passages: Any) -> None:
        """Add negatives with the query of each."""
        self._queries.append(queries)
        self._passages.append(passages.cast(pa.large_string()))
        if sum(map(len, self._queries[1:])) > max(BATCH, self._whole):
            self._compact()

    def listed(self) -> ListedNegatives:
        """Return all that was added, grouped by query."""
        self._hand_over()
        if not self._queries:
            return ListedNegatives(np.empty(0, np.int64), pa.array([], pa.large_string()))
        self._compact()
        queries, passages = self._queries[0], self._passages[0]
        order = np.argsort(queries, kind="stable")
        return ListedNegatives(queries[order], passages.take(pa.array(order)))

    def _hand_over(self) -> None:
        queries, passages = self._waiting
        if queries:
            self._waiting = ([], [])
            self.extend(np.array(queries, np.int64), pa.array(passages, pa.large_string()))

    def _compact(self) -> None:
        queries = np.concatenate(self._queries)
        encoded = pa.chunked_array(self._passages).dictionary_encode().combine_chunks()
        pairs = queries * np.int64(len(encoded.dictionary) + 1) + encoded.indices.to_numpy()
        firsts = np.sort(np.unique(pairs, return_index=True)[1])  # of equal pairs the first, in their order
        by_query = firsts[np.argsort(queries[firsts], kind="stable")]
        starts = np.flatnonzero(np.diff(queries[by_query], prepend=-1))
        within = np.arange(len(by_query)) - np.repeat(starts, np.diff(starts, append=len(by_query)))
        kept = np.sort(by_query[within < self.depth])
        self._queries = [queries[kept]]
        self._passages = [encoded.dictionary.take(encoded.indices.take(pa.array(kept)))]
        self._whole = len(kept)
