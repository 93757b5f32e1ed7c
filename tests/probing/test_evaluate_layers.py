"""A whole probing: measures by layer, beside and on top of first stages; the store; what is written of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import LiteralSource, literal_run, write_tiny_bert
from transformers import AutoModelForSequenceClassification

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config.probe import Probe
from experiments.data.collection import Collection, open_collection
from experiments.evaluation.measure_names import WHOLE_COLLECTION
from experiments.evaluation.significance import paired_bootstrap
from experiments.probing.evaluate_layers import ProbeResult, probe
from experiments.probing.model import ProbedModel, load_model, model_in_memory

TEXTS = ["red cat", "green dog", "blue mouse", "cat dog mouse", "red red green", "dog"]
# Each query is, word for word, the passage that answers it: any layer that tells texts apart finds it.
QUERIES = {"q0": "blue mouse", "q1": "red cat", "q2": "dog"}
RELEVANCE = {0: {2: 1}, 1: {0: 1}, 2: {5: 1}}
# RR@10 of this first stage: 1/2, 1 and 0 (not found)
BM25 = literal_run({0: [1, 2, 0], 1: [0, 4, 3], 2: [1, 3]}, "bm25")
SETTINGS = Probe(max_length=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), TEXTS)


@pytest.fixture(scope="module")
def model(folder: Path) -> ProbedModel:
    return load_model(str(folder), name="tiny")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "store")


@pytest.fixture
def collection(store: Cache) -> Collection:
    passages = [(f"p{i}", text) for i, text in enumerate(TEXTS)]
    judged = {"test": [("q0", "p2", 1), ("q1", "p0", 1), ("q2", "p5", 1)]}
    return open_collection(LiteralSource(passages, list(QUERIES.items()), judged), store)


def probed(model: ProbedModel, collection: Collection, store: Cache, **settings: Any) -> ProbeResult:
    depth = settings.pop("candidates_depth", None)
    return probe(model, replace(SETTINGS, **settings), collection, RELEVANCE, {"bm25": BM25}, store, depth)


def cell(result: ProbeResult, layer: int, candidates: str = WHOLE_COLLECTION, pooling: str = "mean") -> Any:
    (found,) = (one for one in result.cells if (one.layer, one.pooling, one.candidates) == (layer, pooling, candidates))
    return found


def test_every_layer_finds_the_passage_that_is_the_query(model: ProbedModel, collection: Collection, store: Cache):
    result = probed(model, collection, store)
    assert [one.layer for one in result.cells if one.candidates == WHOLE_COLLECTION] == [0, 1, 2]
    for layer in range(3):
        assert cell(result, layer).mean == {"RR@10": 1, "R@100": 1, "nDCG@10": 1, "Hits@10": 1}
        assert list(cell(result, layer).per_query) == [1, 1, 1]


def test_a_first_stage_is_reranked_as_far_as_it_found_the_passage(
    model: ProbedModel, collection: Collection, store: Cache
):
    found = cell(probed(model, collection, store), 1, "bm25")
    assert list(found.per_query) == [1, 1, 0]
    assert found.mean["Hits@10"] == pytest.approx(2 / 3)
    assert (found.ties, found.pairs, found.undecided) == (0, 8, False)


def test_the_first_stage_stands_beside_it_with_intervals(model: ProbedModel, collection: Collection, store: Cache):
    result = probed(model, collection, store)
    assert result.first_stages["bm25"]["RR@10"] == pytest.approx(0.5)
    assert cell(result, 0).differences == {"bm25": paired_bootstrap([0.5, 0, 1])}
    assert cell(result, 0, "bm25").differences == {"bm25": paired_bootstrap([0.5, 0, 0])}


def test_one_query_has_no_interval(model: ProbedModel, collection: Collection, store: Cache):
    run = literal_run({0: [1, 2, 0]}, "bm25")
    result = probe(model, SETTINGS, collection, {0: {2: 1}}, {"bm25": run}, store)
    assert cell(result, 0).differences == {}


def test_embeddings_that_are_all_alike_are_marked_and_logged(
    model: ProbedModel, collection: Collection, store: Cache, caplog: pytest.LogCaptureFixture
):
    result = probed(model, collection, store, layers=[0, 1], pooling=["cls"])
    alike = cell(result, 0, "bm25", "cls")
    assert (alike.ties, alike.pairs, alike.undecided) == (5, 8, True)
    assert alike.mean == result.first_stages["bm25"]  # as if it were as good
    assert not cell(result, 1, "bm25", "cls").undecided
    assert "layer 0, cls: most passages of bm25 tie and keep its order" in caplog.text


def test_the_same_probing_is_read_from_the_store(model: ProbedModel, collection: Collection, store: Cache):
    first = probed(model, collection, store)
    again = probed(model, collection, store, layers=[2, 1, 0])
    assert again == first
    assert (store.builds["probe"], store.builds["layer_embeddings"]) == (1, 2)


def test_another_similarity_is_measured_from_the_same_embeddings(
    model: ProbedModel, collection: Collection, store: Cache
):
    probed(model, collection, store)
    probed(model, collection, store, similarity="dot", whiten="standardise")
    assert (store.builds["probe"], store.builds["layer_embeddings"]) == (2, 2)


def test_other_relevance_and_other_runs_are_other_results(model: ProbedModel, collection: Collection, store: Cache):
    probed(model, collection, store)
    probe(model, SETTINGS, collection, {**RELEVANCE, 2: {3: 1}}, {"bm25": BM25}, store)
    probe(model, SETTINGS, collection, RELEVANCE, {"bm25": literal_run({0: [2, 1]}, "bm25")}, store)
    assert store.builds["probe"] == 3


def test_a_cross_encoder_just_trained_is_probed_as_its_folder_is(
    folder: Path, model: ProbedModel, collection: Collection, store: Cache, tmp_path: Path
):
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).train()
    with torch.no_grad():
        network.bert.encoder.layer[0].output.dense.weight.add_(0.1)
    in_memory = probed(model_in_memory(network, model.tokenizer, "job"), collection, store)
    network.save_pretrained(tmp_path / "job")
    model.tokenizer.save_pretrained(tmp_path / "job")
    from_folder = probed(load_model(str(tmp_path / "job"), name="job"), collection, store)
    assert from_folder == in_memory
    assert store.builds["probe"] == 1
    assert in_memory.weights != model.weights


def test_metrics_are_json_without_single_queries(model: ProbedModel, collection: Collection, store: Cache):
    metrics = json.loads(json.dumps(probed(model, collection, store, layers=1).as_dict()))
    assert (metrics["model"], metrics["layers"], metrics["queries"]) == ("tiny", 2, 3)
    assert metrics["settings"]["layers"] == [1]
    assert metrics["settings"]["pairing"] == "self"
    whole, reranked = metrics["cells"]
    assert (whole["candidates"], reranked["candidates"]) == (WHOLE_COLLECTION, "bm25")
    assert whole["mean"]["RR@10"] == 1
    assert whole["differences"]["bm25"]["mean"] == pytest.approx(0.5)
    assert "per_query" not in whole


def test_columns_hold_the_first_measure_by_query(model: ProbedModel, collection: Collection, store: Cache):
    columns = probed(model, collection, store, layers=1).columns()
    assert columns == {"layer1:mean:whole_collection": [1, 1, 1], "layer1:mean:bm25": [1, 1, 0]}


def test_the_table_has_a_row_a_cell_with_the_layer_first(model: ProbedModel, collection: Collection, store: Cache):
    names, rows = probed(model, collection, store).table()
    assert names[:4] == ["layer", "pooling", "candidates", "RR@10"]
    assert names[-4:] == ["compared_to", "difference", "low", "high"]
    assert [row[:4] for row in rows[:2]] == [
        [0, "mean", WHOLE_COLLECTION, 1],
        [0, "mean", "bm25", pytest.approx(2 / 3)],
    ]
    assert {len(row) for row in rows} == {len(names)}


def test_the_first_measure_has_the_intervals(model: ProbedModel, collection: Collection, store: Cache):
    result = probed(model, collection, store, measures=["Hits@10", "RR@10"])
    assert result.measure == "Hits@10"
    assert cell(result, 0).differences == {"bm25": paired_bootstrap(np.array([0, 0, 1]))}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 4}, "probe.layers has 4, but 'tiny' has 2 layers"),
        ({"layers": []}, "probe.layers is empty"),
        ({"pairing": "twice"}, "probe.pairing is 'twice'"),
        ({"pooling": ["max"]}, "probe.pooling is 'max'"),
        ({"similarity": "l2"}, "probe.similarity is 'l2'"),
        ({"whiten": "pca"}, "probe.whiten is 'pca'"),
        ({"max_length": 65}, "64 positions"),
        ({"depth": 0}, "probe.depth is 0"),
        ({"measures": []}, "probe.measures is empty"),
        ({"depth": 50}, "probe.measures: R@100 looks at 100 passages, but probe.depth=50"),
        ({"candidates_depth": 5}, "probe.measures: RR@10 looks at 10 passages, but first_stage_depth=5"),
        ({"measures": ["Hits@10", "Success@10"]}, "Hits@10 and Success@10 are one measure"),
        ({"measures": ["Hits"]}, "probe.measures: 'Hits' is no measure"),
    ],
)
def test_bad_settings_are_named_before_anything_is_encoded(
    model: ProbedModel, collection: Collection, store: Cache, settings: dict[str, Any], message: str
):
    with pytest.raises(ExperimentError, match=message):
        probed(model, collection, store, **settings)
    assert "layer_embeddings" not in store.builds


def test_a_measure_that_looks_deeper_than_the_first_stages_is_of_the_whole_collection_alone(
    model: ProbedModel, collection: Collection, store: Cache
):
    result = probed(model, collection, store, candidates_depth=50)
    assert list(cell(result, 2).mean) == ["RR@10", "R@100", "nDCG@10", "Hits@10"]
    assert list(cell(result, 2, "bm25").mean) == ["RR@10", "nDCG@10", "Hits@10"]
    assert list(result.first_stages["bm25"]) == ["RR@10", "nDCG@10", "Hits@10"]
    names, rows = result.table()
    assert [row[names.index("R@100")] is None for row in rows] == [row[2] == "bm25" for row in rows]
    assert probed(model, collection, store, candidates_depth=100).settings == probed(model, collection, store).settings


def test_no_queries_and_a_taken_name_are_refused(model: ProbedModel, collection: Collection, store: Cache):
    with pytest.raises(ExperimentError, match="no queries with judgements"):
        probe(model, SETTINGS, collection, {}, {}, store)
    with pytest.raises(ExperimentError, match=f"may not be called {WHOLE_COLLECTION}"):
        probe(model, SETTINGS, collection, RELEVANCE, {WHOLE_COLLECTION: BM25}, store)
