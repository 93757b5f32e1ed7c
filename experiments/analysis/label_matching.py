"""Find settings by their labels, as tables and claims name them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.analysis.settings import SettingResult
from experiments.common.errors import ExperimentError


def matching(
    settings: Sequence[SettingResult], where: Mapping[str, Any], stand_ins: Mapping[str, str]
) -> list[SettingResult]:
    """Return the settings whose labels have the values of ``where``; see ``matches``.

    Raises:
        ExperimentError: a label that none of the settings has.
    """
    if settings and (unknown := unknown_labels(settings, where)):
        known = ", ".join(sorted({label for setting in settings for label in setting.labels}))
        raise ExperimentError(f"no finished cell has the label {unknown[0]!r}: the labels are {known}")
    return [setting for setting in settings if matches(setting.labels, where, stand_ins)]


def unknown_labels(settings: Sequence[SettingResult], where: Mapping[str, Any]) -> list[str]:
    """Return the labels of ``where``, other than null ones, that no setting has."""
    wanted = [label for label, value in where.items() if value is not None]
    return [label for label in wanted if not any(label in setting.labels for setting in settings)]


def matches(labels: Mapping[str, Any], where: Mapping[str, Any], stand_ins: Mapping[str, str]) -> bool:
    """Whether labels have the values of ``where``; a list in it names alternatives.

    ``stand_ins``: measured name -> published name, alone or within a mixture (``bm25+colbert``). Numbers equal their
    text.
    """
    return all(
        any(
            _same(labels.get(label), value, stand_ins)
            for value in (wanted if isinstance(wanted, list | tuple) else [wanted])
        )
        for label, wanted in where.items()
    )


def number_of(value: Any) -> float | None:
    """Return a label's number, or the one a text such as ``2,000 groups`` begins with; None for others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    found = re.match(r"-?\d[\d,]*(\.\d+)?(e-?\d+)?(?![\w.])", str(value))
    return float(found.group().replace(",", "")) if found else None


def _same(measured: Any, wanted: Any, stand_ins: Mapping[str, str]) -> bool:
    if isinstance(measured, int | float) and not isinstance(measured, bool):
        number = number_of(wanted)
        return number is not None and float(measured) == number
    text = str(measured)
    published = "+".join(str(stand_ins.get(part, part)) for part in text.split("+"))
    return str(wanted) in (text, published)
