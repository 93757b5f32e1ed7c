"""Read a teacher's scores of query-passage pairs from a file into ids: the formats in which the field publishes them.

``trec`` and ``msmarco``: a run (``experiments.data.run_formats``). ``scores``: query, passage, score in a text file,
with or without a line of names. ``jsonl``, ``parquet``: the same by name. ``hofstaetter``: score of the positive, score
of the negative, query, positive, negative, separated by tabs (Hofstätter et al. 2020, arXiv 2010.02666).
``hard_negatives``: sentence-transformers' msmarco-hard-negatives with scores: ``{"qid", "pos": [{"pid", "ce-score"}],
"neg": {system: [{"pid", "ce-score"}]}}``. ``colbert``: ColBERTv2's ``[query, [passage, score], [passage, score] ...]``.

pyarrow reads text in columns; a file that it rejects is read again line by line, which reports errors with their line.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError, one_line, shown
from experiments.data import run_formats
from experiments.data.colbert_examples import scored_examples
from experiments.data.ids import check_id, fields
from experiments.data.readers import lines
from experiments.data.run_formats import BATCH, ODD
from experiments.data.run_lines import CANDIDATES, TOP1000, is_comment, layout_of
from experiments.data.teacher_rows import NAMES, Row, checked_score, hard_negative_rows, json_rows, names_in

RANKED = ("trec", "msmarco", "scores")
PARQUET = b"PAR1"
PAIR = ("query", "passage", "score")
TRIPLES = ("score of the positive", "score of the negative", "query", "positive", "negative")
BY_ROW = {"jsonl": json_rows, "hard_negatives": hard_negative_rows, "colbert": scored_examples}
UNUSED = "unused"
TRIPLE = "score of the positive, score of the negative, query, positive, negative, separated by tabs"


@dataclass(frozen=True)
class ScoredIds:
    """Scored pairs in ids. Shapes: L lines. ``query_ids``, ``passage_ids``: distinct Arrow strings. ``queries_L``,
    ``passages_L``: positions in them. ``values_L``: float32, finite.
    """

    query_ids: Any
    queries_L: NDArray[np.integer[Any]]
    passage_ids: Any
    passages_L: NDArray[np.integer[Any]]
    values_L: NDArray[np.float32]


def read(path: Path, format: str, value: str, key: str) -> ScoredIds:
    """Read all pairs of a file.

    ``format``: one of the above, or ``auto``. ``value``: ``score``, or of a run ``rank``: minus the place of a passage
    in the query's ranking. ``key``: the config key of both, for messages.

    Raises:
        ExperimentError: a malformed line, a score that is not finite, an empty or unreadable file, a format that cannot
        be detected or is no run where ranks are asked for.
    """
    layout = detect(path, key) if format == "auto" else format
    if value == "rank" and layout not in RANKED:
        raise ExperimentError(
            f"{key}.value=rank needs a run ({', '.join(RANKED)}), but {path} is read as {layout}: set {key}.value=score"
        )
    if value == "rank" or layout in ("trec", "msmarco"):
        return _of_run(path, layout, value, key)
    if layout == "parquet":
        scored = _of_parquet(path)
    elif layout in BY_ROW:
        scored = _of_rows(BY_ROW[layout](path))
    else:
        scored = _of_text(path, layout)
    if not len(scored.values_L):
        raise ExperimentError(f"{path}: the file of scores is empty")
    return scored


def detect(path: Path, key: str) -> str:
    """Return the format of a file by its first line.

    Raises:
        ExperimentError: it fits no format, or the file is empty.
    """
    with path.open("rb") as file:
        if file.read(len(PARQUET)) == PARQUET:
            return "parquet"
    number, line = _first(path)
    if line.lstrip().startswith("["):
        return "colbert"
    if line.lstrip().startswith("{"):
        _, row = next(lines.json_lines(path))
        return "hard_negatives" if "pos" in row or "neg" in row else "jsonl"
    parts = line.split("\t")
    if len(parts) == len(TRIPLES) and all(map(_is_number, parts[:2])):
        return "hofstaetter"
    layout = "scores" if names_in(_fields(line)) is not None else layout_of(path, number, line, f"{key}.format")
    if layout == TOP1000:
        raise ExperimentError(f"{path}, line {number}: candidates without scores ({CANDIDATES}) teach nothing")
    return layout


def _of_run(path: Path, layout: str, value: str, key: str) -> ScoredIds:
    run = run_formats.read(path, layout, f"{key}.format")
    lengths = np.diff(run.offsets)
    queries_L = np.repeat(np.arange(len(lengths)), lengths)
    within_L = np.arange(len(queries_L)) - np.repeat(run.offsets[:-1], lengths)
    values_L = -(within_L + 1).astype(np.float32) if value == "rank" else np.asarray(run.scores)
    return ScoredIds(run.query_ids, queries_L, run.passage_ids, np.asarray(run.passages), values_L)


def _of_rows(rows: Iterable[Row]) -> ScoredIds:
    """Collect rows of (query id, passage id, score)."""
    iterator = iter(rows)
    queries, passages, values = [], [], [np.empty(0, np.float32)]
    while batch := list(islice(iterator, BATCH)):
        columns = list(zip(*batch, strict=True))
        queries.append(pa.array(columns[0], pa.large_string()))
        passages.append(pa.array(columns[1], pa.large_string()))
        values.append(np.array(columns[2], np.float32))
    return _of_columns(queries, passages, np.concatenate(values))


def _of_columns(queries: Sequence[Any], passages: Sequence[Any], values_L: NDArray[np.float32]) -> ScoredIds:
    """Number the ids of Arrow chunks."""
    (query_ids, queries_L), (passage_ids, passages_L) = _numbered(queries), _numbered(passages)
    return ScoredIds(query_ids, queries_L, passage_ids, passages_L, values_L)


def _numbered(chunks: Sequence[Any]) -> tuple[Any, NDArray[np.integer[Any]]]:
    encoded = pa.chunked_array(chunks, None if chunks else pa.large_string()).dictionary_encode().combine_chunks()
    return encoded.dictionary.cast(pa.large_string()), encoded.indices.to_numpy()


def _of_parquet(path: Path) -> ScoredIds:
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = names_in(file.schema_arrow.names)
        if names is None:
            columns_there = ", ".join(file.schema_arrow.names)
            raise ExperimentError(f"{path}: columns {NAMES} are expected, not {shown(columns_there)[1:-1]}")
        table = file.read(columns=list(names))
    except (pa.ArrowInvalid, OSError) as error:
        raise ExperimentError(f"{path}: cannot be read as parquet ({one_line(str(error))})") from error
    columns = [table.column(name) for name in names]
    for name, column, whole in zip(names, columns, (True, True, False), strict=True):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (pa.types.is_integer(kind) or (text if whole else pa.types.is_floating(kind))):
            raise ExperimentError(f"{path}: the column {name} has {kind}, not {'ids' if whole else 'numbers'}")
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py() + 1
            raise ExperimentError(f"{path}, row {row:,}: {name} is missing")
    with np.errstate(over="ignore"):
        values_L = columns[2].to_numpy().astype(np.float32)
    if not np.isfinite(values_L).all():
        row = int(np.argmin(np.isfinite(values_L))) + 1
        raise ExperimentError(f"{path}, row {row:,}: the score {columns[2][row - 1].as_py()} is not a finite number")
    queries, passages = (column.cast(pa.large_string()).chunks for column in columns[:2])
    return _of_columns(queries, passages, values_L)


def _of_text(path: Path, layout: str) -> ScoredIds:
    """Read a text file of ``scores`` or of Hofstätter's triples."""
    _, first = _first(path)
    names = names_in(_fields(first)) if layout == "scores" else None
    if names is not None:
        roles = dict(zip(names, PAIR, strict=True))
        columns = [roles.get(name, f"{UNUSED} {i}") for i, name in enumerate(_fields(first))]
    else:
        columns = list(PAIR if layout == "scores" else TRIPLES)
    header = int(names is not None)
    scored = _by_column(path, columns, "\t" if "\t" in first else " ", header)
    return scored if scored is not None else _of_rows(_by_line(path, columns, header))


