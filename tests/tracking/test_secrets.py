"""No secret of the environment gets into any file that a job, its report or its archive writes."""

import gzip
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.jobs import tiny_overrides

ROOT = Path(__file__).parents[2]
NAMES = (
    "WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "DATABASE_URL",
    "GITHUB_TOKEN", "OPENAI_API_KEY", "MY_PASSWORD",
)  # fmt: skip
PLANTED = {name: f"{number:02d}planted{'0123456789abcdef'[:15]}{'f' * 16}" for number, name in enumerate(NAMES)}
assert all(len(value) == 40 for value in PLANTED.values()), "as long as W&B wants a key to be"
URL = f"postgres://user:{PLANTED['DATABASE_URL']}@db.example/x"


def contents(raw: bytes, depth: int = 3) -> Iterator[bytes]:
    """The bytes of a file, and those of the files packed in it."""
    yield raw
    if depth and raw[:2] == b"\x1f\x8b":
        yield from contents(gzip.decompress(raw), depth - 1)
    elif depth and zipfile.is_zipfile(io.BytesIO(raw)):
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            for name in packed.namelist():
                yield from contents(packed.read(name), depth - 1)


def found_in(folder: Path) -> list[str]:
    """The files with a secret in them, and which."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    return [
        f"{path.relative_to(folder)}: {name}"
        for path in files
        for name, secret in PLANTED.items()
        if any(secret.encode() in content for content in contents(path.read_bytes()))
    ]


def test_a_planted_secret_is_found_in_what_is_packed(tmp_path: Path):
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text("nothing")
    inner = gzip.compress(PLANTED["HF_TOKEN"].encode())
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("b.gz", inner)
    assert found_in(tmp_path) == ["a.npz: HF_TOKEN"]


@pytest.mark.slow
def test_no_secret_of_the_environment_is_written(tmp_path: Path, data: Path, backbone: Path):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    own = {**PLANTED, "DATABASE_URL": URL, "HOME": str(home), "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    own |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "XDG_"))} | own
    job = tiny_overrides(work, data, backbone, "logger=wandb_offline", "study=shapes")
    study = work / "outputs" / "shapes"
    said = b""
    for module, arguments in (
        ("experiments.train", [*job, "loss=lce"]),
        ("experiments.train", [*job, "loss=bce", "optimizer.lr=1e30", "optimizer.clip=null"]),  # ends in an error
        ("experiments.report", [str(study)]),
        ("experiments.study", ["keep", str(study), "--to", str(work / "kept")]),
    ):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], env=env, cwd=work, capture_output=True, timeout=300, check=False
        )
        said += done.stdout + done.stderr
    assert (study / "report.html").is_file()
    assert (work / "kept" / "shapes.zip").is_file()
    assert len(list((study / "wandb").glob("offline-run-*"))) >= 2
    assert not [name for name, secret in PLANTED.items() if secret.encode() in said]
    assert found_in(tmp_path) == []
