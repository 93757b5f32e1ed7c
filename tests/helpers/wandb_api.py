"""W&B's server in tests: the small part of its client that is used, over the files of genuine offline runs."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import wandb
from helpers.wandb_records import read_offline_runs

from experiments.common.cache import fingerprint
from experiments.tracking.summary import flat
from experiments.tracking.wandb_run import RunIdentity, WandbRun


def log_job(job: Path, folder: Path, error: Exception | None = None) -> None:
    """Log a job's folder (``study_folder.write_job``) as a real offline run in ``folder/wandb``."""
    import yaml

    metrics = json.loads((job / "metrics.json").read_text())
    config = yaml.safe_load((job / "config.yaml").read_text())
    study, labels = job.parent.name, metrics["labels"]
    identity = RunIdentity(
        study=study,
        name=job.name,
        id=fingerprint({"study": study, "job": job.name}),
        tags=tuple(f"{name}={value}" for name, value in labels.items()),
        config={**config, "labels": labels},
    )
    with WandbRun(identity, folder, "offline") as run:
        if error is not None:
            raise error
        for first_stage, values in metrics["test"].items():
            lines = (job / f"per_query.{first_stage}.tsv").read_text().splitlines()
            (_, *columns), *rows = [line.split("\t") for line in lines]
            data = [[query, f"text of {query}", *map(float, cells)] for query, *cells in rows]
            run.log_table(f"per_query/{first_stage}", ["query", "text", *columns], data)
            run.log_summary(flat(values, first_stage))
        run.log_summary(flat(metrics["compute"], "compute"))


def uploaded(folder: Path) -> list["UploadedRun"]:
    """The offline runs in ``folder/wandb`` as a server has them; of several attempts at one the last."""
    attempts = {one["id"]: one for one in read_offline_runs(folder)}
    return [UploadedRun(one, folder / "wandb") for one in attempts.values()]


def server_of(runs: Sequence["UploadedRun"], entity: str | None = "team") -> Any:
    """A ``wandb.Api`` whose server holds the runs in ``team/rerank-ablations``; it takes W&B's own arguments and no
    others.
    """
    api = create_autospec(wandb.Api, instance=True)
    api.default_entity = entity

    def found(path: str, filters: Mapping[str, str], order: str, lazy: bool) -> list[UploadedRun]:
        wanted = (filters["group"], filters["jobType"])
        return [run for run in runs if path == "team/rerank-ablations" and (run.group, run.job_type) == wanted]

    api.runs.side_effect = found
    return api


class UploadedRun:
    """What is used of ``wandb.apis.public.Run``."""

    def __init__(self, record: Mapping[str, Any], records: Path) -> None:
        self.name, self.id, self.config = record["name"], record["id"], record["config"]
        self.group, self.job_type, self.tags = record["group"], record["job_type"], record["tags"]
        self.state = {0: "finished", 1: "failed"}.get(record["exit_code"], "running")
        self.summary_metrics = _nested(record["summary"])
        self._records = records

    def file(self, name: str) -> Any:
        (source,) = self._records.glob(f"offline-run-*-{self.id}*/files/{name}")

        def download(root: str = ".", replace: bool = False) -> Any:
            target = Path(root) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            return target.open(encoding="utf-8")

        return SimpleNamespace(download=download)


def _nested(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Tables as the server gives them: one value under one key."""
    tables = {key.removesuffix("._type") for key in summary if key.endswith("._type")}
    found: dict[str, Any] = {key: value for key, value in summary.items() if key.rpartition(".")[0] not in tables}
    for table in tables:
        own = {key: value for key, value in summary.items() if key.rpartition(".")[0] == table}
        found[table] = {key.removeprefix(f"{table}."): value for key, value in own.items()}
    return found
