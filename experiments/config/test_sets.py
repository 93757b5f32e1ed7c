"""Settings of further test sets that finished models are measured on."""

import re
from dataclasses import dataclass, field
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.config.data import Data
from experiments.config.depths import depths_of
from experiments.data.splits import TEST

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")  # a part of a job's name


@dataclass
class TestSet:
    """A collection with test queries, and the first stages that models re-rank there."""

    __test__ = False  # no test case of pytest

    data: Data = field(default_factory=Data)
    """The collection and its test queries; ``data.source.splits.test`` says which judgements are meant."""
    first_stage: list[str] = field(default_factory=lambda: ["bm25"])
    """Keys of ``retrievers`` of this test set; models re-rank the run of each."""
    retrievers: dict[str, Any] = field(default_factory=dict)
    """First stages: name -> class (``_target_``) and its settings."""
    first_stage_depth: Any = 100
    """Passages of a first stage that are re-ranked per query; several are measured from one scoring, as in
    ``[10, 50, 100]``."""
    measures: list[str] = field(default_factory=lambda: ["RR@10", "nDCG@10"])
    """Measures of ir-measures; the first heads the table."""

    def check(self, name: str) -> None:
        """Raise ExperimentError for settings that cannot be; the checks of an experiment find the others."""
        if not NAME.fullmatch(name):
            raise ExperimentError(
                f"tests.{name}: the name of a test set is part of names of files, so it has 1 to 64 letters, digits, "
                f"'_', '-' or '.'"
            )
        depths_of(self.first_stage_depth, f"tests.{name}.first_stage_depth")
        if self.data.folds or self.data.measured_on != TEST:
            raise ExperimentError(
                f"tests.{name}.data: a test set has neither folds nor another split than test; name the judgements "
                f"under tests.{name}.data.source.splits.test"
            )
        for retriever, part in self.retrievers.items():
            if part.get("job") and not part.get("checkpoint"):
                raise ExperimentError(
                    f"tests.{name}.retrievers.{retriever} has no checkpoint: models are not trained for a test set; "
                    f"give it the folder of one"
                )
