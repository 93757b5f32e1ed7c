"""Rerank Ablations: declarative experiments on losses and negatives for re-rankers.

In Python: ``study = experiments.load("outputs/quickstart")``; see ``experiments.reporting.notebook``.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.reporting.notebook import load as load

# By default OpenMP's threads spin while they wait; on a busy machine that made training 15 times slower.
# Read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if sys.argv[:1] == ["-m"]:  # a command that is being started: python -m experiments.train
    from experiments.common.stopping import not_yet

    not_yet()


def __getattr__(name: str) -> Any:
    """Import ``load`` when it is first used: importing the package imports nothing else."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from experiments.reporting.notebook import load

    return load
