"""Collect the page's data by query: the measure of every job, and its top passages where jobs differ most.

The data is plain and small: each distinct value and passage is stored once and referred to by its index.

Shapes: J jobs after the first stage itself; Q queries.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.analysis.findings import Findings
from experiments.analysis.load import JobResult
from experiments.analysis.settings import ResultGroup
from experiments.evaluation.measure_names import min_grade_in
from experiments.job_files.answers import Answer, Passage, answers_path, read_answers
from experiments.job_files.per_query import FloatArray
from experiments.reporting.names import group_heading, job_name, proper_name

QUERIES = 400  # with texts, per first stage
TEXT_BYTES = 8_000_000  # of all texts
CHARACTERS = 280  # of a passage
DIGITS = 4  # of a measure


class Passages:
    """The page's passages, each stored once. ``bytes``: size of their texts in UTF-8."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.bytes = 0
        self._places: dict[tuple[str, str], int] = {}

    def place(self, data: str, passage: Passage) -> int:
        """Return a passage's index in ``rows``, adding it if it is new."""
        key = (data, passage.id)
        if key not in self._places:
            text = cut(passage.text)
            self._places[key] = len(self.rows)
            self.rows.append((passage.id, text))
            self.bytes += _bytes(text)
        return self._places[key]


def queries_payload(findings: Findings) -> dict[str, Any]:
    """Return ``stages`` (see ``_stage``) and ``passages`` (ids and texts), with about ``TEXT_BYTES`` of texts at most.

    Raises:
        ExperimentError: a job's file of answers is malformed; the message names the line.
    """
    passages = Passages()
    share = TEXT_BYTES // max(1, len(findings.groups))
    stages = [_stage(findings, block, passages, share) for block in findings.groups]
    return {"measure": findings.measure, "stages": stages, "passages": passages.rows}


def as_json(value: Any) -> str:
    """Return JSON that is safe in a script element: no ``<``, ``>``, ``&``, line separators or lone surrogates."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def cut(text: str) -> str:
    """Shorten a text to ``CHARACTERS``."""
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1].rstrip() + "…"


def _stage(findings: Findings, block: ResultGroup, passages: Passages, share: int) -> dict[str, Any]:
    """Return one group's data.

    ``jobs``: name and label, the first stage first. ``values[j][q]``: an index into ``levels``. ``start``: the jobs
    shown at first, reference and best. ``first``: the first stage. ``texts``: index, text and ``_ranked`` by query.
    """
    labels = [[job.name, job_name(cell, job, block.axes)] for cell in block.settings for job in cell.jobs]
    jobs = [job for cell in block.settings for job in cell.jobs]
    values_JQ = np.vstack([block.first_stage_Q, *(cell.values_SQ for cell in block.settings)])
    levels, places = np.unique(values_JQ.round(DIGITS), return_inverse=True)
    results = [result for result in findings.results if result.group is block]
    names = ["first_stage", *(job.name for job in jobs)]
    indices = [names.index(result.setting.jobs[0].name) for result in results]
    best = indices[int(np.argmax([result.mean for result in results]))]
    references = (index for index, result in zip(indices, results, strict=True) if result.comparison is None)
    reference = next((index for index in references if index != best), 0)
    return {
        "key": f"{block.data}/{block.first_stage}",
        "title": group_heading(block),
        "first": proper_name(block.reference),
        "jobs": [["first_stage", f"{proper_name(block.reference)} itself"], *labels],
        "start": [reference, best],
        "levels": levels.tolist(),
        "values": places.reshape(values_JQ.shape).tolist(),
        "ids": list(block.query_ids),
        "texts": _texts(block, jobs, by_spread(values_JQ), passages, share),
    }


def by_spread(values_JQ: FloatArray) -> list[int]:
    """Order queries by how far the jobs differ, most first: by range, then by standard deviation."""
    range_Q, sd_Q = np.ptp(values_JQ, axis=0), values_JQ.std(axis=0)
    return [int(query) for query in np.lexsort((-sd_Q.round(9), -range_Q.round(9)))]


def _texts(
    block: ResultGroup, jobs: list[JobResult], order: list[int], passages: Passages, share: int
) -> list[list[Any]]:
    """Return the first queries' texts and passages, up to ``share`` bytes; null for a job without answers."""
    wanted = {block.query_ids[query]: query for query in order[:QUERIES]}
    answers = [_answers(job, block.first_stage, wanted) for job in jobs]
    grades = [min_grade_in(job.config) for job in jobs]
    before, spent = passages.bytes, 0
    kept = []
    for name, query in wanted.items():
        by_job = [job_answers.get(name) for job_answers in answers]
        text = next((answer.text for answer in by_job if answer is not None), None)
        if text is None:
            continue
        if passages.bytes - before + spent >= share:
            break
        spent += _bytes(text)
        ranked = (_ranked(answer, grade, block.data, passages) for answer, grade in zip(by_job, grades, strict=True))
        kept.append([query, text, [None, *ranked]])
    return kept


def _answers(job: JobResult, first_stage: str, wanted: Mapping[str, int]) -> dict[str, Answer]:
    return {
        answer.query: answer
        for path in (answers_path(part.folder, first_stage) for part in job.parts)
        if path.is_file()
        for answer in read_answers(path)
        if answer.query in wanted
    }


def _ranked(answer: Answer | None, min_grade: int, data: str, passages: Passages) -> list[Any] | None:
    """Return index, rank in the job, rank in the first stage and relevance of the relevant and the top passage."""
    if answer is None:
        return None
    return [
        None
        if passage is None
        else [passages.place(data, passage), passage.rank, passage.before, int(passage.grade >= min_grade)]
        for passage in (answer.relevant, answer.top[0] if answer.top else None)
    ]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
