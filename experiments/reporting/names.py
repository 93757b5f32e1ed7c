"""Names of retrievers, labels, settings and jobs in tables, figures and pages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.analysis.findings import Findings
from experiments.analysis.load import JobResult
from experiments.analysis.settings import ResultGroup, SettingResult
from experiments.common.text import plural, value_or_dash
from experiments.config.negatives import sources_of
from experiments.evaluation.measure_names import WHOLE_COLLECTION

PROPER_NAMES = {
    "bm25": "BM25", "bm25_tuned": "tuned BM25", "bm25_unstemmed": "BM25 without stemming", "colbert": "ColBERT",
    "tct_colbert": "TCT-ColBERT", "run_file": "run file", "indri": "Indri", "hdct": "HDCT",
}  # fmt: skip
POOLINGS = {
    "mean": "mean",
    "mean_first": "mean, 1st copy",
    "mean_second": "mean, 2nd copy",
    "mean_all": "mean of all",
    "cls": "[CLS]",
}
RETRIEVED = frozenset({"first_stage", "source"})  # labels whose values name retrievers
THIS_SEED = "queries, this seed only"  # what an interval is over where there is one
HEADINGS = {"negatives": "n", "first_stage": "first stage", "trained_on": "trained on"}


def proper_name(retriever: str) -> str:
    """Return the display name of a retriever: ``BM25`` for ``bm25``; unknown names stay."""
    return PROPER_NAMES.get(retriever, retriever)


def source_name(source: str) -> str:
    """Return the display name of a source of negatives: ``BM25 + ColBERT`` for ``bm25+colbert``."""
    return " + ".join(proper_name(name) for name in sources_of(source))


def label_heading(label: str) -> str:
    """Return the column heading of a label: ``n`` for ``negatives``."""
    return HEADINGS.get(label, label)


def value_name(label: str, value: object) -> str:
    """Return the cell text of a label's value: ``BM25`` for the source ``bm25``."""
    return source_name(str(value)) if label in RETRIEVED and value is not None else value_or_dash(value)


def phrase(label: str, value: Any) -> str:
    """Name a label and its value outside of a table: ``lce``, ``n = 7``, ``source BM25``."""
    if value is None:
        return ""
    if label == "loss":
        return str(value)
    if label == "negatives":
        return f"n = {value:g}" if isinstance(value, int | float) else f"n = {value}"
    if label == "pooling":
        return POOLINGS.get(str(value), str(value))
    if label == "first_stage":
        return candidates_name(str(value))
    return f"{label.rpartition('.')[2].replace('_', ' ')} {value_name(label, value)}".strip()


def candidates_name(candidates: str) -> str:
    """Name the ranked candidates: ``BM25 re-ranked`` or ``whole collection searched``."""
    return "whole collection searched" if candidates == WHOLE_COLLECTION else f"{proper_name(candidates)} re-ranked"


def group_heading(group: ResultGroup) -> str:
    """Return the title of a group: ``BM25 re-ranked, apidocs``."""
    name = candidates_name(group.first_stage)
    return f"{name[0].upper() if group.first_stage == WHOLE_COLLECTION else name[0]}{name[1:]}, {group.data}"


def measured_queries(group: ResultGroup) -> str:
    """Return the number of measured queries with the name of their split, such as ``300 test queries``."""
    split = group.data.rpartition("/")[2]  # a label such as apidocs/dev: see ``experiments.jobs.prepare.data_label``
    kind = split if split in ("train", "dev") else "test"
    return plural(len(group.query_ids), f"{kind} query", f"{kind} queries")


def setting_name(labels: Mapping[str, Any], axes: Sequence[str]) -> str:
    """Name a setting by its loss, number of negatives and the labels ``axes``."""
    return ", ".join(filter(None, (phrase(label, labels.get(label)) for label in ("loss", "negatives", *axes))))


def job_name(setting: SettingResult, job: JobResult, axes: Sequence[str]) -> str:
    """Name a job by its setting and seed: ``lce, n = 3, seed 1``."""
    return f"{setting_name(setting.labels, axes)}, seed {value_or_dash(job.seed)}"


def axes_of(groups: Iterable[ResultGroup]) -> list[str]:
    """Return the labels, other than loss and number of negatives, in which settings differ."""
    return list(dict.fromkeys(axis for group in groups for axis in group.axes))


def reference_name(findings: Findings, group: ResultGroup) -> str:
    """Name the reference that the settings of a group are compared with."""
    return proper_name(findings.reference[group.data, group.first_stage])
