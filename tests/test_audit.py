"""``python -m experiments.audit``: the audit of a rule before any training, its files and its W&B record."""

import csv
import subprocess
import sys
from pathlib import Path

from helpers.jobs import ROOT
from helpers.tiny import write_beir_folder
from helpers.wandb_records import read_offline_runs


def audit(tmp_path: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "experiments.audit", "data=beir", f"data.path={tmp_path / 'shapes'}", "negatives.count=3",
        "audit.depths=[5,10]", f"outputs={tmp_path / 'out'}", f"cache={tmp_path / 'cache'}", *overrides,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_sources_and_mixtures_are_audited_at_each_depth(tmp_path: Path):
    write_beir_folder(tmp_path / "shapes")
    done = audit(
        tmp_path, "+retriever@retrievers.flat=bm25", "retrievers.flat.b=0.0", "audit.sources=[bm25,bm25+flat]",
        "logger=wandb_offline",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out" / "adhoc").glob("audit-*")
    rows = list(csv.DictReader((folder / "negatives.csv").open()))
    assert [(row["source"], row["depth"]) for row in rows] == [
        ("bm25", "5"), ("bm25", "10"), ("bm25+flat", "5"), ("bm25+flat", "10"),
    ]  # fmt: skip
    assert all(int(row["drawn"]) == 3 * int(row["queries"]) for row in rows)
    (record,) = read_offline_runs(tmp_path / "out" / "adhoc")
    assert (record["job_type"], record["exit_code"]) == ("audit", 0)
    assert len(record["tables"]["false_negatives"]["data"]) == 4
    assert record["summary"]["bm25/5/near_duplicate"] == float(rows[0]["near_duplicate_share"])


def test_a_source_that_is_not_composed_is_named(tmp_path: Path):
    write_beir_folder(tmp_path / "shapes")
    done = audit(tmp_path, "audit.sources=[splade]", "logger=none")
    assert done.returncode == 2
    assert "error: audit.sources is 'splade': it must be one of the composed retrievers (bm25)" in done.stderr
