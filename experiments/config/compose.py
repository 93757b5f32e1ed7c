"""Turn a composed config into typed and checked settings, and make the parts that it names.

CONTRIBUTING.md lists the modules that know Hydra.
"""

import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.common.errors import ExperimentError, shown
from experiments.common.model_files import resolved
from experiments.config import Experiment
from experiments.config.explanations import explain as explain
from experiments.config.explanations import explained as explained
from experiments.config.identity import job_name
from experiments.config.keys import declared, groups_of_one_value, no_such_key, undeclared
from experiments.config.kinds import check_kind
from experiments.config.loader import copy_of, hydra_of_conf
from experiments.config.measures import check_measures
from experiments.config.model import Model, class_of
from experiments.config.overrides import readable
from experiments.config.part_checks import check_parts, settings_of_part
from experiments.config.retriever_roles import check_first_stages, check_positives, check_whole_collection
from experiments.config.sweeps_group import register_folders
from experiments.config.test_sets import TestSet
from experiments.config.values import check_values


def register(name_of: Callable[[Mapping[str, Any]], str] = job_name) -> None:
    """Register the sweeps, the types of all keys and the resolvers with Hydra.

    ``name_of``: returns the name of the entry point's output folder for a resolved config.
    """
    register_folders()
    _store("experiment_schema", Experiment, schema)
    for name, model in models().items():  # a file of conf/model names it in its defaults
        _store(f"{name}_config", model, partial(OmegaConf.structured, model))
    OmegaConf.register_new_resolver("job_name", lambda *, _root_: name_of(plain(_root_)), replace=True)
    OmegaConf.register_new_resolver("by_scale", _by_scale, replace=True)
    OmegaConf.register_new_resolver("largest", _largest, replace=True)
    OmegaConf.register_new_resolver("last_part", lambda path: Path(resolved(str(path))).name, replace=True)


def _store(name: str, of: type, node: Callable[[], DictConfig]) -> None:
    """Register a type under a name, unless it is: what is registered anew is merged anew (``CachedLoader``)."""
    store = ConfigStore.instance()
    registered, entry = _stored.get(name, (None, None))
    if registered is not of or store.repo.get(f"{name}.yaml") is not entry:
        store.store(name=name, node=node())
        _stored[name] = (of, store.repo[f"{name}.yaml"])


_stored: dict[str, tuple[type, ConfigNode]] = {}


def schema() -> DictConfig:
    """Return the schema of a config, in which parts with a ``_target_`` take further arguments."""
    node: DictConfig = OmegaConf.structured(Experiment)
    for part in (node.trainer, node.optimizer, node.scheduler, node.callbacks, node.run_files.fields):
        OmegaConf.set_struct(part, False)
    return node


def models() -> dict[str, type[Model]]:
    """Return the config class of each model of ``experiments/models``, by the name of its folder."""
    package = importlib.import_module("experiments.models")
    classes = {}
    for folder in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{folder.name}.config"
        if folder.ispkg and importlib.util.find_spec(name) is not None:
            module = importlib.import_module(name)
            own = (value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == name)
            classes[folder.name] = next(value for value in own if issubclass(value, Model))
    return classes


def _by_scale(values: Mapping[str, Any], *, _root_: DictConfig) -> Any:
    """Resolve ``${by_scale:{mini:...,paper:...}}`` to the value for the current scale."""
    if _root_.scale not in values:
        raise ValueError(f"by_scale says nothing of scale={_root_.scale}, only of {', '.join(map(str, values))}")
    return values[_root_.scale]


def _largest(depth: Any) -> Any:
    """Resolve ``${largest:${first_stage_depth}}`` to the largest of several depths; other values stay."""
    depths = list(depth) if isinstance(depth, ListConfig) else []
    return max(depths) if depths and all(isinstance(each, int) for each in depths) else depth


def settings_of(config: DictConfig) -> DictConfig:
    """Return a composed config without Hydra's part, with a typed model.

    Raises:
        ExperimentError: there is no such model, or the model has no such key.
    """
    settings = copy_of(config)
    OmegaConf.set_struct(settings, False)
    settings.pop("hydra", None)
    unresolved = _unresolved(settings)
    given = unresolved.get("model")
    chosen = given if isinstance(given, Mapping) else {}
    model = class_of(chosen.get("_target_"))
    for key in undeclared(chosen, model, "model."):
        raise ExperimentError(no_such_key(key, [field.name for field in fields(model)], declared(Experiment)))
    settings["model"] = _typed_as(model, chosen)
    for name, test_set in (unresolved.get("tests") or {}).items():
        settings["tests"][name] = _typed_test_set(f"tests.{name}.", test_set)
    return settings


def _typed_test_set(prefix: str, given: Any) -> DictConfig:
    """Return a test set with the types of its keys. Raises ExperimentError for a key that does not exist."""
    given = given if isinstance(given, Mapping) else {}
    for key in undeclared(given, TestSet, prefix):
        raise ExperimentError(no_such_key(key, [field.name for field in fields(TestSet)], declared(Experiment)))
    return _typed_as(TestSet, given)


