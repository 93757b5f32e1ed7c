"""Checks of what a retriever may be used for, by its class."""

from typing import Any

from hydra.utils import get_object

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.negatives import sources_of


def check_first_stages(experiment: Experiment) -> None:
    """Refuse to re-rank, or to measure, a ranking that was made from the judgements themselves.

    Raises:
        ExperimentError: ``first_stage`` or a retriever's ``candidates_from`` names such a retriever.
    """
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
    """Refuse to ask for retrieved positives of sources that only find what was judged not relevant.

    Raises:
        ExperimentError: all sources of negatives are such retrievers.
    """
    rule = experiment.negatives
    sources = sources_of(rule.source)
    if rule.positives == "retrieved" and all(_from_judgements(experiment, name) for name in sources):
        raise ExperimentError(
            f"negatives.positives=retrieved keeps the positives that negatives.source={rule.source} retrieved, but "
            "that source holds only passages judged not relevant: set negatives.positives=all"
        )


def _from_judgements(experiment: Experiment, name: str) -> bool:
    return bool(getattr(get_object(experiment.retrievers[name]["_target_"]), "from_judgements", False))
