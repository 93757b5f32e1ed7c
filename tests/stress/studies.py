"""Small studies for the stress programs: their data, their commands, what they leave behind, and their numbers."""

import hashlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MARK = "STRESS_MARK"  # the variable by which a study's processes are found
KNOWN = (".lock", ".hydra", ".submitit")  # hidden names that belong where they are


@dataclass
class Counts:
    """What a program counts: tries, losses, leftovers; printed as one line at the end."""

    values: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, number: float = 1) -> None:
        self.values[name] = self.values.get(name, 0) + number

    def most(self, name: str, number: float) -> None:
        self.values[name] = max(self.values.get(name, 0), number)

    def expect(self, holds: bool, name: str, what: str) -> None:
        """Count a try, and ``name`` if something does not hold."""
        self.values.setdefault(name, 0)
        if not holds:
            self.add(name)
            self.failures.append(f"{name}: {what}")
            print(f"  {self.failures[-1]}", flush=True)

    def line(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.values.items())

    def end(self) -> int:
        """Print the counts; return the exit code."""
        print(self.line(), flush=True)
        return int(bool(self.failures))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards, with a collection (``shapes``) and a tiny BERT (``bert``) in it."""
    with tempfile.TemporaryDirectory(prefix="stress-") as name:
        write_inputs(Path(name))
        yield Path(name)


def write_inputs(folder: Path) -> tuple[Path, Path]:
    """Write a collection and a tiny BERT of its words; returns their folders, ``shapes`` and ``bert``."""
    from helpers.tiny import write_beir_folder, write_tiny_bert

    data = write_beir_folder(folder / "shapes")
    lines = (line for part in ("corpus", "queries") for line in (data / f"{part}.jsonl").open(encoding="utf-8"))
    return data, write_tiny_bert(folder / "bert", [json.loads(line)["text"] for line in lines])


def overrides_in(folder: Path, place: Path, *more: str) -> list[str]:
    """The overrides of a job of seconds. ``folder``: of ``scratch``. ``place``: of outputs and cache."""
    from helpers.jobs import tiny_overrides

    return tiny_overrides(place, folder / "shapes", folder / "bert", "callbacks.checkpoint.minutes=5", *more)


def environment(mark: str = "", **more: str) -> dict[str, str]:
    """The environment of a command that runs this checkout."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    quiet = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **quiet, "PYTHONPATH": path, **({MARK: mark} if mark else {}), **more}


def started(command: Sequence[str], mark: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start ``python -m experiments.<command>`` in a group of its own, its output in a file."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", f"experiments.{command[0]}", *command[1:]],
            cwd=ROOT, env=environment(mark), stdout=file, stderr=file, start_new_session=True,
            preexec_fn=_heed_signals,
        )  # fmt: skip


def _heed_signals() -> None:
    """Undo that a shell which runs this in the background ignores SIGINT, and nohup SIGHUP: commands inherit both."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def new_mark() -> str:
    return uuid.uuid4().hex


def imported() -> None:
    """Import once what every job imports: ``forked`` then starts in milliseconds. No thread may have been started."""
    os.environ.update({name: value for name, value in environment().items() if name != "PYTHONPATH"})
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.chdir(ROOT)
    import experiments.evaluate
    import experiments.jobs.whole_job
    import experiments.report
    import experiments.reporting.page.page
    import experiments.reporting.plots.build
    import experiments.retrieve
    import experiments.study
    import experiments.train  # noqa: F401


def forked(command: Sequence[str], log: Path, first: Callable[[], None] = lambda: None) -> int:
    """Run ``python -m experiments.<command>`` in a fork of this process; returns its exit code, as ``Popen`` does.

    ``first``: called before it in the fork.
    """
    return os.waitstatus_to_exitcode(os.waitpid(run_in_fork(command, log, first), 0)[1])


def run_in_fork(command: Sequence[str], log: Path, first: Callable[[], None] = lambda: None) -> int:
    """Start such a fork; returns its id."""
    child = os.fork()
    if not child:
        code = 1
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.dup2(output, 1)
            os.dup2(output, 2)
            first()
            code = _run(command)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return child


def _run(command: Sequence[str]) -> int:
    from experiments.config.files import CONF

    name, *arguments = command
    module = importlib.import_module(f"experiments.{name}")
    if name in ("study", "report"):
        return int(module.main(arguments))
    if hasattr(module, "overrides_of"):
        arguments = module.overrides_of(arguments)
    sys.argv = [name, "--config-path", str(CONF), *arguments]
    hydra_app = importlib.import_module("experiments.jobs.hydra_app")
    hydra_app.entry(module.main)
    return 0


def alive(mark: str) -> dict[int, str]:
    """The processes that have a mark in their environment, but zombies: id -> command."""
    listing = ["ps", "-axEww"] if sys.platform == "darwin" else ["ps", "axeww"]
    text = subprocess.run([*listing, "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in text.splitlines() if f"{MARK}={mark}" in line]
    return {int(row[0]): row[2][:120] for row in rows if not row[1].startswith("Z")}


def leftovers(*places: Path) -> list[str]:
    """Temporary files below some folders: hidden names that nothing reads again."""
    found = (path for place in places for path in place.rglob(".*"))
    return [
        str(path)
        for path in found
        if not any(part in KNOWN or part.endswith((".lock", ".unfinished")) for part in path.parts)
    ]  # fmt: skip


def numbers_of(study: Path) -> dict[str, Any]:
    """All that a study has computed: measures, and digests of weights, of values by query, and of tables, by path."""
    found: dict[str, Any] = {}
    for path in sorted(study.rglob("*")):
        name = str(path.relative_to(study))
        if path.name == "metrics.json":
            metrics = json.loads(path.read_text(encoding="utf-8"))
            found[name] = {part: _untimed(metrics.get(part)) for part in ("test", "dev", "labels", "probe")}
        elif path.name == "probe.json":
            found[name] = _untimed(json.loads(path.read_text(encoding="utf-8")))
        elif path.name.startswith(("per_query", "table.", "model.safetensors")):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _untimed(part) for name, part in value.items() if "seconds" not in name}
    return value


def moments(seed: int, longest: float) -> Iterator[float]:
    """Endless seconds between 0 and ``longest``, the same for one seed."""
    rng = random.Random(seed)
    while True:
        yield rng.uniform(0, longest)
