"""Which W&B mode a job runs in, given what the user asks for and whether anyone is logged in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.wandb_records import UNREACHABLE, WELL_FORMED_KEY, isolated_wandb

from experiments.common.errors import ExperimentError
from experiments.tracking.connection import resolve_mode


def test_auto_without_an_account_is_offline_and_does_not_ask(
    no_account: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (resolve_mode("auto"), *capfd.readouterr()) == ("offline", "", "")


def test_auto_with_a_key_in_the_environment_is_online(home: Path) -> None:
    with isolated_wandb(home, WANDB_API_KEY=WELL_FORMED_KEY):
        assert resolve_mode("auto") == "online"


def test_auto_with_a_key_in_netrc_is_online(home: Path) -> None:
    (home / "netrc").write_text(f"machine 127.0.0.1:9 login user password {WELL_FORMED_KEY}\n")
    with isolated_wandb(home, WANDB_BASE_URL=UNREACHABLE):
        assert resolve_mode("auto") == "online"


def test_auto_with_a_key_in_wandb_settings_is_online(home: Path) -> None:
    (home / "settings").write_text(f"[default]\napi_key = {WELL_FORMED_KEY}\n")
    with isolated_wandb(home, WANDB_CONFIG_DIR=str(home)):
        assert resolve_mode("auto") == "online"


def test_auto_respects_wandb_offline_of_the_command_line(home: Path) -> None:
    (home / "settings").write_text("[default]\nmode = offline\n")
    with isolated_wandb(home, WANDB_CONFIG_DIR=str(home), WANDB_API_KEY=WELL_FORMED_KEY):
        assert resolve_mode("auto") == "offline"


@pytest.mark.parametrize(
    ("told", "mode"),
    [("online", "online"), ("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")],
)
def test_auto_respects_wandb_mode(no_account: pytest.MonkeyPatch, told: str, mode: str) -> None:
    no_account.setenv("WANDB_MODE", told)
    assert resolve_mode("auto") == mode


def test_mode_asked_for_outweighs_wandb_mode(no_account: pytest.MonkeyPatch) -> None:
    no_account.setenv("WANDB_MODE", "online")
    assert resolve_mode("disabled") == "disabled"


def test_unknown_mode_names_the_modes() -> None:
    with pytest.raises(ExperimentError, match="'ofline'; set it to one of auto, online, offline, disabled"):
        resolve_mode("ofline")


def test_unknown_wandb_mode_is_named(no_account: pytest.MonkeyPatch) -> None:
    no_account.setenv("WANDB_MODE", "later")
    with pytest.raises(ExperimentError, match="WANDB_MODE is 'later'"):
        resolve_mode("auto")


def test_an_offline_run_does_not_import_w_and_bs_launch_package(tmp_path: Path):
    script = (
        "import sys, wandb\n"
        "from experiments.tracking.connection import start_run\n"
        "run = start_run(wandb.Settings(project='p'), {'loss': 'lce'}, 'offline', 1.0)\n"
        "assert run.config['loss'] == 'lce'\n"
        "run.finish()\n"
        "print('wandb.sdk.launch' in sys.modules)\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "WANDB_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
