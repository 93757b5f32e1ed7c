"""Add two folders to Hydra's search path: ``sweeps/`` of a checkout, as a group, and the user's own.

``sweeps/`` is next to ``conf/``, where Hydra does not look; a symbolic link would not work on Windows.
"""

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin

from experiments.config.files import INSTALLED, SWEEPS, user_folder

GROUP = "sweeps"


class SweepsSource(ConfigSource):
    """Serves one folder as the config group ``sweeps``."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider=provider, path=path)
        self._folder = FileConfigSource(provider, f"file://{self.path}")

    @staticmethod
    def scheme() -> str:
        return "sweeps"

    def load_config(self, config_path: str) -> ConfigResult:
        return self._folder.load_config(below(config_path))

    def available(self) -> bool:
        return self._folder.available()

    def is_group(self, config_path: str) -> bool:
        return config_path == "" or (_is_of_group(config_path) and self._folder.is_group(below(config_path)))

    def is_config(self, config_path: str) -> bool:
        return _is_of_group(config_path) and self._folder.is_config(below(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "":
            return [GROUP] if results_filter in (None, ObjectType.GROUP) else []
        return self._folder.list(below(config_path), results_filter)


class FoldersOnSearchPath(SearchPathPlugin):
    """Adds the sweeps and the user's folder to Hydra's search path, after ``conf/``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if not INSTALLED:  # in an installed package they are below conf
            search_path.append(provider="sweeps", path=f"{SweepsSource.scheme()}://{SWEEPS}")
        folder = user_folder()
        if folder is not None:
            search_path.append(provider="user", path=f"file://{folder}")


def register_folders() -> None:
    """Register the sweeps and the user's folder with Hydra."""
    for plugin in (SweepsSource, FoldersOnSearchPath):
        Plugins.instance().register(plugin)


def _is_of_group(config_path: str) -> bool:
    return config_path.partition("/")[0] == GROUP


def below(config_path: str) -> str:
    """Return the path of a config of the group within its folder."""
    return config_path.removeprefix(GROUP).removeprefix("/")
