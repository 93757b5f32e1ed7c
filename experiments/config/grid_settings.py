"""Read the settings of a grid's jobs from a few composed ones: jobs that differ in plain values alone share one.

To compose and resolve a job takes a tenth of a second, to set a value in a composed one and resolve it a few
milliseconds. Whatever is no plain value of a key that is there (another file of a group, a list, a new key, an
interpolation) makes a job that is composed on its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.compose import check_settings, settings_of
from experiments.config.overrides import parsed

Place = tuple[str | int, ...]  # of a value: keys and positions, from the top
RETYPED = ("model", "tests")  # get their types after all values are set (``settings_of``)
NOT_READ = (ExperimentError, HydraException, OmegaConfBaseException, KeyError, IndexError, TypeError, ValueError)


@dataclass(frozen=True)
class JobSettings:
    """The settings of a job. ``plain``: resolved. ``experiment``: typed, its parts not checked yet."""

    plain: dict[str, Any]
    experiment: Experiment


class GridSettings:
    """Reads the settings of the jobs of one grid.

    ``compose``: composes a job from its overrides. ``sets_a_value``: whether an override chooses no file.
    """

    def __init__(
        self, compose: Callable[[Sequence[str]], DictConfig], sets_a_value: Callable[[Override], bool]
    ) -> None:
        self._compose, self._sets_a_value = compose, sets_a_value
        self._composed: dict[tuple[str, ...], _ComposedJob | None] = {}
        self._values: dict[str, bool] = {}

    def read(self, overrides: Sequence[str]) -> JobSettings | None:
        """Return the settings of a job; None if it has to be composed on its own, which says what is wrong with it."""
        given = [parsed(override) for override in overrides]
        values = {override.key_or_group: override.value() for override in given if self._is_value(override)}
        # Equal but for the values of the same keys, set in the same order.
        kind = tuple(key if (key := each.key_or_group) in values else str(each.input_line) for each in given)
        try:
            if kind not in self._composed:
                self._composed[kind] = None
                self._composed[kind] = _ComposedJob(self._compose(overrides))
            composed = self._composed[kind]
            return None if composed is None else composed.with_values(values)
        except NOT_READ:
            return None

    def _is_value(self, override: Override) -> bool:
        line = str(override.input_line)
        if line not in self._values:
            self._values[line] = _is_plain(override) and self._sets_a_value(override)
        return self._values[line]


def _is_plain(override: Override) -> bool:
    """Return whether an override sets a key that is there to a number, a truth value or a text of its own."""
    if override.type != OverrideType.CHANGE or override.package is not None or override.is_sweep_override():
        return False
    keys, value = override.key_or_group.split("."), override.value()
    text = isinstance(value, str) and ("${" in value or value == "???")
    return (
        isinstance(value, str | int | float | bool) and not text and keys[0] not in RETYPED and keys[-1] != "_target_"
    )


class _ComposedJob:
    """A composed job whose values can be set anew."""

    def __init__(self, config: DictConfig) -> None:
        self._settings = settings_of(config)
        check_settings(self._settings, parts=False)
        unresolved = OmegaConf.to_container(self._settings, resolve=False)
        self._plain = OmegaConf.to_container(self._settings, resolve=True)
        self._values: dict[str, Any] = {}
        self._interpolated = list(_interpolations(unresolved))
        self._types = _types_in(self._settings)
        for place in self._interpolated:
            if _has_types(_below(self._types, place)):
                raise TypeError(f"{place}: the type of a whole part depends on other values")

    def with_values(self, values: Mapping[str, Any]) -> JobSettings:
        """Return the job's settings with other values."""
        changed: list[Place] = [tuple(key.split(".")) for key in values]
        for place, value in zip(changed, values.values(), strict=True):
            if isinstance(_at(self._plain, place), dict | list):
                raise TypeError(f"{place}: a whole part is no plain value")
            key = ".".join(map(str, place))
            if key not in self._values or repr(self._values[key]) != repr(value):
                self._values.pop(key, None)
                OmegaConf.update(self._settings, key, value, merge=True)
                self._values[key] = value
        plain = _copied(self._plain)
        for place in (*changed, *self._interpolated):
            *above, last = place
            _at(plain, above)[last] = self._value(place)
        experiment = _typed(plain, self._types)
        assert isinstance(experiment, Experiment)
        plain.pop("table", None)
        return JobSettings(plain, experiment)

    def _value(self, place: Place) -> Any:
        value = _at(self._settings, place)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _at(values: Any, place: Sequence[str | int]) -> Any:
    for key in place:
        values = values[key]
    return values


def _copied(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _copied(value) for key, value in values.items()}
    return [_copied(value) for value in values] if isinstance(values, list) else values


def _interpolations(values: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the places of all values that depend on others."""
    inner: Any = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    if isinstance(values, str) and "${" in values:
        yield place
    for key, value in inner:
        yield from _interpolations(value, (*place, key))


@dataclass(frozen=True)
class _Typed:
    """The class of a part, None for a plain mapping, and what is below each of its keys."""

    made: type | None
    inner: Mapping[Any, "_Typed | None"]


def _types_in(settings: Any) -> _Typed | None:
    """Return the classes of all parts of typed settings; None for what is no mapping."""
    if isinstance(settings, ListConfig) and any(_has_types(_types_in(each)) for each in settings):
        raise TypeError("the types of a list's parts are not kept")
    if not isinstance(settings, DictConfig):
        return None
    made = OmegaConf.get_type(settings)
    inner = {key: None if OmegaConf.is_missing(settings, key) else _types_in(settings[key]) for key in settings}
    return _Typed(None if made in (dict, None) else made, inner)


def _below(types: _Typed | None, place: Place) -> _Typed | None:
    for key in place:
        types = None if types is None else types.inner.get(key)
    return types


def _has_types(types: _Typed | None) -> bool:
    return types is not None and (types.made is not None or any(map(_has_types, types.inner.values())))


def _typed(values: Any, types: _Typed | None) -> Any:
    """Return resolved settings as the objects that ``OmegaConf.to_object`` makes."""
    if types is None or not isinstance(values, dict):
        return _copied(values)
    inner = {key: _typed(value, types.inner.get(key)) for key, value in values.items()}
    if types.made is None:
        return inner
    declared = {field.name for field in fields(types.made) if field.init}
    made = types.made(**{key: value for key, value in inner.items() if key in declared})
    for key in [key for key in inner if key not in declared]:  # an argument of a part that was added
        setattr(made, key, inner[key])
    return made
