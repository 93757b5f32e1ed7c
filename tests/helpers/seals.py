"""Jobs whose files were edited on purpose: as if the job itself had written them so, or an earlier version."""

import json
from pathlib import Path

from experiments.common.manifest import FILES, MANIFEST, SEAL, sealed
from experiments.job_files.integrity import promised


def reseal(job: Path) -> None:
    """Make the files of a job, its status too, those that it promises, as if it had run again."""
    status = json.loads((job / "status.json").read_text())
    unsealed = {name: value for name, value in status.items() if name != SEAL}
    for name in ("status.json", MANIFEST):
        (job / name).write_text(json.dumps(sealed({**unsealed, FILES: promised(job)})))


def as_of_an_earlier_version(study: Path) -> Path:
    """Take from all jobs of a study what says which files they promise."""
    for path in study.glob("*/status.json"):
        status = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in status.items() if name not in (FILES, SEAL)}))
        (path.parent / MANIFEST).unlink()
    return study
