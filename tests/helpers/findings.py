"""A study with texts and a published table, written by hand and read back as findings."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.findings import Findings, findings_of
from experiments.job_files.answers import Answer, Passage, answers_path

BCE, LCE = "bce-n7-bm25-s1-bbbbbbbb", "lce-n7-bm25-s1-aaaaaaaa"
# LCE minus BCE: +0.5, -0.75, +0.75, 0
REACHED = {
    BCE: {"q1": 0.5, "q2": 1.0, "q3": 0.25, "q4": 0.0},
    LCE: {"q1": 1.0, "q2": 0.25, "q3": 1.0, "q4": 0.0},
}
TABLE: dict[str, Any] = {
    "title": "Which loss?",
    "source": "A paper, Table 3",
    "data": "apidocs",
    "tolerance": 0.05,
    "mark": "primary",
    "published": [
        {"loss": "bce", "negatives": 7, "value": 0.45},
        {"loss": "lce", "negatives": 7, "value": 0.5, "mark": "second-hand"},
        {"loss": "lce", "negatives": 31, "value": 0.6},
    ],
    "claims": [
        {
            "says": "LCE beats BCE",
            "kind": "beats",
            "better": {"loss": "lce"},
            "worse": {"loss": "bce"},
            "published": "Section 4",
        }
    ],
}


def answer(query: str, job: str, *, text: str | None = None) -> Answer:
    """A job's answer: a passage of its own first, and the relevant one, which the first stage had third, second."""
    relevant = Passage(f"{query}-relevant", f"The answer to {query}.", rank=2, before=3, grade=1)
    first = Passage(f"{query}-{job}", f"What {job} prefers for {query}.", rank=1, before=9, grade=0)
    return Answer(query, text or f"Question {query}?", (first, relevant), relevant)


def write_answers_file(folder: Path, answers: Sequence[Answer], first_stage: str = "bm25") -> Path:
    """Write a job's answers as a job does."""
    lines = [json.dumps(asdict(one), ensure_ascii=False) for one in answers]
    path = answers_path(folder, first_stage)
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", compresslevel=1, mtime=0))
    return path


def write_study(
    folder: Path,
    table: Mapping[str, Any] | None = TABLE,
    texts: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Path:
    """Write a study of two jobs with answers, and its table. ``texts``: of queries, where they matter. ``labels``: of
    both jobs, beside the loss."""
    for name, values in REACHED.items():
        loss = name.partition("-")[0]
        job = write_job(folder, name, values, labels={"loss": loss, **(labels or {})})
        write_answers_file(job, [answer(query, loss, text=(texts or {}).get(query)) for query in FIRST_STAGE])
        note_origin(job)
    if table is not None:
        (folder / "table.yaml").write_text(yaml.safe_dump(dict(table)), encoding="utf-8")
    return folder


def note_origin(job: Path, git: str = "0123456789ab") -> None:
    """Note in a job's status where it comes from, as a job does when it starts."""
    status = json.loads((job / "status.json").read_text(encoding="utf-8"))
    status |= {"git": git, "inputs": {"collection": "c0ffee"}, "started": "2026-01-02T03:04:05+00:00"}
    status |= {"updated": "2026-01-02T03:14:05+00:00"}
    (job / "status.json").write_text(json.dumps(status), encoding="utf-8")


def small_findings(folder: Path, **settings: Any) -> Findings:
    """The findings of that study; ``settings`` as for ``write_study``."""
    return findings_of(write_study(folder, **settings))
