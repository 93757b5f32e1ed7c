"""Evaluate a trained model on the test queries: re-rank each first stage, and with a retriever search everything."""

import logging
import time
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from experiments.callbacks.progress_bar import announce_scoring
from experiments.common.cache import Cache
from experiments.config import Experiment
from experiments.data.collection import Collection
from experiments.data.run import Run, digest_of, write_trec
from experiments.data.splits import Split
from experiments.evaluation.measure_names import WHOLE_COLLECTION, mean_name
from experiments.evaluation.measures import evaluate, rerank
from experiments.job_files.answers import answers_path, write_answers
from experiments.job_files.files import run_path
from experiments.job_files.job_folder import JobFolder
from experiments.job_files.per_query import DEPTHS, PerQuery, per_query_path, write_per_query
from experiments.jobs.inference_depths import answers_among, measure_depths
from experiments.jobs.prepare import relevance_of
from experiments.jobs.run_metadata import Origin, header_of
from experiments.jobs.timed_pipeline import pipeline
from experiments.models.int8 import scoring_in
from experiments.models.training_setup import TrainingInputs, TrainingSetup
from experiments.retrieval.pair_vectors import milliseconds_at
from experiments.retrieval.retriever import run_for
from experiments.retrieval.shared_encoding import encode_share, join_shares
from experiments.retrieval.vector_store import embeddings_key
from experiments.tracking.summary import PER_QUERY, depth_table
from experiments.tracking.wandb_job import NoTracking, WandbJob

log = logging.getLogger(__name__)


class ResultFiles:
    """Measures runs on the queries of a split, and writes them into a job's folder and to W&B."""

    def __init__(
        self,
        experiment: Experiment,
        collection: Collection,
        split: Split,
        job: JobFolder,
        tracking: WandbJob | NoTracking,
    ) -> None:
        self.measures, self.min_grade = experiment.measures, experiment.data.min_grade
        self.collection, self.split, self.job, self.tracking = collection, split, job, tracking

    def write(self, name: str, first_stage: Run, made: Run, header: str = "") -> dict[str, Any]:
        """Write what a model made of a first stage; returns the measures of both. ``header``: of the run file."""
        collection, measures = self.collection, self.measures
        relevance = relevance_of(collection, self.split)
        after, before = evaluate(made, relevance, measures), evaluate(first_stage, relevance, measures)
        path = run_path(self.job.folder, name)
        write_trec(made, collection, path, header)
        write_answers(made, first_stage, relevance, collection, answers_path(self.job.folder, name), self.min_grade)
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
            "without_relevant": self.split.without_relevant,
            "pairs": len(made.passages.values),
        }

    def log_depth(self, name: str, depth: int, table: PerQuery) -> None:
        """Log the values by query of a smaller depth than the job's to W&B."""
        columns = table.reranked
        rows = map(list, zip(table.query_ids, *(values_Q.tolist() for values_Q in columns.values()), strict=True))
        self.tracking.log_table(depth_table(name, depth), ["query", *columns], rows)


def windows_in(windows_N: NDArray[np.int64] | None) -> dict[str, int]:
    """Return the number of windows in which the lines of a run were scored; empty if each was scored once."""
    return {} if windows_N is None else {"windows": int(windows_N.sum())}


