"""Find the config files: ``conf/`` and ``sweeps/`` of a checkout or an installed package, and the user's own folder.

The user's folder (``--config-dir my_conf``) has the layout of ``conf/``, with ``my_conf/sweeps`` for sweeps. An
environment variable names it, so that every process of a launch finds it.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from experiments.common.errors import ExperimentError

PACKAGE = Path(__file__).parents[1]
INSTALLED = (PACKAGE / "conf").is_dir()  # a wheel carries both folders
CONF = PACKAGE / "conf" if INSTALLED else PACKAGE.parent / "conf"
SWEEPS = CONF / "sweeps" if INSTALLED else PACKAGE.parent / "sweeps"

USER_FOLDER = "RERANK_ABLATIONS_CONFIG_DIR"  # the environment variable
FLAGS = ("--config-dir", "-cd")
# Groups of conf/ of which a config has one file: without it, values would be those of a dataclass, not those of a file.
OF_ONE_FILE = (
    "backbone", "budget", "data", "loss", "model", "negatives", "optimizer", "probe", "sample", "scale", "scheduler",
    "trainer",
)  # fmt: skip


def user_folder() -> Path | None:
    """Return the user's own folder of config files, if there is one."""
    folder = os.environ.get(USER_FOLDER)
    return Path(folder) if folder else None


def take_user_folder(arguments: Sequence[str]) -> list[str]:
    """Set the user's folder from ``--config-dir``, for child processes too; returns the other arguments.

    Raises:
        ExperimentError: there is no such folder.
    """
    others, rest = [], iter(arguments)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if flag not in FLAGS:
            others.append(argument)
            continue
        folder = value if equals else next(rest, "")
        if not folder or not Path(folder).is_dir():
            raise ExperimentError(f"{flag}: there is no folder {folder!r}: name one with the layout of conf/")
        os.environ[USER_FOLDER] = str(Path(folder).absolute())
    return others


def sweep_folders() -> list[Path]:
    """Return the folders that hold sweeps: the package's and the user's."""
    user = user_folder()
    return [SWEEPS, *([user / "sweeps"] if user is not None else [])]


def sweep_names() -> list[str]:
    """Return the names of all sweeps, sorted."""
    return sorted({path.stem for folder in sweep_folders() for path in folder.glob("*.yaml")})


def group_options() -> dict[str, list[str]]:
    """Return the names of the files of each config group, from ``conf/`` and the user's folder; sweeps last."""
    folders = [CONF, *([user] if (user := user_folder()) is not None else [])]
    groups = {path.name for folder in folders for path in folder.iterdir() if path.is_dir()} - {"hydra", "sweeps"}
    options = {
        group: sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})
        for group in sorted(groups)
    }
    return {**options, "sweeps": sweep_names()}
