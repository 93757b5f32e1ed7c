"""A trained model on the test queries: each first stage re-ranked; a retriever also searches the whole collection."""

import logging
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from experiments.callbacks.progress_bar import announce_scoring
from experiments.common.cache import Cache
from experiments.config import Experiment
from experiments.data.run import Run, digest_of, write_trec
from experiments.evaluation.measure_names import WHOLE_COLLECTION
from experiments.evaluation.measures import evaluate, rerank
from experiments.job_files.answers import answers_path, write_answers
from experiments.job_files.job_folder import JobFolder
from experiments.job_files.per_query import PerQuery, per_query_path, write_per_query
from experiments.jobs.prepare import relevance_of
from experiments.jobs.timed_pipeline import pipeline
from experiments.models.training_setup import TrainingInputs, TrainingSetup
from experiments.retrieval.retriever import run_for
from experiments.tracking.summary import PER_QUERY
from experiments.tracking.wandb_job import NoTracking, WandbJob

log = logging.getLogger(__name__)


class Testing:
    """Measures a job's model, whose exported folder is there, and writes what it finds into the job's folder."""

    def __init__(
        self,
        experiment: Experiment,
        inputs: TrainingInputs,
        setup: TrainingSetup,
        trainer: pl.Trainer,
        job: JobFolder,
        tracking: WandbJob | NoTracking,
        cache: Cache,
    ) -> None:
        self.experiment, self.inputs, self.setup = experiment, inputs, setup
        self.trainer, self.job, self.tracking, self.cache = trainer, job, tracking, cache
        self.collection, self.measures = inputs.collection, experiment.measures
        self.retriever = experiment.model.as_retriever(job.model)

    def first_stages(self) -> dict[str, Any]:
        """Measures of every first stage, re-ranked and as it was; empty in all but the first process."""
        found = {}
        for name, candidates in self.inputs.candidates.items():
            scores = self._scores(name, candidates)
            if self.trainer.is_global_zero:
                reranked, ties = rerank(candidates, scores, self.job.folder.name)
                found[name] = {**self._report(name, self.inputs.test[name], reranked), "ties": ties}
        return found

    def _scores(self, name: str, run: Run) -> NDArray[np.float32]:
        """One float32 for each passage of a run, in its order."""
        if not len(run.passages.values):  # Lightning calls no hook for a loader without batches
            return np.empty(0, np.float32)
        if self.retriever is not None:
            return self.retriever.pair_scores(self.collection, run, self.cache, whole=True)
        announce_scoring(self.trainer, f"re-ranking {name}")
        place = (self.trainer.global_rank, self.trainer.world_size)
        loader = self.setup.data.run_loader(run, place)
        self.trainer.predict(self.setup.module, dataloaders=loader, return_predictions=False)
        scores: NDArray[np.float32] = self.setup.module.gathered_scores().numpy()
        return scores

    def _report(self, name: str, first_stage: Run, made: Run) -> dict[str, Any]:
        """Measure the run that the model made and the first stage, and write both into the job's folder."""
        collection, measures = self.collection, self.measures
        relevance = relevance_of(collection, self.inputs.splits["test"])
        after, before = evaluate(made, relevance, measures), evaluate(first_stage, relevance, measures)
        path = self.job.folder / f"run.{name}.trec.gz"
        write_trec(made, collection, path)
        answers, min_grade = answers_path(self.job.folder, name), self.experiment.data.min_grade
        write_answers(made, first_stage, relevance, collection, answers, min_grade)
        query_ids = tuple(collection.queries.ids(after.queries))
        table = PerQuery(query_ids, after.per_query, before.per_query)
        write_per_query(per_query_path(self.job.folder, name), table)
        texts = collection.queries.texts(after.queries)
        columns = {measure: values_Q.tolist() for measure, values_Q in table.columns.items()}
        rows = map(list, zip(query_ids, texts, *columns.values(), strict=True))
        self.tracking.log_table(f"{PER_QUERY}/{name}", ["query", "text", *columns], rows)
        self.tracking.log_run_file(name, path)
        return {
            **after.mean,
            "first_stage": before.mean,
            "first_stage_digest": digest_of(first_stage),
            "queries": len(query_ids),
            "without_relevant": self.inputs.splits["test"].without_relevant,
            "pairs": len(made.passages.values),
        }

    def whole_collection(self) -> dict[str, Any]:
        """Under ``retrieval``, measures of a retriever over the whole collection, on dev and test, beside the first
        stages on the same queries; empty for a model that only re-ranks. Under ``test``, its test run as a job's tables
        have it, compared with the first of the first stages. Under ``pipeline``, the same with the cross-encoder behind
        it that a dual encoder was made from.
        """
        if self.retriever is None:
            return {}
        found: dict[str, Any] = {}
        searched: dict[str, Any] = {}
        beside = {"dev": {self.inputs.dev.run.name: self.inputs.dev.run}, "test": self.inputs.test}
        for split, others in beside.items():
            queries, depth = self.inputs.splits[split].queries, self.experiment.first_stage_depth
            run = run_for(self.retriever, self.collection, queries, depth, self.cache)
            relevance = relevance_of(self.collection, self.inputs.splits[split])
            found[split] = {one.name: evaluate(one, relevance, self.measures).mean for one in (run, *others.values())}
            said = ", ".join(f"{name} {values[self.measures[0]]:.3f}" for name, values in found[split].items())
            log.info("%s of the whole collection on %s: %s", self.measures[0], split, said)
            if split == "test":
                compared = next(iter(others.values()))
                searched = {**self._report(WHOLE_COLLECTION, compared, run), "compared_to": compared.name, "ties": 0}
        cross_encoder = self.experiment.model.second_stage
        if cross_encoder is None:
            return {"retrieval": found, "test": {WHOLE_COLLECTION: searched}}
        queries = self.inputs.splits["test"].queries
        relevance = relevance_of(self.collection, self.inputs.splits["test"])
        rows = pipeline(
            self.retriever, cross_encoder, self.collection, queries, relevance, self.measures,
            self.experiment.first_stage_depth, self.cache,
        )  # fmt: skip
        return {"retrieval": found, "test": {WHOLE_COLLECTION: searched}, "pipeline": rows}
