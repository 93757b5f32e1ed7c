"""``python -m experiments.retrieve``: first stages measured without a training."""

import gzip
import subprocess
import sys
from pathlib import Path

from helpers.jobs import ROOT
from helpers.tiny import write_beir_folder


def retrieve(tmp_path: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "experiments.retrieve", "data=beir", f"data.path={tmp_path / 'shapes'}",
        "measures=[RR@10]", f"outputs={tmp_path / 'out'}", f"cache={tmp_path / 'cache'}", *overrides,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_two_bm25s_are_measured_and_kept_as_run_files(tmp_path: Path):
    write_beir_folder(tmp_path / "shapes")
    done = retrieve(tmp_path, "+retriever@retrievers.other=bm25", "retrievers.other.b=0.0", "first_stage=[bm25,other]")
    assert done.returncode == 0, done.stderr
    assert "shapes, 12 test queries" in done.stdout
    for name in ("bm25", "other"):
        with gzip.open(tmp_path / "out" / "adhoc" / "runs" / f"{name}.test.trec.gz", "rt") as file:
            assert len({line.split()[0] for line in file}) == 12


def test_a_collection_without_training_queries_will_do(tmp_path: Path):
    folder = write_beir_folder(tmp_path / "shapes")
    (folder / "qrels" / "train.tsv").unlink()
    (folder / "qrels" / "dev.tsv").unlink()
    done = retrieve(tmp_path)
    assert done.returncode == 0, done.stderr
    refused = retrieve(tmp_path, "retrieve.split=dev")
    assert refused.returncode == 2
    assert "has no dev split (it has test)" in refused.stderr


def test_an_unknown_split_is_named(tmp_path: Path):
    write_beir_folder(tmp_path / "shapes")
    done = retrieve(tmp_path, "retrieve.split=eval")
    assert done.returncode == 2
    assert "error: retrieve.split is 'eval': it must be one of train, dev, test" in done.stderr
