"""Two hundred thousand passages load in under 2 GB, and a collection that is built already in next to nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.jobs import ROOT

SCRIPT = """
import resource, sys
from experiments.data.collection import open_collection
from experiments.data.readers.beir import BeirFolder
from experiments.common.cache import Cache
collection = open_collection(BeirFolder(sys.argv[1]), Cache(sys.argv[2]))
collection.passages.texts(range(0, len(collection.passages), 1000))
print(len(collection.passages), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def load(folder: Path, store: Path) -> tuple[int, int]:
    """(passages, peak resident memory in MiB) of a process that opens a collection."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, store], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    passages, peak = done.stdout.split()
    return int(passages), int(peak)


@pytest.mark.slow
def test_two_hundred_thousand_passages_load_in_under_two_gigabytes(tmp_path: Path):
    folder = tmp_path / "large"
    (folder / "qrels").mkdir(parents=True)
    words = [f"word{i % 5003} and other{i % 997} again" for i in range(5003)]
    with (folder / "corpus.jsonl").open("w") as file:
        for i in range(200_000):
            text = " ".join(words[(i * 31 + j * 17) % 5003] for j in range(15))  # 60 words
            file.write(json.dumps({"_id": f"p{i}", "title": "", "text": text}) + "\n")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "word1"}\n')
    (folder / "qrels" / "test.tsv").write_text("q1 0 p1 1\n")
    for _ in ("built", "opened again"):
        passages, peak = load(folder, tmp_path / "store")
        assert passages == 200_000
        assert peak < 2048
    print(f"peak memory when opened again: {peak} MiB")
