"""The stress programs in their short forms: all that they count as wrong is 0."""

import re
import subprocess
import sys

import pytest
from stress.studies import ROOT, environment

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("program", "tries"),
    [
        ("kills --count 3 --kinds retrieve", "kills"),
        pytest.param("kills --count 12", "kills", marks=SLOW),
        pytest.param("disk --sizes 2 --short", "tries", marks=SLOW),
        pytest.param("signals --count 3 --kinds job joblib study_submitit", "signals", marks=SLOW),
        pytest.param("races --count 4", "races", marks=SLOW),
    ],
)
def test_nothing_is_lost(program: str, tries: str):
    done = subprocess.run(
        [sys.executable, "-m", *f"stress.{program}".split()], cwd=ROOT / "tests", capture_output=True, text=True,
        env=environment(), timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = re.findall(r"([a-z() ]+?) ([\d.]+)(?:, |$)", done.stdout.splitlines()[-1])
    counts = {name: float(number) for name, number in found}
    assert counts[tries] > 0
    wrong = ("losses", "temporary files", "tracebacks", "could not go on", "left running", "wrong exit codes")
    assert [name for name in wrong if counts.get(name)] == []
