"""Every cell as measured, a row each, as a table that can be sorted."""

from dataclasses import dataclass

from experiments.analysis.findings import Findings, Result
from experiments.analysis.settings import Block
from experiments.common.text import count, interval, p_value, plural, proper_name, signed
from experiments.evaluation.comparison import QUERIES
from experiments.reporting.page.naming import axes_of, heading_of, phrase_of, reference_of, value_of

Order = float | str | None


@dataclass(frozen=True)
class Entry:
    """A text, and what rows are sorted by; None stands last whichever way they are sorted."""

    text: str
    order: Order = None


@dataclass(frozen=True)
class Column:
    """``words``: set flush left and sorted as words."""

    name: str
    words: bool = False


@dataclass(frozen=True)
class Row:
    """``own``: whether it is a first stage itself."""

    entries: tuple[Entry, ...]
    own: bool = False


@dataclass(frozen=True)
class Listing:
    """A sortable table. ``caption``: what its rows have in common and how its columns are meant, sentence by
    sentence.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: tuple[str, ...]


def listing_of(findings: Findings) -> Listing:
    """All results of a study, block by block, each under the first stage itself."""
    labels = _labels(findings)
    references = {reference_of(findings, block) for block in findings.blocks}
    named = sorted(references)[0] if len(references) == 1 else None
    rows: list[Row] = []
    for block in findings.blocks:
        rows.append(_own(block, labels, named is None))
        against = [] if named is not None else [_words(reference_of(findings, block))]
        rows += [_row(result, labels, against) for result in findings.results if result.block is block]
    figures = [findings.measure, "sd", "seeds", f"vs {named}" if named is not None else "difference"]
    figures += ["95 % interval", "p (Holm)", "win / tie / loss", "detectable", "pairs", "seconds"]
    columns = [Column(heading_of(label), label != "negatives") for label in labels]
    columns += [] if named is not None else [Column("against", True)]
    return Listing((*columns, *map(Column, figures)), tuple(rows), tuple(_caption(findings, labels)))


def _labels(findings: Findings) -> list[str]:
    """The labels that have a column: those that tell two rows apart."""
    blocks = findings.blocks
    data = ["data"] if len({block.data for block in blocks}) > 1 else []
    stages = ["first_stage"] if len({block.first_stage for block in blocks}) > 1 else []
    return [*data, *stages, "loss", "negatives", *axes_of(blocks)]


def _row(result: Result, labels: list[str], against: list[Entry]) -> Row:
    cell, comparison = result.cell, result.comparison
    placed = {**cell.labels, "first_stage": result.block.first_stage}
    figures = [
        _number(cell.mean, f"{cell.mean:.3f}"),
        _number(cell.sd, "-" if cell.sd is None else f"{cell.sd:.3f}"),
        _number(len(cell.jobs), str(len(cell.jobs))),
    ]
    if comparison is None:
        figures += [Entry("reference"), *[Entry("-")] * 4]
    else:
        mark = " ‡" if comparison.over == QUERIES else ""
        wins = f"{comparison.wins} / {comparison.ties} / {comparison.losses}"
        figures += [
            _number(comparison.mean, signed(comparison.mean)),
            _number(comparison.low, f"{interval(comparison.low, comparison.high)}{mark}"),
            _number(result.p_holm, p_value(result.p_holm)),
            _number(comparison.wins - comparison.losses, wins),
            _number(comparison.detectable, f"{comparison.detectable:.3f}"),
        ]
    figures += [_number(cell.compute(key), count(cell.compute(key))) for key in ("pairs", "seconds")]
    return Row((*(_label(label, placed.get(label)) for label in labels), *against, *figures))


def _own(block: Block, labels: list[str], against: bool) -> Row:
    """The row of a first stage itself, or of the retriever that a search is compared with."""
    placed = {"data": block.data, "first_stage": block.first_stage}
    texts = [
        _words(f"{proper_name(block.reference)} alone") if label == "loss" else _label(label, placed.get(label), "")
        for label in labels
    ]
    mean = _number(block.first_stage_mean, f"{block.first_stage_mean:.3f}")
    return Row((*texts, *[Entry("")] * against, mean, *[Entry("")] * 9), own=True)


def _label(label: str, value: object, none: str = "-") -> Entry:
    if value is None:
        return Entry(none)
    text = value_of(label, value)
    return _number(float(value), text) if isinstance(value, int | float) else _words(text)


def _words(text: str) -> Entry:
    return Entry(text, text.lower())


def _number(value: float | None, text: str) -> Entry:
    return Entry(text, None if value is None else float(value))


def _caption(findings: Findings, labels: list[str]) -> list[str]:
    if not findings.blocks:
        return []
    said = []
    shared = {name: value for block in findings.blocks for name, value in block.constants.items()}
    if constants := [phrase_of(name, value) for name, value in shared.items() if name not in labels]:
        said.append(f"All rows: {', '.join(constants)}.")
    said.append(
        "sd: standard deviation over seeds of the mean over queries. Intervals and p speak about other queries and "
        "other seeds; p is corrected for all comparisons of the table (Holm). Wins, ties and losses count queries, "
        "seeds averaged. Detectable: the smallest difference that these queries and seeds find with 80 % power. Pairs: "
        "seen in training; seconds: wall clock of a job."
    )
    if any(one.comparison is not None and one.comparison.over == QUERIES for one in findings.results):
        said.append("‡ One seed: the interval speaks about other queries only.")
    ties = sum(block.ties for block in findings.blocks)
    tied = f"{plural(ties, 'tied score', 'tied scores')} in all jobs, broken by first-stage rank."
    said.append(tied if ties else "No tied scores in any job.")
    return said
