"""Several studies in one table: ``python -m experiments.compare GROUP_OR_FOLDER [GROUP_OR_FOLDER ...]``.

A folder, such as ``outputs/quickstart``, is read from disk; so are W&B's offline runs, if their folder ``wandb`` is
named. Anything else is a group of runs in W&B, which is read from its server where somebody is logged in and from
``outputs/GROUP`` otherwise. Prints the tables of ``experiments.report``, and with ``--out`` writes them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from experiments.analysis.combine import Study, side_by_side
from experiments.analysis.findings import Findings, findings_from, read_table
from experiments.analysis.load_wandb import jobs_of
from experiments.common.cache import write_atomic
from experiments.common.errors import ExperimentError
from experiments.job_files.records import TABLE, read_study
from experiments.reporting.summary import markdown, print_findings
from experiments.reporting.tables.render import to_csv
from experiments.reporting.tables.results import left_out, result_rows
from experiments.tracking.connection import resolve_mode
from experiments.tracking.wandb_records import entity_of, is_offline_folder, offline_runs, server_runs

OUTPUTS = Path("outputs")
PROJECT = "rerank-ablations"


def compare(
    places: Sequence[str],
    measure: str | None = None,
    project: str = PROJECT,
    entity: str | None = None,
    offline: bool = False,
) -> tuple[Findings, list[str]]:
    """What studies say together, and remarks on how they were put together.

    Args:
        places: folders of studies, folders ``wandb`` with offline runs, or groups in W&B.
        measure: None for that of a single study's table, or the first that all jobs have.
        project: W&B's project.
        entity: W&B's user or team; None for the account's default.
        offline: do not ask W&B's server.

    Raises:
        ExperimentError: a study is not found or W&B does not answer, none of the jobs has finished, or they cannot
            stand in one table.
    """
    studies = [_read(place, project, entity, offline) for place in dict.fromkeys(places)]
    names = [study.name for study in studies]
    if len(set(names)) < len(names):
        raise ExperimentError(f"two of the studies have one name ({', '.join(names)}): rename the folder of one")
    jobs, remarks = side_by_side(studies)
    if not any(job.finished for job in jobs):
        reasons = [f"{name} {state}: {why}" for name, state, why in left_out(jobs)]
        raise ExperimentError(f"none of the jobs of {', '.join(names)} has finished; {'; '.join(reasons[:1])}")
    if len(studies) > 1:  # published cells and claims are those of one study
        return findings_from(jobs, OUTPUTS / f"{{{','.join(names)}}}", None, measure), remarks
    folder = studies[0].folder or OUTPUTS / names[0]
    # Claims on layers are judged by files that only the jobs' folders hold.
    here = all(part.folder.is_dir() for job in jobs if job.finished for part in job.parts)
    return findings_from(jobs, folder, read_table(folder / TABLE) if here else None, measure), remarks


def _read(place: str, project: str, entity: str | None, offline: bool) -> Study:
    folder = Path(place)
    if folder.is_dir():
        return _from_disk(folder)
    if not offline and resolve_mode("auto") == "online":
        return Study(place, tuple(jobs_of(server_runs(place, project, entity))))
    if (OUTPUTS / place).is_dir():
        return _from_disk(OUTPUTS / place)
    why = "--offline is set" if offline else "W&B is offline or nobody is logged in"
    raise ExperimentError(f"there is no folder {place} or {OUTPUTS / place}, and no group is asked of W&B: {why}")


def _from_disk(folder: Path) -> Study:
    if is_offline_folder(folder):
        records = offline_runs(folder)
        return Study(records[0].group, tuple(jobs_of(records)), folder.resolve().parent)
    return Study(folder.resolve().name, tuple(read_study(folder)), folder)


def write(findings: Findings, remarks: Sequence[str], folder: Path) -> list[Path]:
    """Write ``compare.md`` and ``compare.csv``; their paths."""
    text = markdown(findings)
    if remarks:
        text += "\n" + "\n".join(f"- {remark}" for remark in remarks) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {folder / "compare.md": text, folder / "compare.csv": to_csv(*result_rows(findings))}
    for path, content in texts.items():
        write_atomic(path, content)
    return list(texts)


def _save_workspace(findings: Findings, places: Sequence[str], project: str, entity: str | None) -> str:
    from experiments.reporting.wandb_workspace import save_workspace, spec_of

    if len(places) > 1:
        raise ExperimentError("--workspace shows one study: name one group or folder")
    return save_workspace(spec_of(findings), entity_of(entity), project)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.compare", description="Studies in one table.")
    parser.add_argument("places", nargs="+", metavar="GROUP_OR_FOLDER", help="such as outputs/quickstart")
    parser.add_argument(
        "--measure", help="the measure to report (default: that of one study's table, or the jobs' first)"
    )
    parser.add_argument("--project", default=PROJECT, help="W&B's project (default: %(default)s)")
    parser.add_argument("--entity", help="W&B's user or team (default: the account's)")
    parser.add_argument("--offline", action="store_true", help="read groups from outputs/GROUP, do not ask W&B")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write compare.md and compare.csv there")
    parser.add_argument(
        "--workspace", action="store_true", help="save a W&B workspace of the one study (extra: workspaces)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is 2 if the studies cannot be compared."""
    options = _parser().parse_args(arguments)
    try:
        findings, remarks = compare(options.places, options.measure, options.project, options.entity, options.offline)
        console = Console(highlight=False)
        print_findings(findings, console)
        for remark in remarks:
            console.print(Text(f"\n{remark}"))
        for path in write(findings, remarks, options.out) if options.out is not None else []:
            console.print(Text(f"\n{path}"), soft_wrap=True)
        if options.workspace:
            address = _save_workspace(findings, options.places, options.project, options.entity)
            console.print(Text(f"\n{address}"), soft_wrap=True)
    except ExperimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
