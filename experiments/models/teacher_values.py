"""Get a teacher's values of all pairs that a training draws before it begins: from a file, or from a model, once.

Shapes: P distinct pairs of the training.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common.code_versions import versions_of
from experiments.common.errors import ExperimentError
from experiments.common.model_files import model_digest
from experiments.config import Model
from experiments.config.teacher_file import KEY, TeacherFile
from experiments.data.batches.drawn_pairs import drawn_pairs
from experiments.data.batches.pair_batches import PairBatcher, TeacherPairs
from experiments.data.collection import Collection
from experiments.data.pair_values import PairValues, rows_of
from experiments.data.score_store import ScoreStore
from experiments.data.teacher_values import Foreign, values_of_file
from experiments.models.compute_cost import CostModel
from experiments.models.teacher import load_teacher, teacher_encoder
from experiments.models.training_setup import TrainingInputs

log = logging.getLogger(__name__)


def teacher_pairs(
    inputs: TrainingInputs, model: Model, batcher: PairBatcher, tokens_per_batch: int
) -> tuple[TeacherPairs, CostModel | None]:
    """Return the values of all pairs that a training draws, and the cost of a model that teaches; None for a file.

    ``batcher``: of the student. ``tokens_per_batch``: of one forward pass of the teacher.

    Raises:
        ExperimentError: the file lacks pairs or cannot be read (see ``values_of_file``), or the model cannot be loaded.
    """
    experiment, collection = inputs.experiment, inputs.collection
    keys_P = drawn_pairs(*inputs.schedule(batcher), len(collection.passages))
    if experiment.teacher_file is not None:
        settings = experiment.teacher_file
        values, foreign = values_of_file(
            Path(experiment.loss["teacher"]),
            format=settings.format,
            value=settings.value,
            repeated=settings.repeated,
            key=KEY,
            collection=collection,
            cache=inputs.cache,
        )
        found = values.only(keys_P)
        check_coverage(found, keys_P, foreign, experiment.loss["teacher"], settings, collection)
        return TeacherPairs(found, masks=settings.masks), None
    return _of_model(inputs, model, keys_P, tokens_per_batch)


def _of_model(
    inputs: TrainingInputs, model: Model, keys_P: NDArray[np.int64], tokens_per_batch: int
) -> tuple[TeacherPairs, CostModel]:
    place, precision = inputs.experiment.loss["teacher"], inputs.precision
    teacher = load_teacher(place, "loss.teacher")
    encoder = teacher_encoder(teacher, inputs.collection, model, inputs.cache)
    scorer = {
        "format": 1,
        "model": model_digest(place, None, "loss.teacher"),
        "collection": inputs.collection.fingerprint,
        "max_length": encoder.max_length,
        "max_query_tokens": encoder.max_query_tokens,
        "precision": precision,
        "code": versions_of("models.teacher", "models.packed_forward", "data.batches.pairs", "data.tokens"),
    }
    count, device = len(inputs.collection.passages), "cuda" if inputs.device == "gpu" else "cpu"

    def score(keys: NDArray[np.int64]) -> NDArray[np.float32]:
        return teacher.pair_scores(
            encoder, *rows_of(keys, count), tokens_per_batch=tokens_per_batch, device=device, precision=precision
        )

    values = ScoreStore(inputs.cache, scorer, count).scores(keys_P, score)
    return TeacherPairs(values, encoder=encoder), teacher.cost


def check_coverage(
    values: PairValues,
    keys_P: NDArray[np.int64],
    foreign: Foreign,
    place: str,
    settings: TeacherFile,
    collection: Collection,
) -> None:
    """Refuse a file that lacks a value of some pairs, or with ``missing=mask`` of too many; else say how many.

    ``values``: of the pairs ``keys_P``. ``foreign``: what of the file is of no use. ``place``: the file.

    Raises:
        ExperimentError: the message says how many pairs of how many lack a value, and names the first.
    """
    lacking = keys_P[~values.at(keys_P)[1]]
    if not len(lacking):
        return
    query_rows, passage_rows = rows_of(lacking[:1], len(collection.passages))
    pair = f"query {collection.queries.id(query_rows[0])!r} with passage {collection.passages.id(passage_rows[0])!r}"
    said = (
        f"loss.teacher: {place} has no value of {len(lacking):,} of the {len(keys_P):,} pairs that are trained on, "
        f"such as {pair}{foreign.said()}"
    )
    if not settings.masks:
        raise ExperimentError(
            f"{said}: draw negatives that it has (negatives.source, negatives.depth), or set {KEY}.missing=mask to "
            f"leave such pairs out"
        )
    share = len(values.keys_P) / len(keys_P)
    if share < settings.coverage or not share:
        raise ExperimentError(
            f"{said}: that leaves {share:.1%}, less than {KEY}.coverage={settings.coverage:g}; draw negatives that it "
            f"has (negatives.source, negatives.depth), or lower {KEY}.coverage"
        )
    log.warning("%s: the loss leaves them out", said)
