"""Damage each file of a job in each way, and look at it with every command that reads it."""

import contextlib
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.jobs import composed, run, tiny_overrides

from experiments import compare, report, study
from experiments.analysis.load import read_job
from experiments.callbacks.checkpoints import KeepCheckpoints
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.jobs.open_evaluation import without_training
from experiments.jobs.prerequisites import components_of
from experiments.jobs.probe_checkpoint import probe_checkpoint
from experiments.models.cross_encoder.lightning_module import CrossEncoder


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(path: Path, at: float = 0.5) -> None:
    """Change one byte, so that a digit stays a digit: what was a number is another number."""
    content = bytearray(path.read_bytes() or b"0")  # of an empty file, one byte more
    start = int(at * len(content))
    digits = [i for i in range(start, len(content)) if content[i : i + 1].isdigit()]
    place = digits[0] if digits else min(start, len(content) - 1)
    content[place] = content[place] ^ 1
    path.write_bytes(bytes(content))


def removed(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "empty": emptied,
    "cut in half": cut,
    "a flipped byte": flipped,
    "missing": removed,
    "a folder": a_folder,
}
NOT_PROMISED = (".lock", "model/README.md")  # what no result depends on
NOT_YET_PROMISED = ("history.tsv", "config.yaml")  # what an interrupted job writes anew when it goes on


class Killed(BaseException):
    """What stands for a process that is gone: nothing is written after it."""


def interrupted(overrides: list[str], outputs: Path, at: int) -> Path:
    """Run a job that is killed at the start of a step; returns its folder."""
    train = CrossEncoder.training_step

    def step(module: CrossEncoder, batch: Any, batch_idx: int) -> Any:
        if batch.step == at:
            raise Killed
        return train(module, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CrossEncoder, "training_step", step)
        patch.setattr(KeepCheckpoints, "on_exception", lambda *_: None)
        with contextlib.suppress(Killed):
            run([*overrides, f"outputs={outputs}"])
    return next(outputs.glob("*/*/status.json")).parent


class TwoJobs(NamedTuple):
    """A job that finished, and the same job killed after six of its eight steps, with one cache."""

    overrides: list[str]
    whole: dict[str, Any]  # the metrics of the finished one
    finished: Path
    stopped: Path

    @classmethod
    def run_in(cls, place: Path, data: Path, backbone: Path, *more: str) -> "TwoJobs":
        """Run both below a folder. ``more``: overrides."""
        overrides = tiny_overrides(place, data, backbone, *more)
        whole, finished = run([*overrides, f"outputs={place / 'finished'}"])
        return cls(overrides, whole, finished, interrupted(overrides, place / "interrupted", at=6))

    def read(self, to: Path) -> dict[str, Any]:
        """Return what each command of ``READ_ON`` gives of the finished one."""
        with contextlib.redirect_stdout(io.StringIO()):
            return {who: command(self.finished, self.overrides, to) for who, command in READ_ON.items()}


def may_be_silent(name: str, finished: bool) -> bool:
    """Return whether nobody needs to name a damaged file."""
    return name in NOT_PROMISED or (not finished and name in NOT_YET_PROMISED)


def files_of(job: Path) -> list[str]:
    """Return the names of all files of a job."""
    return sorted(path.relative_to(job).as_posix() for path in job.rglob("*") if path.is_file())


def reported(job: Path, overrides: list[str], to: Path) -> str | None:
    """Return the table that a report writes of a job's study; None if it refuses the study."""
    refused = report.main([str(job.parent), "--no-wandb", "--out", str(to)])
    return None if refused else (to / "table.csv").read_text()


def compared(job: Path, overrides: list[str], to: Path) -> str | None:
    """Return the table of a comparison; None if it is refused."""
    refused = compare.main([str(job.parent), "--offline", "--out", str(to)])
    return None if refused else (to / "compare.csv").read_text()


