"""From YAML to objects: the composed config as typed and checked settings, and the parts that it names.

Which modules know Hydra stands in CONTRIBUTING.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationToMissingValueError,
    OmegaConfBaseException,
)

from experiments.common.errors import ExperimentError
from experiments.common.model_files import resolved
from experiments.common.text import first_line
from experiments.config import Experiment
from experiments.config.files import CONF
from experiments.config.identity import job_name, with_their_candidates
from experiments.config.keys import declared, no_such_key, undeclared
from experiments.config.measures import check_measures, check_selection
from experiments.config.negatives import sources_of
from experiments.config.overrides import readable
from experiments.config.part_checks import check_parts, no_key_of_loss, settings_of_part
from experiments.config.retriever_roles import check_first_stages, check_positives
from experiments.config.sweeps_group import register_sweeps
from experiments.jobs.inherited import check_inherited, inherited_by, overrides_in


def register(name_of: Callable[[Mapping[str, Any]], str] = job_name) -> None:
    """Make the sweeps, the schema and the resolvers known to Hydra; in every process that imports an entry point.

    ``name_of``: of a resolved config, the name of the folder that the entry point writes into.
    """
    register_sweeps()
    ConfigStore.instance().store(name="experiment_schema", node=schema())
    OmegaConf.register_new_resolver("job_name", lambda *, _root_: name_of(plain(_root_)), replace=True)
    OmegaConf.register_new_resolver("by_scale", _by_scale, replace=True)
    OmegaConf.register_new_resolver("last_part", lambda path: Path(resolved(str(path))).name, replace=True)


def schema() -> DictConfig:
    """Return the schema of a config, in which parts with a ``_target_`` take further arguments."""
    node: DictConfig = OmegaConf.structured(Experiment)
    for part in ("trainer", "optimizer", "scheduler", "callbacks"):
        OmegaConf.set_struct(node[part], False)
    return node


def _by_scale(values: Mapping[str, Any], *, _root_: DictConfig) -> Any:
    """``${by_scale:{mini:...,paper:...}}``: the value for the scale in force."""
    if _root_.scale not in values:
        raise ValueError(f"by_scale says nothing of scale={_root_.scale}, only of {', '.join(map(str, values))}")
    return values[_root_.scale]


def settings_of(config: DictConfig) -> DictConfig:
    """The experiment's part of a composed config, without Hydra's own."""
    settings = config.copy()
    OmegaConf.set_struct(settings, False)
    settings.pop("hydra", None)
    return settings


def plain(config: DictConfig) -> dict[str, Any]:
    """The experiment's part of a composed config, resolved, as plain dictionaries and lists; without the table, which
    is the study's and not a job's.
    """
    resolved = OmegaConf.to_container(settings_of(config), resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items() if key != "table"}


def check(config: DictConfig, *, parts: bool = True) -> Experiment:
    """The config as typed objects, every range checked and every part's settings compared with what the part takes.

    ``parts``: False leaves the parts unseen, which is much faster, since it imports none of them.

    Raises:
        ExperimentError: the message names the key, and what is allowed.
    """
    settings = settings_of(config)
    missing = sorted(str(key) for key in OmegaConf.missing_keys(settings))
    if missing:
        raise ExperimentError(f"{', '.join(missing)} must be given: add {missing[0]}=... to the command")
    for key in undeclared(_unresolved(settings), Experiment):
        raise ExperimentError(_no_such_key(settings, key))
    experiment = OmegaConf.to_object(settings)
    assert isinstance(experiment, Experiment)
    if not parts:
        return experiment
    check_parts(experiment)
    check_first_stages(experiment)
    check_positives(experiment)
    check_measures(experiment)
    return experiment


def _unresolved(settings: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(settings, resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _no_such_key(settings: DictConfig, key: str) -> str:
    """The message for a key of a config that no dataclass declares."""
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(settings, parent) if parent else settings
    unknown = set(undeclared(_unresolved(settings), Experiment))
    siblings = [name for name in map(str, node) if (f"{parent}.{name}" if parent else name) not in unknown]
    return no_such_key(key, siblings, declared(Experiment))


def restored(config: Mapping[str, Any]) -> Experiment:
    """The experiment of a resolved config that a job has kept (``config.yaml``), its parts unseen.

    Raises:
        ExperimentError: it is not a config of this version.
    """
    try:
        settings = OmegaConf.merge(schema(), dict(config))
        assert isinstance(settings, DictConfig)
        return check(settings, parts=False)
    except OmegaConfBaseException as error:
        raise ExperimentError(explain(error)) from error


def source_of(experiment: Experiment) -> Any:
    """The data source of an experiment alone."""
    try:
        return instantiate(settings_of_part("data.source", experiment.data.source))
    except HydraException as error:
        raise ExperimentError(explain(error)) from error


def explain(error: BaseException) -> str:
    """One clear message: which key or option is wrong, and which there are."""
    cause = error.__cause__
    if isinstance(error, InstantiationException) and isinstance(cause, ExperimentError):
        return str(cause)
    if isinstance(error, InterpolationToMissingValueError):
        key = first_line(error.msg or error).rpartition(" ")[2]
        return f"{key} must be given: add {key}=... to the command"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        parent = cause.parent_node
        siblings = sorted(str(key) for key in parent) if isinstance(parent, DictConfig) else []
        if cause.full_key.startswith("loss.") and isinstance(parent, DictConfig) and "fn" in parent:
            return no_key_of_loss(cause.full_key.removeprefix("loss."), parent)
        return no_such_key(cause.full_key, siblings, declared(Experiment))
    said = str(error).split("\nConfig search path:")[0].strip()
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return f"{cause.full_key}: {first_line(cause.msg or cause)}"
    return said.removeprefix("In 'config': ").replace("\n\t", " ").replace("\n\n", ". ")


def roles_of(experiment: Experiment) -> set[str]:
    """The retrievers that negatives are drawn from or whose runs are re-ranked."""
    return {*sources_of(experiment.negatives.source), *experiment.first_stage}


def make_parts(experiment: Experiment, trained: Callable[[str, str], Path] | None = None) -> Any:
    """The data source, the retrievers that a role names and those whose candidates they take, and the loss.

    ``trained``: trains what a retriever without a checkpoint names as its ``job`` (the key of the job, the job) and
    returns the folder of the model; None leaves such a retriever without one, which is enough to check it.
    """
    from experiments.jobs.prepare import Parts

    made: dict[str, Any] = {}

    def retriever(name: str, waiting: tuple[str, ...] = ()) -> Any:
        if name in waiting:
            circle = " -> ".join((*waiting, name))
            raise ExperimentError(f"retrievers.{name}.candidates_from goes round in a circle: {circle}")
        if name not in made:
            settings = settings_of_part(f"retrievers.{name}", experiment.retrievers[name])
            if settings.get("candidates_from"):
                settings["candidates_from"] = retriever(settings["candidates_from"], (*waiting, name))
            job = settings.pop("job", None)
            if job and trained is not None and settings.get("checkpoint") is None:
                settings["checkpoint"] = str(trained(f"retrievers.{name}.job", job))
            made[name] = instantiate(settings, name=name)
        return made[name]

    for name in sorted(roles_of(experiment)):
        retriever(name)
    return Parts(
        source=instantiate(settings_of_part("data.source", experiment.data.source)),
        retrievers=made,
        loss=instantiate(settings_of_part("loss.fn", experiment.loss["fn"])),
        make=partial(instantiate, _partial_=True, _convert_="all"),
    )


@contextmanager
def _hydra_of_its_own() -> Iterator[None]:
    """A Hydra for composing another config while one is at work: there can be only one at a time."""
    at_work, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = at_work


def jobs_before(experiment: Experiment) -> dict[str, str]:
    """The jobs that train models which an experiment needs and has no checkpoint of: the key that names it -> the job,
    as the overrides of ``python -m experiments.train``.
    """
    found = {}
    for name in sorted(with_their_candidates(roles_of(experiment), experiment.retrievers)):
        retriever = experiment.retrievers[name]
        if retriever.get("job") and retriever.get("checkpoint") is None:
            found[f"retrievers.{name}.job"] = str(retriever["job"])
    dual = experiment.model.dual_encoder
    wanted = dual.infuses or dual.learns_from_teacher
    if experiment.model.kind == "dual_encoder" and wanted and dual.job and dual.cross_encoder is None:
        found["model.dual_encoder.job"] = dual.job
    if experiment.learns_from_teacher and experiment.loss["teacher"] is None:
        found["loss.job"] = str(experiment.loss["job"])
    return found


def job_before(key: str, job: str, parent: Experiment, chain: Sequence[str] = ()) -> tuple[Experiment, dict[str, Any]]:
    """The experiment that a job is which another one needs done first, on that one's data, run where and as that one
    is. ``key``: what names the job in the config; ``chain``: the jobs that wait for it.

    Raises:
        ExperimentError: the job does not compose, needs itself, or trains another kind of model than is needed.
    """
    if job in chain:
        raise ExperimentError(f"{key}: this job would need itself done first")
    try:
        with _hydra_of_its_own():
            config = compose("config", overrides=[f"scale={parent.scale}", *map(readable, overrides_in(job))])
        inherited = inherited_by(key, job, parent)
        check_inherited(job, config, inherited)
        own = settings_of(config)
        for part in inherited:  # what it says of these may be incomplete
            own.pop(part)
        settings = OmegaConf.merge(schema(), plain(own) | inherited)
        assert isinstance(settings, DictConfig)
        experiment = check(settings)
        check_selection(experiment)
    except (ExperimentError, HydraException, OmegaConfBaseException) as error:
        # What is missing is missing in the job, which is one of the command's overrides.
        raise ExperimentError(f"{key}: {explain(error).replace(' to the command', ' to this job')}") from error
    kind = experiment.model.kind
    if not key.startswith("retrievers.") and kind != "cross_encoder":
        raise ExperimentError(f"{key}: it must train a cross-encoder, but this job has model={kind}")
    return experiment, plain(settings)
