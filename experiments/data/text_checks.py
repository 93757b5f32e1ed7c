"""Check passages and queries before they are kept: Unicode texts, and unique ids that run files can hold."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.common.errors import ExperimentError
from experiments.data.ids import BLANKS, UNUSABLE, escaped

SURROGATE = re.compile(r"[\ud800-\udfff]")  # half of a pair: JSON can write it, UTF-8 cannot


def checked_batch(ids: list[str], texts: list[str], schema: pa.Schema, kind: str, name: str) -> pa.RecordBatch:
    """Return rows of the data set ``name`` as a record batch. ``kind``: passage or query.

    Raises:
        ExperimentError: text that is not Unicode, or an id that no file with fields can hold.
    """
    try:
        batch = pa.record_batch([ids, texts], schema=schema)
    except UnicodeEncodeError as error:
        broken = next(row_id for row_id, text in zip(ids, texts, strict=True) if SURROGATE.search(row_id + text))
        raise ExperimentError(
            f"data set {name!r}: the {kind} {broken!r} has half of a character in it (a lone surrogate such as "
            f"\\ud83d): write \\ufffd in its place"
        ) from error
    unusable = pc.match_substring_regex(batch.column("id"), UNUSABLE)
    if pc.any(unusable).as_py():
        first = batch.column("id").filter(unusable)[0].as_py()
        raise ExperimentError(
            f"data set {name!r}: the {kind} id {first!r} is empty, begins or ends with a blank, or holds a tab, a line "
            f"end or another control character, which no qrels or run file can hold: give it another id"
        )
    return batch


def check_ids(column: pa.ChunkedArray, kind: str, name: str) -> None:
    """Check that all ids of a data set are different, in run files too.

    Raises:
        ExperimentError: two are the same.
    """
    if pc.count_distinct(column).as_py() != len(column):
        counts = pc.value_counts(column)
        double = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
        shown = ", ".join(repr(row_id) for row_id in double[:3])
        raise ExperimentError(
            f"data set {name!r} repeats {len(double):,} {kind} ids, such as {shown}: make them unique"
        )
    blank = column.filter(pc.match_substring_regex(column, BLANKS)).to_pylist()
    clash = pc.index_in(pa.array([escaped(row_id) for row_id in blank], pa.large_string()), value_set=column)
    if clash.null_count < len(clash):
        first = blank[int(np.flatnonzero(clash.is_valid().to_numpy(zero_copy_only=False))[0])]
        raise ExperimentError(
            f"data set {name!r}: the {kind} id {first!r} is written {escaped(first)!r} in run files, which is another "
            f"{kind}'s id: give one of the two another id"
        )