def _typed_as(schema: type, given: Mapping[str, Any]) -> DictConfig:
    """Return settings with the types of a dataclass. What is given as ``???`` stays so; a merge takes the default."""
    settings = OmegaConf.merge(OmegaConf.structured(schema), given)
    assert isinstance(settings, DictConfig)
    for key in _missing(given):
        OmegaConf.update(settings, key, "???")
    return settings


def _missing(given: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the dotted key of each ``???``."""
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from _missing(value, f"{path}{key}.")
        elif value == "???":
            yield f"{path}{key}"


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a composed config, resolved, as plain dictionaries; without Hydra's part and the study's table."""
    resolved = OmegaConf.to_container(settings_of(config), resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items() if key != "table"}


def check(config: DictConfig, *, parts: bool = True) -> Experiment:
    """Return the config as typed objects, with all ranges and all parts checked.

    ``parts``: False skips the checks of the parts, which import them and are slow.

    Raises:
        ExperimentError: the message names the key and the allowed values.
    """
    return check_settings(settings_of(config), parts=parts)


def check_settings(settings: DictConfig, *, parts: bool = True) -> Experiment:
    """Check the settings of a config (``settings_of``) as ``check`` does."""
    unresolved = _unresolved(settings)
    if missing := sorted(str(key) for key in OmegaConf.missing_keys(settings)) if _lacks_a_value(unresolved) else []:
        raise ExperimentError(f"{', '.join(missing)} must be given: add {missing[0]}=... to the command")
    for key in undeclared(unresolved, Experiment):
        raise ExperimentError(_no_such_key(settings, key))
    for key in groups_of_one_value(unresolved, Experiment):
        if (value := OmegaConf.select(settings, key)) is not None and not isinstance(value, DictConfig):
            raise ExperimentError(
                f"{key} is {shown(value)}, and it is a group of settings: set one of them, {key}.KEY=..."
            )
    check_values(unresolved)
    experiment = OmegaConf.to_object(settings)
    assert isinstance(experiment, Experiment)
    return check_experiment(experiment) if parts else experiment


def check_experiment(experiment: Experiment) -> Experiment:
    """Check the parts of typed settings, and return them. Raises ExperimentError as ``check``."""
    check_parts(experiment)
    check_first_stages(experiment)
    check_positives(experiment)
    check_whole_collection(experiment)
    check_measures(experiment)
    return experiment


def _unresolved(settings: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(settings, resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _lacks_a_value(unresolved: Any) -> bool:
    """Return whether any value is ``???``; Hydra's own search resolves all values, which takes longer than all else."""
    if isinstance(unresolved, dict | list):
        return any(map(_lacks_a_value, unresolved.values() if isinstance(unresolved, dict) else unresolved))
    return bool(unresolved == "???")


def _no_such_key(settings: DictConfig, key: str) -> str:
    """Return the message for a key that no dataclass declares."""
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(settings, parent) if parent else settings
    unknown = set(undeclared(_unresolved(settings), Experiment))
    siblings = [name for name in map(str, node) if (f"{parent}.{name}" if parent else name) not in unknown]
    return no_such_key(key, siblings, declared(Experiment))


def restored(config: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a resolved config, such as a job's ``config.yaml``, without checks of its parts.

    Raises:
        ExperimentError: the config is not of this version.
    """
    try:
        with explained():
            return check(typed(config), parts=False)
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
        raise ExperimentError(f"it is not the config of a job of this version ({error})") from error


def typed(config: Mapping[str, Any]) -> DictConfig:
    """Return a resolved config with the types of all keys."""
    settings = OmegaConf.merge(schema(), dict(config))
    assert isinstance(settings, DictConfig)
    return settings


def composed(*overrides: str) -> DictConfig:
    """Compose the config of ``python -m experiments.train <overrides>``."""
    with hydra_of_conf():
        return compose("config", overrides=list(overrides))


def composed_alone(overrides: Sequence[str]) -> DictConfig:
    """Compose another config inside a Hydra run: only one Hydra can be active at a time."""
    active, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        return composed(*map(readable, overrides))
    finally:
        GlobalHydra.instance().hydra = active


def source_of(experiment: Experiment) -> Any:
    """Make the data source of an experiment."""
    with explained():
        return make("data.source", settings_of_part("data.source", experiment.data.source))


def make(key: str, settings: Mapping[str, Any], **given: Any) -> Any:
    """Call the ``_target_`` of a part with its settings and the given arguments. ``key``: of the part in the config.

    Raises:
        ExperimentError: the target is no part of the kind that the key needs.
    """
    _check_target(key, settings)
    return instantiate(dict(settings), **given)


def partly_made(key: str, settings: Mapping[str, Any]) -> "partial[Any]":
    """Return the ``_target_`` of a part with its settings filled in. Raises as ``make``."""
    _check_target(key, settings)
    made: partial[Any] = instantiate(dict(settings), _partial_=True, _convert_="all")
    return made


def _check_target(key: str, settings: Mapping[str, Any]) -> None:
    try:
        part = get_object(str(settings["_target_"]))
    except (InstantiationException, ImportError, AttributeError, ValueError) as error:
        raise ExperimentError(f"{key}._target_: {' '.join(str(error).split())}") from error
    check_kind(key, settings, part)
