"""Check that each retriever can have the role that a config gives it."""

from typing import Any

from hydra.utils import get_object

from experiments.common.errors import ExperimentError
from experiments.config import Experiment


def check_first_stages(experiment: Experiment) -> None:
    """Raise ExperimentError if a first stage, or ``candidates_from``, is made from the judgements themselves."""
    named: list[tuple[str, Any]] = [("first_stage", name) for name in experiment.first_stage]
    for name, part in experiment.retrievers.items():
        named.append((f"retrievers.{name}.candidates_from", part.get("candidates_from")))
    for key, name in named:
        if name is not None and _from_judgements(experiment, name):
            raise ExperimentError(
                f"{key} names {name}, which is made from the judgements that measure it: it can only be a source of "
                f"negatives, such as negatives.source=bm25+{name}"
            )


def check_positives(experiment: Experiment) -> None:
    """Raise ExperimentError for retrieved positives if all sources of negatives hold judged negatives only."""
    rule = experiment.negatives
    sources = experiment.negative_sources
    if sources and rule.positives == "retrieved" and all(_from_judgements(experiment, name) for name in sources):
        raise ExperimentError(
            f"negatives.positives=retrieved keeps the positives that negatives.source={rule.source} retrieved, but "
            "that source holds only passages judged not relevant: set negatives.positives=all"
        )


def _from_judgements(experiment: Experiment, name: str) -> bool:
    return bool(getattr(get_object(experiment.retrievers[name]["_target_"]), "from_judgements", False))
