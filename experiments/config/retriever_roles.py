"""Check that each retriever can have the role that a config gives it."""

from hydra.utils import get_object

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.negatives import sources_of
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


def check_positives(experiment: Experiment) -> None:
    """Raise ExperimentError for retrieved positives if all sources of negatives hold judged negatives only."""
    rule = experiment.negatives
    sources = sources_of(rule.source)
    if rule.positives == "retrieved" and all(_from_judgements(experiment, name) for name in sources):
        raise ExperimentError(
            f"negatives.positives=retrieved keeps the positives that negatives.source={rule.source} retrieved, but "
            "that source holds only passages judged not relevant: set negatives.positives=all"
        )


def _from_judgements(experiment: Experiment, name: str) -> bool:
    return bool(getattr(get_object(experiment.retrievers[name]["_target_"]), "from_judgements", False))
