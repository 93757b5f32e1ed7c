"""Fill the placeholders of a text with a study's numbers, so that no number in it is typed.

A setting is named by its labels, as in the columns of a table or the claims of a sweep; they must name exactly one.
``none`` is a missing value or a label of that name, quotes hold spaces together (``"budget=8,192 pairs"``).

    {{ mean loss=lce negatives=7 }}                    its mean over queries and seeds: 0.765
    {{ sd loss=lce negatives=7 }}                      over seeds, of the mean over queries
    {{ seeds loss=lce negatives=7 }}                   1, 2, 3
    {{ pairs loss=lce negatives=7 }}                   any cost of a job: also seconds, train_seconds, groups, tokens
    {{ difference loss=lce negatives=7 }}              to the study's reference: +0.339 [+0.286, +0.392]
    {{ difference loss=lce minus loss=bce }}           of two settings; labels after ``minus`` replace those before
    {{ published loss=lce negatives=7 }}               what the study's table quotes for the setting
    {{ first_stage bm25 }}                             the mean of a first stage itself
    {{ verdict 2 }}, {{ found 2 }}                     of the second claim: supported; its estimate in words
    {{ jobs }}, {{ cost }}                             finished jobs; the time of all: 2 h 05 min
    {{ quote 0.412 from Pradeep 2022, Table 3 }}       a published number and its source: 0.412 (Pradeep 2022, Table 3)

``study=NAME`` takes another study, ``layer=2`` a probed layer, ``measure=nDCG@10`` another measure
(whose ``difference`` is to the first stage).
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.analysis.findings import Findings
from experiments.analysis.label_matching import matches, matching
from experiments.analysis.layers import layer_results
from experiments.analysis.settings import ResultGroup, SettingResult, group_results
from experiments.common.errors import ExperimentError
from experiments.common.text import count, decimals, difference, duration
from experiments.evaluation.comparison import Comparison, compare
from experiments.job_files.checked_results import read_status

PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
# What may hold a decimal that is no result: an address, a setting in code such as `optimizer.lr=0.001`.
NO_RESULT = re.compile(r"https?://\S+|`[^`\n]*=[^`\n]*`")
DECIMAL = re.compile(r"(?<![\w.])\d*\.\d+(?!\d|\.\d)")  # no version, such as 2.13.0
QUOTE = re.compile(r"(\S*\d\S*)\s+from\s+(\S.*)", re.DOTALL)
SHOWN = 6  # settings that an error lists


@dataclass(frozen=True)
class _Named:
    """A setting and the group of its first stage (None for a probed layer)."""

    setting: SettingResult
    group: ResultGroup | None


def fill(text: str, studies: Mapping[str, Findings], own: str, where: str) -> str:
    """Return a text with its placeholders filled. ``own``: name of its study; ``where``: its file, for messages.

    Raises:
        ExperimentError: a placeholder cannot be filled; the message names file, line and placeholder.
    """

    def value(found: re.Match[str]) -> str:
        try:
            return _value(found.group(1), studies, own)
        except ExperimentError as error:
            line = text.count("\n", 0, found.start()) + 1
            raise ExperimentError(f"{where}, line {line}, {' '.join(found.group().split())}: {error}") from error

    filled = PLACEHOLDER.sub(value, text)
    for mark in ("{{", "}}"):
        if mark in filled:
            raise ExperimentError(f"{where}: a {mark} without its other half, or within another one")
    return filled


def typed_decimals(text: str) -> list[tuple[int, str]]:
    """Return line and text of each decimal number outside of placeholders, of settings in code and of addresses."""
    bare = text
    for pattern in (PLACEHOLDER, NO_RESULT):
        bare = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), bare)
    return [(bare.count("\n", 0, found.start()) + 1, found.group()) for found in DECIMAL.finditer(bare)]


def _value(inner: str, studies: Mapping[str, Findings], own: str) -> str:
    if not inner.strip():
        raise ExperimentError("it is empty; write what to fill in, such as mean loss=lce negatives=7")
    name, *words = inner.split(maxsplit=1)
    rest = words[0].strip() if words else ""
    if name == "quote":
        quoted = QUOTE.fullmatch(rest)
        if quoted is None:
            raise ExperimentError("write quote NUMBER from SOURCE")
        return f"{quoted[1]} ({' '.join(quoted[2].split())})"
    try:
        split = shlex.split(rest)
    except ValueError as error:
        raise ExperimentError(f"{error}") from error
    study = _option("study", split) or own
    if study not in studies:
        raise ExperimentError(f"there is no study {study!r}: there are {', '.join(studies)}")
    findings, measure = studies[study], _option("measure", split)
    if name == "jobs":
        return str(sum(job.finished for job in findings.jobs))
    if name == "cost":
        return duration(seconds_of(findings))
    if name in ("verdict", "found"):
        return _of_claim(name, split, findings)
    if name == "first_stage":
        return _of_first_stage(split, findings, measure)
    if name == "difference":
        return _of_difference(split, findings, measure)
    labels = _labels(split)
    if name == "published":
        return _of_published(labels, findings)
    setting = _named(labels, findings, measure).setting
    if name == "mean":
        return decimals(setting.mean)
    if name == "sd":
        return decimals(setting.sd)
    if name == "seeds":
        return ", ".join(map(str, setting.seeds))
    if (cost := setting.compute(name)) is None:
        raise ExperimentError(f"there is no value {name!r}: not in the metrics of each job of this setting either")
    return count(cost)


def seconds_of(findings: Findings) -> float:
    """Return the wall-clock seconds of all finished jobs of a study, over all their attempts."""
    parts = [part for job in findings.jobs if job.finished for part in job.parts]
    return sum(float(read_status(part.folder).get("seconds") or 0) for part in parts)


def _option(name: str, words: list[str]) -> str | None:
    """Take ``name=value`` out of the words."""
    found = [word for word in words if word.startswith(f"{name}=")]
    for word in found:
        words.remove(word)
    return found[-1].partition("=")[2] if found else None


def _labels(words: Sequence[str]) -> dict[str, Any]:
    if unreadable := [word for word in words if "=" not in word]:
        raise ExperimentError(f"{unreadable[0]!r} is no label=value")
    pairs = (word.split("=", 1) for word in words)
    return {label: (None, "none") if value == "none" else value for label, value in pairs}


def _named(labels: Mapping[str, Any], findings: Findings, measure: str | None) -> _Named:
    """Return the one setting that has some labels."""
    groups = findings.groups if measure is None else group_results(findings.jobs, measure)
    named = [_Named(setting, group) for group in groups for setting in group.settings]
    if "layer" in labels:
        named = [_Named(setting, None) for setting in layer_results(groups)]
    stand_ins = findings.table.stand_ins if findings.table is not None else {}
    settings = [entry.setting for entry in named]
    found = [id(setting) for setting in matching(settings, labels, stand_ins)]
    if len(found) == 1:
        return next(entry for entry in named if id(entry.setting) == found[0])
    candidates = [setting for setting in settings if id(setting) in found] or settings
    varying = _varying(candidates)
    listed = [" ".join(f"{label}={setting.labels.get(label)}" for label in varying) for setting in candidates[:SHOWN]]
    more = f"; and {len(candidates) - SHOWN} more" if len(candidates) > SHOWN else ""
    said = f"{len(found)} settings have these labels: add some of" if found else "no setting has them; there are"
    raise ExperimentError(f"{said} {'; '.join(listed)}{more}")


def _varying(settings: Sequence[SettingResult]) -> list[str]:
    names = dict.fromkeys(name for setting in settings for name in setting.labels)
    varying = [name for name in names if len({str(setting.labels.get(name)) for setting in settings}) > 1]
    return varying or list(names)


def _of_difference(words: list[str], findings: Findings, measure: str | None) -> str:
    if "minus" in words:
        place = words.index("minus")
        labels = _labels(words[:place])
        first = _named(labels, findings, measure).setting
        second = _named({**labels, **_labels(words[place + 1 :])}, findings, measure).setting
        if first is second:
            raise ExperimentError("both sides are the same setting")
        if first.query_ids != second.query_ids:
            raise ExperimentError("the two settings were measured on different queries")
        return _difference(compare(first.values_SQ, second.values_SQ, first.seeds, second.seeds))
    named = _named(_labels(words), findings, measure)
    for result in findings.results:
        if result.setting is named.setting:
            if result.comparison is None:
                raise ExperimentError("this setting is the study's reference")
            return _difference(result.comparison)
    if named.group is None:
        raise ExperimentError("a probed layer has no reference: write minus and another layer")
    first_stage_1Q = named.group.first_stage_Q[np.newaxis]
    return _difference(compare(named.setting.values_SQ, first_stage_1Q, named.setting.seeds, None))


def _difference(versus: Comparison) -> str:
    return difference(versus.mean, versus.low, versus.high)


def _of_first_stage(words: Sequence[str], findings: Findings, measure: str | None) -> str:
    groups = findings.groups if measure is None else group_results(findings.jobs, measure)
    data = [word.partition("=")[2] for word in words if word.startswith("data=")]
    names = [word for word in words if not word.startswith("data=")]
    found = [group for group in groups if [group.first_stage] == names and data in ([], [group.data])]
    if len(found) != 1:
        known = ", ".join(f"{group.first_stage} data={group.data}" for group in groups)
        raise ExperimentError(f"{len(found)} first stages have this name: there are {known}")
    return decimals(found[0].first_stage_mean)


def _of_published(labels: Mapping[str, Any], findings: Findings) -> str:
    cells = findings.table.published if findings.table is not None else ()
    found = [cell for cell in cells if matches(cell.where, labels, {})]
    if len(found) != 1:
        raise ExperimentError(f"{len(found)} published values have these labels, of {len(cells)} in the study's table")
    if found[0].value is None:
        raise ExperimentError("the table has no value for it, since nobody has read one")
    return decimals(found[0].value)


def _of_claim(name: str, words: Sequence[str], findings: Findings) -> str:
    numbers = [str(number) for number in range(1, len(findings.verdicts) + 1)]
    if len(words) != 1 or words[0] not in numbers:
        raise ExperimentError(f"name one of the study's claims by its number: 1 to {len(numbers)}")
    verdict = findings.verdicts[int(words[0]) - 1]
    return verdict.state if name == "verdict" else verdict.needs
