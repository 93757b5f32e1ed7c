"""Whether this process talks to the W&B server: what the user asks for, whether a login is there, whether it works.

The server is asked once per process. Where it cannot be used the process stays offline and says so once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from experiments.common.errors import ExperimentError

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline", "disabled"]

MODES: Mapping[str, Mode] = {"online": "online", "offline": "offline", "disabled": "disabled"}
# The further values of WANDB_MODE: older names of the same modes, and one run shared by several writers.
WANDB_MODES: Mapping[str, Mode] = {**MODES, "run": "online", "dryrun": "offline", "shared": "online"}

log = logging.getLogger(__name__)


def resolve_mode(mode: str) -> Mode:
    """The W&B mode that `mode` asks for; nothing is sent and nobody is prompted.

    "auto" is what W&B has been told (WANDB_MODE, `wandb offline`), else "online" as soon as the user is logged in
    (WANDB_API_KEY, netrc or W&B's settings), else "offline". The other modes stand for themselves.

    Raises:
        ExperimentError: the mode, or WANDB_MODE under "auto", is none that exists.
    """
    if mode != "auto":
        return _lookup(mode, MODES, "the logger's mode", "auto, ")
    if told := os.environ.get("WANDB_MODE"):
        return _lookup(told, WANDB_MODES, "WANDB_MODE")
    told = _quiet_setup()
    if told != "online":
        return _lookup(told, WANDB_MODES, "the mode in W&B's settings")
    return "online" if _has_login() else "offline"


def _lookup(value: str, modes: Mapping[str, Mode], what: str, further: str = "") -> Mode:
    if value not in modes:
        raise ExperimentError(f"{what} is {value!r}; set it to one of {further}{', '.join(modes)}.")
    return modes[value]


def _quiet_setup() -> str:
    """Start W&B in this process without its terminal output; returns the mode that its settings ask for."""
    import wandb

    return wandb.setup(wandb.Settings(silent=True)).settings.mode


def _has_login() -> bool:
    import wandb

    try:
        return wandb.login(prompt=False, verify=False)
    except wandb.Error:
        # A key is there but malformed: someone wants to be online, and the attempt will say what is wrong.
        return True


class _Server:
    """What this process has found out about the W&B server: it is asked once and complained about once."""

    def __init__(self) -> None:
        self.verified = False
        self.given_up = False

    def accepts_login(self, timeout_s: float) -> bool:
        """Whether the server is reached and knows the user, asked of it by the first job of the process only.

        Asked before a run is opened, because a run that fails to open leaves an empty record behind.
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
        """Say so, and stay offline for the rest of the process."""
        self.given_up = True
        one_line = " ".join(reason.split())
        log.warning("W&B stays offline in this process, `wandb sync` uploads its runs later: %s", one_line)


_server = _Server()


def start_run(settings: wandb.Settings, config: dict[str, Any], mode: Mode, timeout_s: float) -> wandb.Run:
    """Open a W&B run in `mode`, or offline where "online" cannot be had.

    Args:
        settings: W&B's settings of the run.
        config: the run's config.
        mode: as `resolve_mode` returns it.
        timeout_s: seconds that the server is given to verify the login, once per process.

    Raises:
        wandb.Error: the run cannot be opened offline either.
    """
    import wandb

    if mode == "online" and not _server.accepts_login(timeout_s):
        mode = "offline"
    _quiet_setup()
    try:
        return wandb.init(config=config, mode=mode, settings=settings)
    except (wandb.Error, TimeoutError) as error:
        if mode != "online":
            raise
        _server.give_up(str(error))
        # W&B's service still holds the id of the run that failed to open, and would refuse to open it again.
        wandb.teardown()
        return start_run(settings, config, "offline", timeout_s)