def _by_column(path: Path, columns: Sequence[str], delimiter: str, skip: int) -> ScoredIds | None:
    """Read a well-formed file in columns; return None for any other. ``skip``: lines of names before the first pair."""
    import pyarrow.csv

    used = [name for name in columns if not name.startswith(UNUSED)]
    # What stands between blanks is checked too, as a line may have others within it (a form feed); a tab's is any text.
    unused = [name for name in columns if name not in used and delimiter == " "]
    wanted = {name: pa.float64() if name.startswith("score") else pa.string() for name in (*used, *unused)}
    try:
        table = pyarrow.csv.read_csv(
            str(path),
            pyarrow.csv.ReadOptions(column_names=list(columns), skip_rows=skip),
            pyarrow.csv.ParseOptions(delimiter=delimiter, quote_char=False),
            pyarrow.csv.ConvertOptions(column_types=wanted, include_columns=list(wanted), null_values=[]),
        )
    except (pa.ArrowInvalid, OSError):
        return None  # reading by line reports where
    with np.errstate(over="ignore"):  # too large a score becomes infinite, which is reported
        values = {name: table.column(name).to_numpy().astype(np.float32) for name in used if name.startswith("score")}
    parts = _pairs_of(columns)
    scored = _of_columns(
        [chunk for query, _, _ in parts for chunk in table.column(query).chunks],
        [chunk for _, passage, _ in parts for chunk in table.column(passage).chunks],
        np.concatenate([values[score] for _, _, score in parts]),
    )
    texts = (scored.query_ids, scored.passage_ids, *map(table.column, unused))
    odd = any(pc.any(pc.match_substring_regex(text, ODD)).as_py() for text in texts)
    return None if odd or not np.isfinite(scored.values_L).all() else scored


def _by_line(path: Path, columns: Sequence[str], skip: int) -> Iterator[Row]:
    at = {name: place for place, name in enumerate(columns)}
    used = [place for name, place in at.items() if not name.startswith(UNUSED)]
    expected = TRIPLE if TRIPLES[0] in at else ", ".join(columns)
    for number, line in islice(_content(path), skip, None):
        parts, where = _fields(line), f"{path}, line {number}"
        if len(parts) != len(columns) or not all(parts[place] for place in used):
            raise ExperimentError(f"{where}: {expected} are expected, not {shown(line)}")
        for query, passage, score in _pairs_of(columns):
            check_id(where, parts[at[query]])
            check_id(where, parts[at[passage]])
            yield parts[at[query]], parts[at[passage]], checked_score(where, parts[at[score]])


def _pairs_of(columns: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """Return the columns of each pair of a line: of its query, its passage and its score."""
    if TRIPLES[0] in columns:
        return ("query", "positive", TRIPLES[0]), ("query", "negative", TRIPLES[1])
    return (PAIR,)


def _content(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) without comments."""
    return ((number, line) for number, line in lines.lines(path) if not is_comment(line))


def _first(path: Path) -> tuple[int, str]:
    first = next(_content(path), None)
    if first is None:
        raise ExperimentError(f"{path}: the file of scores is empty")
    return first


def _fields(line: str) -> list[str]:
    return [field.strip() for field in line.split("\t")] if "\t" in line else fields(line)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
