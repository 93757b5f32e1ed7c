"""ir_datasets' scored documents as a run, on local files laid where the catalogue looks for its downloads."""

import json
import subprocess
import sys
from pathlib import Path

from helpers.jobs import ROOT

TREC = "q0 Q0 p3 1 9.5 x\nq0 Q0 p1 2 7 x\nq2 Q0 p5 1 1e-1 x\n"

# The catalogue fixes its folder when it is imported, so each case runs in a process of its own.
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from helpers.tiny import literal_collection
from experiments.common.errors import ExperimentError
from experiments.retrieval.run_file import RunFile
from experiments.common.cache import Cache
home, one, depth = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
try:
    run = RunFile(f"ir_datasets:{one}").retrieve(literal_collection(home), np.array([0, 2]), depth, Cache(home))
    print(json.dumps({int(query): run.ranking(query).tolist() for query in run.queries}))
except ExperimentError as error:
    print(json.dumps({"error": str(error)}))
"""


def catalogue(home: Path, one: str, depth: int = 10) -> dict:
    environment = {
        "IR_DATASETS_HOME": str(home),
        "IR_DATASETS_DL_TRIES": "1",
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
    }
    command = [sys.executable, "-c", SCRIPT, str(home), one, str(depth)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def lay(home: Path, place: str, content: str) -> None:
    (home / place).parent.mkdir(parents=True)
    (home / place).write_text(content)


def test_scored_documents_of_the_catalogue(tmp_path: Path):
    lay(tmp_path, "wikir/en1k/wikIR1k/test/BM25.res", TREC + "q0 Q0 p7 3 7 x\n")
    assert catalogue(tmp_path, "wikir/en1k/test") == {"0": [3, 7, 1], "2": [5]}


def test_scored_documents_without_scores_are_used_whole_but_never_cut(tmp_path: Path):
    lay(tmp_path, "msmarco-passage/trec-dl-2019/ms.run", "q0\tp1\nq0\tp3\nq2\tp5\n")
    assert catalogue(tmp_path, "msmarco-passage/trec-dl-2019", depth=2) == {"0": [3, 1], "2": [5]}
    assert (
        "has candidates without scores, up to 2 a query, and so no best 1"
        in (catalogue(tmp_path, "msmarco-passage/trec-dl-2019", depth=1)["error"])
    )


def test_scored_documents_that_name_a_passage_twice(tmp_path: Path):
    lay(tmp_path, "wikir/en1k/wikIR1k/test/BM25.res", TREC + "q0 Q0 p3 3 7 x\n")
    error = catalogue(tmp_path, "wikir/en1k/test")["error"]
    assert error == "ir_datasets:wikir/en1k/test: passage 'p3' is listed twice for the query 'q0'"


def test_scored_documents_that_are_not_there_say_where_to_lay_them(tmp_path: Path):
    (tmp_path / "wikir" / "en1k").mkdir(parents=True)  # as if unpacked already, so that nothing is fetched
    error = catalogue(tmp_path, "wikir/en1k/test")["error"]
    assert "could not provide the scoreddocs of wikir/en1k/test" in error
    assert "IR_DATASETS_HOME" in error
