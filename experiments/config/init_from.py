"""Declare the finished job that a training starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.common.model_files import model_in
from experiments.config.job_overrides import check_job
from experiments.config.values import check_name, check_path

KEY = "init_from"
JOB, PATH = f"{KEY}.job", f"{KEY}.path"
NONE = {"path": None, "job": None, "label": None}  # a training in one stage


@dataclass
class InitFrom:
    """A trained model whose weights, its head included, a training starts from instead of the backbone's."""

    path: str | None = None
    """Folder of a finished job or its ``model``, or a hub id, of the same kind of model and of the same backbone; null
    for the model that ``job`` trains, or for a training from the backbone."""
    job: Any = None
    """Overrides of a job that trains it first: from the same backbone, on the same data unless they say otherwise."""
    label: str | None = field(default=None, metadata={"identity": False})
    """Name of the first stage of training in tables; null for the loss of its job, or the last part of ``path``."""

    def __post_init__(self) -> None:
        check_job(JOB, self.job)
        check_path(PATH, self.path)
        check_name(f"{KEY}.label", self.label)
        if self.path is not None:
            self.path = model_in(self.path)
        if self.label is not None and not self.given:
            raise ExperimentError(
                f"{KEY}.label={self.label} names no first stage of a training: set {PATH} to a finished job, or {JOB} "
                f"to the overrides of one, or leave it out"
            )

    @property
    def given(self) -> bool:
        """Whether a training starts from another job's model."""
        return self.path is not None or self.job is not None


def stage_before(config: Mapping[str, Any]) -> str:
    """Return the loss of the job that a training starts from, for the name of the job; empty where it is not known."""
    settings = config.get(KEY) or {}
    job = settings.get("job")
    loss = job.get("loss", "") if settings.get("path") is None and isinstance(job, Mapping) else ""
    return loss if isinstance(loss, str) else ""
