"""What the page knows of single queries: every job's measure, and what it ranked first where that tells jobs apart.

Plain JSON-able values, made to be small: distinct values, passages and queries are stored once and referred to by
their place in a list.

Shapes: J jobs and, before them, the first stage itself; Q queries.
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

QUERIES = 400  # with texts, a first stage
TEXT_BYTES = 8_000_000  # of all texts
CHARACTERS = 280  # of a passage
DIGITS = 4  # of a measure


class Passages:
    """The passages of a page, each stored once. ``bytes``: of their texts, in UTF-8."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.bytes = 0
        self._places: dict[tuple[str, str], int] = {}

    def place(self, data: str, passage: Passage) -> int:
        """Where a passage of a data set stands in ``rows``, where it is put if it is new."""
        key = (data, passage.id)
        if key not in self._places:
            text = cut(passage.text)
            self._places[key] = len(self.rows)
            self.rows.append((passage.id, text))
            self.bytes += _bytes(text)
        return self._places[key]


def queries_payload(findings: Findings) -> dict[str, Any]:
    """``stages``: one a block, see ``_stage``; ``passages``: ids and texts. Texts of all stages together take little
    more than ``TEXT_BYTES``.

    Raises:
        ExperimentError: a job's file of answers is malformed; the message names the line.
    """
    passages = Passages()
    share = TEXT_BYTES // max(1, len(findings.groups))
    stages = [_stage(findings, block, passages, share) for block in findings.groups]
    return {"measure": findings.measure, "stages": stages, "passages": passages.rows}


def as_json(value: Any) -> str:
    """JSON that may stand inside of a script element, whatever the texts: no ``<``, ``>`` or ``&``, no line separators
    that JavaScript knows, no lone surrogates.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def cut(text: str) -> str:
    """At most ``CHARACTERS`` of a text."""
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1].rstrip() + "…"


def _stage(findings: Findings, block: ResultGroup, passages: Passages, share: int) -> dict[str, Any]:
    """``jobs``: name and label, the first stage itself first. ``values[j][q]``: a place in ``levels``. ``start``: the
    two jobs shown first. ``first``: what the first stage is called. ``texts``: for some queries their place, text and
    what each job ranked, see ``_ranked``.
    """
    jobs = [(job, job_name(cell, job, block.axes)) for cell in block.settings for job in cell.jobs]
    values_JQ = np.vstack([block.first_stage_Q, *(cell.values_SQ for cell in block.settings)])
    levels, places = np.unique(values_JQ.round(DIGITS), return_inverse=True)
    own = f"{proper_name(block.reference)} itself"
    return {
        "key": f"{block.data}/{block.first_stage}",
        "title": group_heading(block),
        "first": proper_name(block.reference),
        "jobs": [["first_stage", own], *([job.name, label] for job, label in jobs)],
        "start": _start(findings, block, [job for job, _ in jobs]),
        "levels": levels.tolist(),
        "values": places.reshape(values_JQ.shape).tolist(),
        "ids": list(block.query_ids),
        "texts": _texts(block, [job for job, _ in jobs], by_spread(values_JQ), passages, share),
    }


def by_spread(values_JQ: FloatArray) -> list[int]:
    """Queries by how far the jobs lie apart, furthest first: by their range, then by their standard deviation."""
    range_Q, sd_Q = np.ptp(values_JQ, axis=0), values_JQ.std(axis=0)
    return [int(query) for query in np.lexsort((-sd_Q.round(9), -range_Q.round(9)))]


def _start(findings: Findings, block: ResultGroup, jobs: list[JobResult]) -> list[int]:
    """The reference, or the first stage where that is none of the cells, and the best cell; by their first jobs."""
    results = [result for result in findings.results if result.group is block]
    best = max(results, key=lambda result: result.mean)
    places = {job.name: place for place, job in enumerate(jobs, start=1)}
    own = [places[result.setting.jobs[0].name] for result in results if result.comparison is None]
    reference = own[0] if own and own[0] != places[best.setting.jobs[0].name] else 0
    return [reference, places[best.setting.jobs[0].name]]


def _texts(
    block: ResultGroup, jobs: list[JobResult], order: list[int], passages: Passages, share: int
) -> list[list[Any]]:
    """The texts of the first queries in an order, as far as they fit. A job without answers has null for them."""
    wanted = {block.query_ids[query]: query for query in order[:QUERIES]}
    answers = [_answers(job, block.first_stage, wanted) for job in jobs]
    before, spent = passages.bytes, 0
    kept = []
    for name, query in wanted.items():
        of_jobs = [found.get(name) for found in answers]
        known = [answer for answer in of_jobs if answer is not None]
        if not known:
            continue
        if passages.bytes - before + spent >= share:
            break
        text = known[0].text
        spent += _bytes(text)
        grades = [min_grade_in(job.config) for job in jobs]
        ranked = (_ranked(*one, block.data, passages) for one in zip(of_jobs, grades, strict=True))
        kept.append([query, text, [None, *ranked]])
    return kept


def _answers(job: JobResult, first_stage: str, wanted: Mapping[str, int]) -> dict[str, Answer]:
    paths = [answers_path(part.folder, first_stage) for part in job.parts]
    return {
        answer.query: answer
        for path in paths
        if path.is_file()
        for answer in read_answers(path)
        if answer.query in wanted
    }


def _ranked(answer: Answer | None, min_grade: int, data: str, passages: Passages) -> list[Any] | None:
    """The relevant passage and the one ranked first, each as its place in the list of passages, its rank in the job
    and in the first stage (null for none), and 1 if it is relevant; null where there is no such passage.
    """
    if answer is None:
        return None
    shown = (answer.relevant, answer.top[0] if answer.top else None)
    return [
        None
        if passage is None
        else [passages.place(data, passage), passage.rank, passage.before, int(passage.grade >= min_grade)]
        for passage in shown
    ]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