def probed(job: Path, overrides: list[str], to: Path) -> dict[str, Any]:
    """Return what the layers of a job's model measure. Raises ExperimentError if its model is refused."""
    config = composed(*overrides, f"outputs={to}", f"checkpoint={job / 'model'}")
    experiment = compose.check(config)
    parts = components_of(without_training(experiment, experiment.first_stage))
    found, _ = probe_checkpoint(experiment, compose.plain(config), parts)
    return _unplaced(found)


def _unplaced(value: Any) -> Any:
    """Leave out where a model lies and how long it took."""
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if "seconds" not in name and "/" not in str(part)[:1]}
        return {name: _unplaced(part) for name, part in kept.items()}
    return value


READ_ON: Mapping[str, Callable[[Path, list[str], Path], Any]] = {
    "report": reported, "compare": compared, "probe": probed,
}  # fmt: skip


@dataclass
class Seen:
    """What the commands made of a damaged job. ``said``: all they printed and logged. ``crashes``: tracebacks.

    ``believed``: numbers that are not the job's own. ``resumed``: the metrics of the next start, None if refused.
    """

    said: str = ""
    crashes: list[str] = field(default_factory=list)
    believed: list[str] = field(default_factory=list)
    resumed: Mapping[str, Any] | None = None
    did: str = ""


class Damaged:
    """A copy of a job's outputs in which one file is damaged.

    ``damage``: one of ``DAMAGES``, or a function of the file's path. ``whole``: the metrics of the undamaged job at its
    end.
    """

    def __init__(
        self, job: Path, to: Path, name: str, damage: str | Callable[[Path], None], whole: Mapping[str, Any]
    ) -> None:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(job.parents[1], to)
        self.outputs, self.job = to, to / job.parent.name / job.name
        self.path, self.whole, self.seen = self.job / name, whole, Seen()
        (DAMAGES[damage] if isinstance(damage, str) else damage)(self.path)

    def look(self) -> Seen:
        """Look at the job with ``study status``, ``study verify``, and as reports and comparisons read it."""
        for command in ("status", "verify"):
            with self._watched(command):
                study.main([command, str(self.job.parent)])
        with self._watched("report"):
            read = read_job(self.job)
            self.seen.said += f"{read.reason}\n" if not read.finished else ""
            self._compare("report", {name: read.test[name] for name in read.test})
        return self.seen

    def resume(self, overrides: list[str]) -> Seen:
        """Start the job again."""
        with self._watched("resume"):
            try:
                self.seen.resumed, _ = run([*overrides, f"outputs={self.outputs}"])
            except ExperimentError as error:
                self.seen.said += f"{error}\n"
            else:
                self._compare("resume", self.seen.resumed["test"])
                again = json.loads((self.job / "metrics.json").read_text())
                self._compare("resume, in its folder", again["test"])
        return self.seen

    def read_on(self, overrides: list[str], sound: Mapping[str, Any]) -> Seen:
        """Report, compare and probe the job. ``sound``: what ``READ_ON`` gives of the undamaged job; nothing else is
        believed, but that a command refuses the job.
        """
        for who, command in READ_ON.items():
            with self._watched(who):
                try:
                    read = command(self.job, overrides, self.outputs.parent / "read-on")
                except ExperimentError as error:
                    self.seen.said += f"{error}\n"
                    continue
                if read is not None and read != sound[who]:
                    self.seen.believed.append(f"{who}: {str(read)[:200]}")
        return self.seen

    def _compare(self, who: str, test: Mapping[str, Any]) -> None:
        for first_stage, values in test.items():
            for measure in ("RR@10", "nDCG@10"):
                if values.get(measure) != self.whole["test"][first_stage][measure]:
                    self.seen.believed.append(f"{who}: {first_stage} {measure} {values.get(measure)}")

    @contextlib.contextmanager
    def _watched(self, who: str) -> Iterator[None]:
        text, handler = io.StringIO(), logging.StreamHandler(io.StringIO())
        logging.getLogger("experiments").addHandler(handler)
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield
        except Exception as error:
            self.seen.crashes.append(f"{who}: {type(error).__name__}: {str(error)[:200]}")
        finally:
            logging.getLogger("experiments").removeHandler(handler)
            self.seen.said += text.getvalue() + handler.stream.getvalue()  # type: ignore[attr-defined]
