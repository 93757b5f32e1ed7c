"""List the jobs of a multirun before it starts, by Hydra's own sweeper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.compose import check, check_experiment, explain, explained, plain
from experiments.config.grid_settings import GridSettings, JobSettings
from experiments.config.loader import CachedLoader, hydra_of_conf
from experiments.config.overrides import parsed
from experiments.evaluation.measure_names import resolve


@dataclass(frozen=True)
class Row:
    """One job of a grid.

    ``number``: from 1. ``varying``: its overrides that differ between jobs, joined by spaces. ``overrides``: all.
    """

    number: int
    varying: str
    overrides: tuple[str, ...]
    _compose: Callable[[], DictConfig] = field(repr=False)
    _read: JobSettings | None = field(repr=False)

    @property
    def composed_alone(self) -> bool:
        """Whether its settings could not be read together with those of other jobs."""
        return self._read is None

    @cached_property
    def config(self) -> DictConfig:
        """The composed config; takes a tenth of a second."""
        return self._compose()

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The config, resolved: see ``compose.plain``. Not to be changed. Raises ExperimentError if it cannot be."""
        with explained():
            return plain(self.config) if self._read is None else self._read.plain

    def experiment(self, *, parts: bool = True) -> Experiment:
        """Return the config as typed objects; see ``compose.check``."""
        with explained():
            if self._read is None:
                return check(self.config, parts=parts)
            return check_experiment(self._read.experiment) if parts else self._read.experiment

    @property
    def where(self) -> str:
        """The name of the job in messages."""
        return _where(self.number, self.varying)


@dataclass(frozen=True)
class Grid:
    """A multirun. ``config``: composed for the whole multirun, Hydra's part included."""

    config: DictConfig
    rows: tuple[Row, ...]


def compose_grid(overrides: Sequence[str]) -> Grid:
    """Compose the multirun of ``python -m experiments.train -m <overrides>`` without checks.

    Raises:
        ExperimentError: it does not compose, or its sweeper chooses the jobs during the run.
    """
    try:
        with hydra_of_conf() as hydra:
            config = hydra.compose_config("config", list(overrides), run_mode=RunMode.MULTIRUN)
            rows = rows_of(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise ExperimentError(explain(error)) from error
    if not rows:
        sweeper = config.hydra.sweeper._target_
        raise ExperimentError(
            f"{sweeper} chooses its jobs as it goes, so they cannot be listed: start it with "
            f"python -m experiments.train -m"
        )
    return Grid(config, tuple(rows))


def rows_of(config: DictConfig) -> list[Row]:
    """Return the jobs of a multirun; none for a sweeper that chooses them during the run.

    Raises:
        ExperimentError: a job does not compose; the message names it.
    """
    grid = _split(config)
    loader = CachedLoader(GlobalHydra.instance().config_loader().get_search_path())
    shared = set.intersection(*map(set, grid)) if len(grid) > 1 else set()
    settings = GridSettings(partial(loader.load_sweep_config, config), loader.sets_a_value)
    rows = []
    for number, overrides in enumerate(grid, 1):
        varying = " ".join(override for override in overrides if override not in shared)
        try:
            composed = partial(loader.load_sweep_config, config, overrides)
            rows.append(Row(number, varying, tuple(overrides), composed, settings.read(overrides)))
            if rows[-1].composed_alone:
                rows[-1].config  # noqa: B018  # raises the error of one that does not compose
        except (HydraException, OmegaConfBaseException) as error:
            raise ExperimentError(_where(number, varying) + explain(error)) from error
    return rows


def axes_of(sweep: str, scale: str) -> tuple[dict[str, list[str]], str]:
    """Return the grid of a sweep at a scale: each of its overrides -> its values; and its first measure."""
    with hydra_of_conf():
        config = compose("config", overrides=[f"+sweeps={sweep}", f"scale={scale}"], return_hydra_config=True)
    given = [f"{key}={value}" for key, value in config.hydra.sweeper.params.items()]
    axes = {}
    for override in map(parsed, given):
        swept = override.is_sweep_override()
        values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
        axes[override.get_key_element()] = [str(value) for value in values]
    return axes, resolve(list(config.measures), config.data.min_grade)[0]


def _where(number: int, varying: str) -> str:
    return f"job {number} ({varying}): "


def _split(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job."""
    if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
        return []
    params = config.hydra.sweeper.params or {}
    arguments = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    overrides = [parsed(argument) for argument in arguments]
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [list(job) for job in jobs]
