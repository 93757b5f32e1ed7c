"""Measure what re-ranking fewer passages gives, from the scores at the largest depth. Shapes: N lines of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection
from experiments.data.run import Run, write_trec
from experiments.evaluation.depths import rerank_some, within
from experiments.evaluation.measures import evaluate
from experiments.job_files.files import run_path
from experiments.job_files.per_query import PerQuery, per_query_path, write_per_query

Relevance = Mapping[int, Mapping[int, int]]
Log = Callable[[int, PerQuery], None]  # of a depth's values by query


def check_reached(run: Run, depths: Sequence[int]) -> None:
    """Raise ExperimentError if a depth ranks no passage that the depth before it does not rank."""
    longest = int(np.max(run.passages.lengths, initial=0))
    for before, depth in pairwise(depths):
        if longest <= before:
            raise ExperimentError(
                f"first_stage_depth={_written(depths)}: the first stage {run.name} has at most {longest:,} passages "
                f"for a test query, so depth {depth} is the same as {before}: leave {depth} out"
            )


def measure_depths(
    name: str,
    candidates: Run,
    scores: NDArray[np.float32],
    depths: Sequence[int],
    *,
    relevance: Relevance,
    measures: Sequence[str],
    collection: Collection,
    folder: Path,
    always_N: NDArray[np.bool_] | None = None,
    seconds: float | None = None,
    milliseconds: Mapping[int, float] | None = None,
    windows_N: NDArray[np.int64] | None = None,
    header: Callable[[int], str] = lambda depth: "",
    log: Log | None = None,
) -> dict[str, dict[str, float]]:
    """Return depth -> measures, ``pairs`` and ``ms_per_query`` of a first stage's candidates, re-ranked to each depth.

    Passages below a depth keep the first stage's order below the re-ranked ones. Runs and values by query are written
    for all depths but the largest, whose run and values are the job's.

    ``name``: the first stage. ``scores``: one for each line (N,). ``relevance``: query row -> passage row -> grade.
    ``always_N``: lines that are re-ranked at each depth (an oracle's answers). ``seconds``: that scoring all lines
    took; the milliseconds of a query are its share by pairs, or by windows. ``milliseconds``: of a query by depth,
    where they were timed. Neither leaves them out. ``windows_N``: windows in which each line was scored, where it was;
    they are counted as ``windows``. ``header``: depth -> header of its run file. ``log``: takes the values by query.
    """
    results = {}
    for depth in depths:
        reranked_N = within(candidates, depth) if always_N is None else within(candidates, depth) | always_N
        made = rerank_some(candidates, scores, reranked_N)
        measured = evaluate(made, relevance, measures)
        pairs = int(reranked_N.sum())
        results[str(depth)] = {**measured.mean, "pairs": pairs}
        share = pairs / max(1, len(scores))
        if windows_N is not None:
            results[str(depth)]["windows"] = windows = int(windows_N[reranked_N].sum())
            share = windows / max(1, int(windows_N.sum()))
        if seconds is not None:
            results[str(depth)]["ms_per_query"] = 1000 * seconds * share / len(measured.queries)
        if milliseconds is not None:
            results[str(depth)]["ms_per_query"] = milliseconds[depth]
        if depth < depths[-1]:
            table = PerQuery(tuple(collection.queries.ids(measured.queries)), measured.per_query, {})
            write_per_query(per_query_path(folder, name, depth), table)
            write_trec(replace(made, name=folder.name), collection, run_path(folder, name, depth), header(depth))
            if log is not None:
                log(depth, table)
    return results


def answers_among(candidates: Run, relevant: Mapping[int, NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Return whether each line (N,) of a run is a relevant passage. ``relevant``: query row -> passage rows."""
    none = np.empty(0, np.int64)
    marks = [
        np.isin(candidates.passages[at], relevant.get(query, none))
        for at, query in enumerate(candidates.queries.tolist())
    ]
    return np.concatenate([np.empty(0, bool), *marks])


def _written(depths: Sequence[int]) -> str:
    return f"[{','.join(map(str, depths))}]"
