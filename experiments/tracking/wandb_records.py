"""Read W&B's runs as plain records, from its server or its offline runs on disk.

Nested values of the summary have dotted keys, as in ``per_query/bm25.path``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from experiments.common.errors import ExperimentError

if TYPE_CHECKING:
    import wandb

TIMEOUT_S = 15.0
READERS = 4  # offline runs read at a time, each by a W&B process
OFFLINE_RUNS = "offline-run-*"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RunRecord:
    """One run.

    ``state`` is W&B's: ``finished``, ``failed``, ``crashed``, ``running`` ... ``read``: path of a file -> its text;
    raises ExperimentError if it is missing.
    """

    name: str
    id: str
    state: str
    group: str
    job_type: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    tags: tuple[str, ...]
    read: Callable[[str], str]


def is_offline_folder(folder: Path) -> bool:
    """Whether ``folder`` holds offline runs, as the folder ``wandb`` of a study does."""
    return next(folder.glob(OFFLINE_RUNS), None) is not None


def offline_runs(folder: Path) -> list[RunRecord]:
    """Read the runs in a folder ``wandb``, in starting order; of several attempts of one id the last counts.

    Raises:
        ExperimentError: there is none, or W&B cannot read one of them.
    """
    places = sorted(folder.glob(OFFLINE_RUNS))
    if not places:
        raise ExperimentError(f"{folder} holds no offline run of W&B ({OFFLINE_RUNS})")
    with ThreadPoolExecutor(READERS) as pool:
        records = list(pool.map(_offline_run, places))
    latest: dict[str, RunRecord] = {}
    for _, record in sorted(records, key=lambda timed: timed[0]):
        latest.pop(record.id, None)
        latest[record.id] = record
    return list(latest.values())


def _offline_run(folder: Path) -> tuple[str, RunRecord]:
    """Return the start time of a run, and the run."""
    lines: dict[str, list[Any]] = {"run": [], "config": [], "summary": [], "exit": []}
    for kind, content in log_of(folder):
        if kind in lines:
            lines[kind].append(content)
    if not lines["run"]:
        raise ExperimentError(f"{folder}: W&B has recorded no run in it; delete it, or run its job again")
    run = lines["run"][0]
    config = _merged([run.get("config", {}), *lines["config"]])
    ends = [line.get("exit_code", 0) for line in lines["exit"]]
    files = folder / "files"

    def read(path: str) -> str:
        try:
            return (files / path).read_text(encoding="utf-8")
        except OSError as error:
            raise ExperimentError(f"{files / path} cannot be read ({error.strerror}); run its job again") from error

    record = RunRecord(
        name=run.get("display_name", ""),
        id=run["run_id"],
        state="running" if not ends else "failed" if ends[-1] else "finished",
        group=run.get("run_group", ""),
        job_type=run.get("job_type", ""),
        config={key: value for key, value in config.items() if key != "_wandb"},  # W&B's notes to itself
        summary=_merged(lines["summary"]),
        tags=tuple(run.get("tags", ())),
        read=read,
    )
    return run.get("start_time", ""), record


def log_of(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield kind and content of each line of W&B's log of a run, by the documented command.

    Raises:
        ExperimentError: W&B cannot read it.
    """
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder.absolute())]
    environment = {**os.environ, "WANDB_MODE": "offline"}
    with tempfile.TemporaryDirectory() as here:  # where it leaves a folder `wandb`
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=here)
    if done.returncode != 0:
        why = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise ExperimentError(f"{folder}: W&B cannot read its own record of this run ({why})")
    for line in done.stdout.splitlines():
        record = json.loads(line)
        yield record["type"], record.get(record["type"])


def _merged(updates: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for update in updates:
        state.update(update.get("update", {}))
    return state


def server_runs(
    group: str, project: str, entity: str | None = None, api: wandb.Api | None = None, job_type: str = "train"
) -> list[RunRecord]:
    """Read the runs of a group (a study) and stage from the server, the oldest first.

    ``entity``: None for the account's default. ``api``: W&B's client; None for the logged-in account's.

    Raises:
        ExperimentError: the server does not answer, or the entity, project or group does not exist.
    """
    client = api if api is not None else _client()
    place = f"{entity_of(entity, client)}/{project}"
    filters = {"group": group, "jobType": job_type}
    runs = _asked(lambda: list(client.runs(place, filters=filters, order="+created_at", lazy=False)))
    if not runs:
        raise ExperimentError(f"W&B has no run of the group {group!r} in {place}: see --project and --entity")
    return [_server_run(run) for run in runs]


def entity_of(entity: str | None, api: wandb.Api | None = None) -> str:
    """Return the entity, or the account's default.

    Raises:
        ExperimentError: the account has none, or the server does not answer.
    """
    if entity:
        return entity
    client = api if api is not None else _client()
    default = _asked(lambda: client.default_entity)
    if not default:
        raise ExperimentError("the W&B account has no default entity: name the user or team with --entity")
    return default


def _client() -> wandb.Api:
    import wandb

    return _asked(lambda: wandb.Api(timeout=round(TIMEOUT_S)))


def _asked(question: Callable[[], Answer]) -> Answer:
    """Ask the server. W&B's client has no common error class: treat any exception as no answer."""
    try:
        return question()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExperimentError(f"W&B does not answer: {reason}; --offline reads outputs/GROUP instead") from error


def _server_run(run: Any) -> RunRecord:
    def read(path: str) -> str:
        with tempfile.TemporaryDirectory() as folder, _asked(lambda: run.file(path).download(folder)) as file:
            text: str = file.read()
            return text

    return RunRecord(
        name=run.name or "",
        id=run.id,
        state=run.state,
        group=run.group or "",
        job_type=run.job_type or "",
        config=dict(run.config),
        summary=dict(_dotted(run.summary_metrics)),
        tags=tuple(run.tags),
        read=read,
    )


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