class Testing:
    """Measures a job's exported model and writes the results into the job's folder."""

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

    def encode_collection(self) -> None:
        """Encode the collection on every device of a training on several, for a model that searches it."""
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        if self.retriever is None or ranks == 1:
            return
        encoder = self.retriever.encoder
        if self.cache.holds("embeddings", embeddings_key(encoder, self.collection)):
            return  # on every rank: the entry is made after all of them were here
        encode_share(encoder, self.collection, self.cache, rank, ranks)
        self.trainer.strategy.barrier()
        if self.trainer.is_global_zero:
            join_shares(encoder, self.collection, self.cache, ranks)

    def first_stages(self) -> dict[str, Any]:
        """Return the measures of every first stage, re-ranked and not; empty in all but the first process."""
        measures_by_first_stage: dict[str, Any] = {}
        if self.retriever is not None and not self.trainer.is_global_zero:
            return measures_by_first_stage  # it searches what all have encoded, and the first process does that
        for name, candidates in self.inputs.candidates.items():
            began = time.perf_counter()
            scores, windows_N = self._scores(name, candidates)
            seconds = time.perf_counter() - began
            if self.trainer.is_global_zero:
                reranked, ties = rerank(candidates, scores, self.job.folder.name)
                measures_by_first_stage[name] = {
                    **self._report(name, self.inputs.test[name], reranked), "ties": ties, **windows_in(windows_N),
                    **self._at_depths(name, candidates, scores, seconds, reranked, windows_N),
                }  # fmt: skip
        return measures_by_first_stage

    def _at_depths(
        self, name: str, candidates: Run, scores: NDArray[np.float32], seconds: float, made: Run,
        windows_N: NDArray[np.int64] | None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the measures at each depth under the key ``depths``; empty for a single depth.

        A retriever encodes the collection while it scores, so it is timed apart. ``made``: the run of the largest
        depth. ``windows_N``: windows of each candidate; None if each is scored once.
        """
        if len(self.experiment.depths) == 1:
            return {}
        test, timed = self.inputs.splits["test"], None
        gold = answers_among(candidates, test.relevant) if self.experiment.first_stage_inject_gold else None
        if self.retriever is not None:
            pairs = self.retriever.open_pairs(self.collection, candidates, self.cache, whole=True)
            timed = milliseconds_at(self.retriever, self.collection, pairs, self.experiment.depths)
        depths = measure_depths(
            name, candidates, scores, self.experiment.depths, relevance=relevance_of(self.collection, test),
            measures=self.measures, collection=self.collection, folder=self.job.folder, always_N=gold,
            seconds=seconds if self.retriever is None else None, milliseconds=timed, windows_N=windows_N,
            header=partial(self._header, name, made), log=partial(self._results().log_depth, name),
        )  # fmt: skip
        return {DEPTHS: depths}

    def _scores(self, name: str, run: Run) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Return a float32 score for each passage of a run, in its order, and the number of windows of each; None where
        each is scored once.
        """
        if not len(run.passages.values):  # Lightning calls no hook for a loader without batches
            return np.empty(0, np.float32), None
        if self.retriever is not None:
            return self.retriever.pair_scores(self.collection, run, self.cache, whole=True), None
        announce_scoring(self.trainer, f"re-ranking {name}")
        place = (self.trainer.global_rank, self.trainer.world_size)
        loader = self.setup.data.run_loader(run, place)
        with scoring_in(self.experiment.trainer.precision, self.setup.module.network):
            self.trainer.predict(self.setup.module, dataloaders=loader, return_predictions=False)
        scores: NDArray[np.float32] = self.setup.module.gathered_scores().numpy()
        return scores, self.setup.module.windows_P

    def _report(self, name: str, first_stage: Run, made: Run) -> dict[str, Any]:
        """Measure the model's run and the first stage, and write both into the job's folder."""
        return self._results().write(name, first_stage, made, self._header(name, made))

    def _results(self) -> ResultFiles:
        return ResultFiles(self.experiment, self.collection, self.inputs.splits["test"], self.job, self.tracking)

    def _header(self, name: str, made: Run, depth: int | None = None) -> str:
        device, first_stage = self.trainer.strategy.root_device, None if name == WHOLE_COLLECTION else name
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        split, seconds = self.experiment.data.measured_on, self.job.seconds
        origin = Origin(made.name, self.collection.name, split, first_stage, True, seconds, gpu, depth)
        return header_of(self.experiment, origin)

    def whole_collection(self) -> dict[str, Any]:
        """Measure a retriever over the whole collection; empty for a model that only re-ranks.

        ``retrieval``: its measures on dev and test, next to the first stages on the same queries. ``test``: its test
        run, compared with the first of the first stages. ``pipeline``: the same re-ranked by the cross-encoder that a
        dual encoder was made from.
        """
        if self.retriever is None or not self.trainer.is_global_zero:
            return {}
        means: dict[str, Any] = {}
        searched: dict[str, Any] = {}
        first_stages = {"dev": {self.inputs.dev.run.name: self.inputs.dev.run}, "test": self.inputs.test}
        depth = self.experiment.rerank_depth
        for split, others in first_stages.items():
            queries = self.inputs.splits[split].queries
            run = run_for(self.retriever, self.collection, queries, depth, self.cache)
            relevance = relevance_of(self.collection, self.inputs.splits[split])
            means[split] = {
                each.name: evaluate(each, relevance, self.measures).mean for each in (run, *others.values())
            }
            values = ", ".join(f"{name} {mean[self.measures[0]]:.3f}" for name, mean in means[split].items())
            log.info("%s of the whole collection on %s: %s", mean_name(self.measures[0]), split, values)
            if split == "test":
                compared = next(iter(others.values()))
                searched = {**self._report(WHOLE_COLLECTION, compared, run), "compared_to": compared.name, "ties": 0}
        results: dict[str, Any] = {"retrieval": means, "test": {WHOLE_COLLECTION: searched}}
        cross_encoder = self.experiment.model.second_stage
        if cross_encoder is not None:  # queries and relevance are now the test's
            results["pipeline"] = pipeline(
                self.retriever, cross_encoder, self.collection, queries, relevance, self.measures, depth, self.cache
            )
        return results
