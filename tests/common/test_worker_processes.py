"""Tasks shared out among processes: every task is answered, a worker that dies is named, none is left behind."""

import os
import sys
from pathlib import Path

import pytest

from experiments.common.worker_processes import answers_of

WORKER = """
import os, sys
from experiments.common.worker_processes import answer_tasks

def answer(task):
    if task == "die":
        sys.exit(3)
    return f"{sys.argv[1]}{task} {os.getpid()}"

answer_tasks(answer)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "answering.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "answering"


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_task_is_answered_once_by_as_many_processes_as_there_are_cores(worker: str):
    answers = [answer.split() for answer in answers_of(worker, ["n"], [str(n) for n in range(20)])]
    assert sorted(task for task, _ in answers) == sorted(f"n{n}" for n in range(20))
    processes = {int(process) for _, process in answers}
    assert len(processes) <= (os.cpu_count() or 1)
    assert not any(map(alive, processes))


def test_a_worker_that_ends_early_is_named_with_its_task(worker: str):
    with pytest.raises(RuntimeError, match="a process of answering ended with exit code 3 before it had done die"):
        list(answers_of(worker, [""], ["die"]))


def test_who_stops_asking_leaves_no_process_behind(worker: str):
    answers = answers_of(worker, [""], ["1", "2", "3"])
    process = int(next(answers).split()[1])
    answers.close()
    assert not alive(process)


def test_workers_import_what_the_asking_process_can_import(worker: str):
    assert any((Path(folder) / "answering.py").exists() for folder in sys.path)
    assert [answer.split()[0] for answer in answers_of(worker, ["n"], ["1"])] == ["n1"]
