"""Decide whether this process uses the W&B server, by the requested mode, the login and one request a process.

If the server cannot be used, the process stays offline and warns once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.common.errors import ExperimentError
from experiments.tracking.record_files import close_log

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline", "disabled"]

MODES: Mapping[str, Mode] = {"online": "online", "offline": "offline", "disabled": "disabled"}
# Further values of WANDB_MODE: older names, and a run shared by several writers.
WANDB_MODES: Mapping[str, Mode] = {**MODES, "run": "online", "dryrun": "offline", "shared": "online"}

LAUNCH, LOOKS_FOR_INPUTS = "wandb.sdk.launch", "_detect_and_apply_job_inputs"  # W&B's package, a method of its runs

log = logging.getLogger(__name__)


def resolve_mode(mode: str) -> Mode:
    """Resolve a W&B mode without sending anything or prompting.

    ``auto``: W&B's own setting (WANDB_MODE, `wandb offline`), else ``online`` if the user is logged in (WANDB_API_KEY,
    netrc or W&B's settings), else ``offline``.

    Raises:
        ExperimentError: the mode, or WANDB_MODE under ``auto``, is unknown.
    """
    if mode != "auto":
        return _lookup(mode, MODES, "the logger's mode", "auto, ")
    if from_environment := os.environ.get("WANDB_MODE"):
        return _lookup(from_environment, WANDB_MODES, "WANDB_MODE")
    from_settings = _quiet_setup()
    if from_settings != "online":
        return _lookup(from_settings, WANDB_MODES, "the mode in W&B's settings")
    return "online" if _has_login() else "offline"


def _lookup(value: str, modes: Mapping[str, Mode], what: str, further: str = "") -> Mode:
    if value not in modes:
        raise ExperimentError(f"{what} is {value!r}; set it to one of {further}{', '.join(modes)}.")
    return modes[value]


@contextmanager
def _nothing_staged() -> Iterator[None]:
    """Keep W&B from importing its launch package, two seconds of every job, to find no inputs that wait in it.

    Only that package can have inputs wait for a run, so none do while nobody has imported it.
    """
    from wandb.sdk.wandb_run import Run

    look = getattr(Run, LOOKS_FOR_INPUTS, None)
    if look is None or LAUNCH in sys.modules:
        yield
        return
    setattr(Run, LOOKS_FOR_INPUTS, lambda run: None)
    try:
        yield
    finally:
        setattr(Run, LOOKS_FOR_INPUTS, look)


def _quiet_setup() -> str:
    """Start W&B in this process without terminal output; returns the mode of its settings."""
    import wandb

    return wandb.setup(wandb.Settings(silent=True)).settings.mode


def _has_login() -> bool:
    import wandb

    try:
        return wandb.login(prompt=False, verify=False)
    except wandb.Error:
        # The key is malformed: the user wants to be online, and the attempt will name the error.
        return True


class _Server:
    """State of the W&B server for this process: asked once, warned about once."""

    def __init__(self) -> None:
        self.verified = False
        self.given_up = False

    def accepts_login(self, timeout_s: float) -> bool:
        """Whether the server answers and knows the user; asked by the first job of the process.

        Call before a run is opened: a run that fails to open leaves an empty record behind.
        """
        if not (self.verified or self.given_up):
            self._verify_login(timeout_s)
        return self.verified and not self.given_up

    def _verify_login(self, timeout_s: float) -> None:
        import wandb

        wandb.setup(wandb.Settings(silent=True, mode="online"))
        try:
            if not wandb.login(prompt=False, verify=False):
                self.give_up("not logged in; use `wandb login` or set WANDB_API_KEY.")
                return
            wandb.Api(timeout=max(1, round(timeout_s)))  # asks the server, and raises when the answer is no or none
        except wandb.Error as error:
            self.give_up(str(error))
        else:
            self.verified = True

    def give_up(self, reason: str) -> None:
        """Warn, and stay offline for the rest of the process."""
        self.given_up = True
        reason = " ".join(reason.split())
        log.warning("W&B stays offline in this process, `wandb sync` uploads its runs later: %s", reason)


_server = _Server()


def is_of_service(error: BaseException) -> bool:
    """Return whether an error says that W&B's own process does not answer, rather than what was logged is wrong."""
    import wandb

    of_wandb = type(error).__module__.startswith("wandb.") and not isinstance(error, wandb.errors.UsageError)
    return isinstance(error, ConnectionError | TimeoutError) or of_wandb


def end_service(run: wandb.Run) -> None:
    """Let go of a run whose service has ended: W&B says nothing more of it, and the next run starts a new service."""
    import wandb

    folder = Path(run.sync_dir)

    def finish() -> None:
        run.finish(exit_code=1)

    def teardown() -> None:
        wandb.teardown()

    for end in (finish, teardown):
        try:
            end()
        except (Exception, SystemExit) as error:  # that the service has ended; SystemExit has its exit code
            log.debug("W&B: %s", error)
    close_log(folder)


def start_run(settings: wandb.Settings, config: dict[str, Any], mode: Mode, timeout_s: float) -> wandb.Run:
    """Open a W&B run in ``mode``, or offline if the server cannot be used.

    ``timeout_s``: seconds for the server to verify the login, once per process.

    Raises:
        wandb.Error: the run cannot be opened offline either.
    """
    import wandb

    if mode == "online" and not _server.accepts_login(timeout_s):
        mode = "offline"
    _quiet_setup()
    try:
        with _nothing_staged():
            return wandb.init(config=config, mode=mode, settings=settings)
    except (wandb.Error, TimeoutError) as error:
        if mode != "online":
            raise
        _server.give_up(str(error))
        # W&B's service still holds the id of the failed run, and would refuse to open it again.
        wandb.teardown()
        return start_run(settings, config, "offline", timeout_s)
