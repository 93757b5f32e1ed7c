"""Declare how the run files of a job are written."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class RunFiles:
    """The run files of a job, ``run.<first stage>.trec.gz``."""

    header: bool = False
    """Begin run files with a header of ir_metadata 0.1: in comment lines, what the job knows of its platform,
    implementation, resources, research goal, method and data. This project reads past it, and so do repro_eval and
    trec_eval 10; ir-measures takes its lines for lines of the run."""
    fields: dict[str, Any] = field(default_factory=dict)
    """Further values of that header, such as ``{actor: {team: mine}}``; they replace the job's own."""
