"""Check that each retriever can have the role that a config gives it."""

from typing import Any

from hydra.utils import get_object

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.negatives import UNIFORM
from experiments.config.retriever_references import references


def check_first_stages(experiment: Experiment) -> None:
    """Raise ExperimentError if a first stage, or what a retriever reads, is made from the judgements themselves."""
    named = [("first_stage", name) for name in experiment.first_stage]
    for retriever, part in experiment.retrievers.items():
        named += [(f"retrievers.{retriever}.{key}", name) for key, name in references(part)]
    for key, name in named:
        if _from_judgements(experiment, name):
            raise ExperimentError(
                f"{key} names {name}, which is made from the judgements that measure it: it can only be a source of "
                f"negatives, such as negatives.source=bm25+{name}"
            )
        if name is not None and (reason := _class_of(experiment, name, "source_only")):
            raise ExperimentError(
                f"{key} names {name}, {reason}: it can only be a source of negatives, such as "
                f"negatives.source=bm25+{name}"
            )


def check_positives(experiment: Experiment) -> None:
    """Raise ExperimentError for retrieved positives if all sources of negatives hold judged negatives only."""
    rule = experiment.negatives
    sources = experiment.negative_sources
    if not sources:
        return
    if rule.positives == "retrieved" and all(_class_of(experiment, name, "source_only") for name in sources):
        raise ExperimentError(
            f"negatives.positives=retrieved keeps the positives that negatives.source={rule.source} ranks, but that "
            f"source ranks none: set negatives.positives=all"
        )
    if rule.positives == "retrieved" and all(_from_judgements(experiment, name) for name in sources):
        raise ExperimentError(
            f"negatives.positives=retrieved keeps the positives that negatives.source={rule.source} retrieved, but "
            "that source holds only passages judged not relevant: set negatives.positives=all"
        )


def check_whole_collection(experiment: Experiment) -> None:
    """Raise ExperimentError for settings of the negatives that a source without ranks and scores cannot follow."""
    rule = experiment.negatives
    sources = experiment.negative_sources
    unranked = [name for name in sources if _class_of(experiment, name, "ranks_nothing")]
    if not unranked:
        return
    if rule.filter.compares_scores or rule.filter.reads_run_scores:
        raise ExperimentError(
            f"negatives.filter compares scores, which the passages of negatives.source={unranked[0]} have none of: set "
            f"absolute_margin, relative_margin, min_score and max_score to null, or leave that source out"
        )
    if rule.draw != UNIFORM and len(unranked) == len(sources):
        raise ExperimentError(
            f"negatives.draw={rule.draw} needs ranks, which negatives.source={rule.source} has none of: set "
            f"negatives.draw={UNIFORM}, or mix it with a retriever, such as bm25+{unranked[0]}"
        )


def _from_judgements(experiment: Experiment, name: str) -> bool:
    return bool(_class_of(experiment, name, "from_judgements"))


def _class_of(experiment: Experiment, name: str, attribute: str) -> Any:
    """Return an attribute of a retriever's class, or False."""
    return getattr(get_object(experiment.retrievers[name]["_target_"]), attribute, False)
