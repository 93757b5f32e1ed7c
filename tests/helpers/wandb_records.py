"""W&B in tests: an account-less W&B to log to, and the records of its offline runs read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.sdk.lib import wbauth

from experiments.tracking import connection

WANDB_EXECUTABLE = Path(sys.executable).parent / "wandb"
UNREACHABLE = "http://127.0.0.1:9"  # a base URL at which nobody answers
WELL_FORMED_KEY = "0123456789" * 4


@contextmanager
def isolated_wandb(home: Path, **environment: str) -> Iterator[pytest.MonkeyPatch]:
    """W&B as in a fresh process on a machine where nobody has ever logged in.

    Neither the developer's keys, netrc and settings nor what an earlier test logged in as is seen, and nothing is
    left in the home folder.

    Args:
        home: an existing folder that stands for the home folder and the working directory.
        environment: variables to set on top, such as WANDB_API_KEY.
    """
    end_service()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("WANDB_", "XDG_"))]:
            patch.delenv(name)
        for name, value in {"HOME": str(home), "NETRC": str(home / "netrc"), **environment}.items():
            patch.setenv(name, value)
        patch.chdir(home)
        patch.setattr(connection, "_server", connection._Server())
        wbauth.unauthenticate_session(update_settings=False)
        yield patch
        end_service()
        wbauth.unauthenticate_session(update_settings=False)


def end_service() -> None:
    """End W&B's service process. One that still asks a server which does not answer sometimes misses the word, and W&B
    then waits for it for ever (seen with 0.31): after ten seconds it is killed.
    """
    late = threading.Timer(10, kill_service)
    late.start()
    try:
        wandb.teardown()
    except SystemExit as ended:  # with the exit code of a service that did not end well
        if ended.code != -signal.SIGKILL:
            raise
    finally:
        late.cancel()


def kill_service() -> bool:
    """Kill W&B's service of this process as the kernel does when memory runs out, and wait for its end; returns whether
    there was one.
    """
    command = ["pgrep", "-P", str(os.getpid()), "-r", "DIRST", "wandb-core"]  # not one that has ended
    services = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    for service in services:
        os.kill(int(service), signal.SIGKILL)
    while subprocess.run(command, capture_output=True, check=False).returncode == 0:
        time.sleep(0.02)
    return bool(services)


def read_offline_runs(study_folder: Path) -> list[dict[str, Any]]:
    """The offline runs under `study_folder/wandb`, in the order in which they were opened.

    Each is a dict of: id, name, project, group, job_type, tags, start_time, config, x_axes (the metric that stands on
    the x-axis, by pattern), history (one dict per logged row), summary, exit_code (None for a run that was never
    closed), artifacts (name, type and file names, W&B's own for the tables included) and tables (by name, the columns
    and the data). In a row and in the summary a value that is a dict stands under dotted keys, such as "loss.max".
    """
    folders = sorted((study_folder / "wandb").glob("offline-run-*"))
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = list(pool.map(_read_run, folders))
    return sorted(runs, key=lambda run: datetime.fromisoformat(run["start_time"]))


def _read_run(folder: Path) -> dict[str, Any]:
    records = _records(folder)
    run = records["run"][0]
    config = _merged([run.get("config", {}), *records["config"]])
    config.pop("_wandb", None)  # W&B's notes to itself
    summary = _merged(records["summary"])
    return {
        "id": run["run_id"],
        "name": run["display_name"],
        "project": run["project"],
        "group": run["run_group"],
        "job_type": run["job_type"],
        "tags": run.get("tags", []),
        "start_time": run["start_time"],
        "config": config,
        "x_axes": {
            metric.get("glob_name") or metric["name"]: metric["step_metric"]
            for metric in records["metric"]
            if "step_metric" in metric
        },
        "history": [row["item"] for row in records["history"]],
        "summary": summary,
        "exit_code": records["exit"][0]["exit_code"] if records["exit"] else None,
        "artifacts": [_artifact(record) for record in records["artifact"]],
        "tables": _tables(summary, folder / "files"),
    }


def _records(folder: Path) -> dict[str, list[Any]]:
    command = [str(WANDB_EXECUTABLE), "leet", "inspect", "--json", str(folder)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    records: dict[str, list[Any]] = defaultdict(list)
    for record in map(json.loads, lines):
        records[record["type"]].append(record.get(record["type"]))
    return records


def _merged(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The state that a series of records of updates leaves behind."""
    state: dict[str, Any] = {}
    for record in records:
        state.update(record.get("update", {}))
    return state


def _artifact(record: Mapping[str, Any]) -> dict[str, Any]:
    files = [content["path"] for content in record["manifest"]["contents"]]
    return {"name": record["name"], "type": record["type"], "files": files}


def _tables(summary: Mapping[str, Any], files: Path) -> dict[str, dict[str, Any]]:
    names = [key.removesuffix("._type") for key, value in summary.items() if value == "table-file"]
    tables = {}
    for name in names:
        table = json.loads((files / summary[f"{name}.path"]).read_text(encoding="utf-8"))
        tables[name] = {"columns": table["columns"], "data": table["data"]}
    return tables
