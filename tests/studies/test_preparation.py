"""What a plan does besides training and scoring: stages, hours, memory and disk, worked out by hand."""

from pathlib import Path

import pytest
from helpers.jobs import composed, run, tiny_overrides
from helpers.tiny import write_beir_folder

from experiments.common import stage_rates as rates
from experiments.config import Experiment, compose
from experiments.jobs.prerequisites import prerequisites_of
from experiments.studies.data_sizes import DataSize
from experiments.studies.needs import shape_of
from experiments.studies.needs_report import preparation_lines
from experiments.studies.preparation import BERT_BASE, Preparation, Stage, stages_of

MILLION = [
    "data=synthetic", "data.source.passages=1000000", "data.source.train=20000", "data.source.dev=50",
    "data.source.test=100", "data.queries.train=null", "data.queries.dev=null", "data.queries.test=null",
    "backbone=bert_tiny", "model.max_length=128", "negatives.depth=200", "validation.depth=10", "first_stage_depth=100",
]  # fmt: skip


def stages(*overrides: str) -> dict[str, Stage]:
    """The stages of one job by name."""
    config = composed(*overrides)
    experiment: Experiment = compose.check(config, parts=False)
    found = stages_of([(experiment, compose.plain(config)["data"], prerequisites_of(experiment))])
    assert len({stage.what for stage in found}) == len(found)
    return {stage.what: stage for stage in found}


def test_the_processors_stages_follow_from_their_rates(tmp_path: Path):
    """A million passages at 23,000, 7,000 and 18,000 a second, 600 queries a second."""
    found = stages(*MILLION, f"cache={tmp_path}")
    assert {what: round(stage.seconds or 0, 2) for what, stage in found.items()} == {
        "read synthetic": 43.48,
        "tokens of synthetic for bert-tiny, 128 at most": 142.86,
        "index of bm25": 55.56,
        "bm25's top 200 of 20,000 train queries": 33.33,
        "bm25's top 10 of 50 dev queries": 0.08,
        "bm25's top 100 of 100 test queries": 0.17,
    }
    assert not any(stage.operations for stage in found.values())
    assert found["read synthetic"].disk == rates.READ.disk * 1_000_000
    assert found["index of bm25"].memory == rates.INDEX.base + rates.INDEX.memory * 1_000_000
    assert found["bm25's top 200 of 20,000 train queries"].disk == 12 * 20_000 * 200


def test_longer_texts_take_longer():
    """A job on texts of twice the bytes, with half a million passages."""
    config = composed(*MILLION)
    experiment: Experiment = compose.check(config, parts=False)
    size = DataSize("twice", None, 500_000, {"train": 20_000, "dev": 50, "test": 100}, 2.0 * rates.BYTES_A_PASSAGE)
    found = {stage.what: stage for _, stage in Preparation(experiment, size, ()).stages()}
    assert found["index of bm25"].seconds == pytest.approx(1_000_000 / 18_000)
    assert found["read twice"].disk == rates.READ.disk * 1_000_000
    assert found["read twice"].memory == rates.READ.base + rates.READ.memory * 500_000, "ids are no longer"
    assert found["index of bm25"].disk == pytest.approx(rates.INDEX.disk * 500_000 * 2**0.7), "words repeat"
    tokens = found["tokens of twice for bert-tiny, 128 at most"]
    assert tokens.disk == pytest.approx(rates.TOKENISE.disk * 500_000 * 128 / 80), "160 tokens are cut to 128"


def test_documents_are_known_to_be_longer(tmp_path: Path):
    """3,213,835 documents of 6,900 bytes where 289 were measured."""
    found = stages("data=msmarco_document", "backbone=bert_tiny", f"cache={tmp_path}")
    assert found["read msmarco-document"].seconds == pytest.approx(3_213_835 * 6_900 / 289 / 23_000)


def test_jobs_share_a_stage(tmp_path: Path):
    """A second seed needs nothing more, a second setting of BM25 its index and runs."""
    jobs = []
    for override in ("seed=1", "seed=2", "retrievers.bm25.k1=3.8"):
        config = composed(*MILLION, f"cache={tmp_path}", override)
        jobs.append((compose.check(config, parts=False), compose.plain(config)["data"], ()))
    assert [len(stages_of(jobs[:count])) for count in (1, 2, 3)] == [6, 6, 10]


def test_a_single_vector_model_encodes_every_passage_once(tmp_path: Path):
    found = stages(*MILLION, f"cache={tmp_path}", "retriever=[bm25,tct_colbert]", "negatives.source=tct_colbert")
    vectors = found["tct_colbert's vectors of passages"]
    assert vectors.operations == 1_000_000 * BERT_BASE.forward(80)
    assert vectors.disk == 1_000_000 * 768 * 4
    assert vectors.download == ("castorini/tct_colbert-v2-hnp-msmarco", 4 * BERT_BASE.weights)
    searched = found["tct_colbert's top 200 of 20,000 train queries"]
    assert searched.operations == 2 * 20_000 * 1_000_000 * 768


def test_a_colbert_has_a_vector_of_every_token(tmp_path: Path):
    checkpoint = "retrievers.colbert.checkpoint=colbert-ir/colbertv2.0"
    found = stages(*MILLION, f"cache={tmp_path}", "retriever=[bm25,colbert]", "first_stage=[colbert]", checkpoint)
    assert found["colbert's vectors of passages"].disk == 1_000_000 * 80 * 128 * 2


def test_a_colbert_over_candidates_encodes_these_alone(tmp_path: Path):
    """100 test and 50 dev queries with 1,000 candidates each, of BM25's run, which is needed too."""
    over = ["first_stage=[colbert]", "retrievers.colbert.candidates_from=bm25", "retrievers.colbert.candidates=1000"]
    checkpoint = "retrievers.colbert.checkpoint=colbert-ir/colbertv2.0"
    found = stages(*MILLION, f"cache={tmp_path}", "retriever=[bm25,colbert]", checkpoint, *over)
    assert "bm25's top 1,000 of 100 test queries" in found
    assert found["colbert's vectors of dev candidates"].disk == 50 * 1000 * 80 * 128 * 2
    assert found["colbert's vectors of test candidates"].disk == 100 * 1000 * 80 * 128 * 2


def test_a_retriever_that_is_trained_first_has_the_shape_of_its_job(tmp_path: Path):
    overrides = [*MILLION, f"cache={tmp_path}", f"outputs={tmp_path}", "retriever=[bm25,colbert]"]
    found = stages(*overrides, "first_stage=[colbert]")
    shape = shape_of(compose.check(composed(*overrides), parts=False).backbone)
    assert shape is not None
    assert found["colbert's vectors of passages"].operations == 1_000_000 * shape.forward(80)


def test_a_fusion_needs_the_deep_runs_of_what_it_fuses(tmp_path: Path):
    fused = ["retriever=[bm25,bm25_tuned,fusion]", "retrievers.fusion.of=[bm25,bm25_tuned]", "first_stage=[fusion]"]
    found = stages(*MILLION, f"cache={tmp_path}", *fused)
    assert {"bm25's top 1,000 of 100 test queries", "bm25_tuned's top 1,000 of 100 test queries"} <= {*found}


def test_trained_models_that_search_encode_the_collection_each(tmp_path: Path):
    jobs = []
    for seed in (1, 2):
        config = composed(*MILLION, f"cache={tmp_path}", "model=colbert", "model.dimension=32", f"seed={seed}")
        jobs.append((compose.check(config, parts=False), compose.plain(config)["data"], ()))
    found = {stage.what: stage for stage in stages_of(jobs)}
    shape = shape_of(jobs[0][0].backbone)
    assert shape is not None
    assert found["vectors of synthetic by 2 trained models"].operations == 2 * 1_000_000 * shape.forward(80)
    assert found["vectors of synthetic by 2 trained models"].disk == 2 * 1_000_000 * 80 * 32 * 2


def test_a_probed_model_keeps_a_vector_of_every_layer(tmp_path: Path):
    """BERT 2 x 128: the embeddings and two layers; a passage with itself has at most model.max_length tokens."""
    found = stages(*MILLION, f"cache={tmp_path}", "probe.layers=all")
    assert found["vectors of synthetic by 1 trained model"].disk == 1_000_000 * 3 * 128 * 2


def test_data_that_nobody_counted_is_said_not_to_be_known(tmp_path: Path):
    folder = write_beir_folder(tmp_path / "beir")
    found = stages("data=beir", f"data.path={folder}", f"cache={tmp_path / 'cache'}")
    assert found["read beir"].seconds is None
    said = preparation_lines(list(found.values()), "a100", 1e12)
    assert f"(and {len(found)} stages of which it is not known)" in said[0]


def test_what_a_job_left_in_the_cache_is_not_counted(tmp_path: Path, backbone: Path):
    folder = write_beir_folder(tmp_path / "beir")
    overrides = tiny_overrides(tmp_path, folder, backbone)
    assert len(stages(*overrides)) == 6
    run(overrides)
    assert stages(*overrides, "seed=2") == {}
    assert [*stages(*overrides, "negatives.depth=30")] == ["bm25's top 30 of 40 train queries"]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (Stage("read", 3600.0, 0.0, 2e9, 1e9), "60 min of two cores; up to 2.0 GB of main memory at a time, 1.0 GB of"),
        (Stage("encode", 0.0, 7.2e15, 2e9, 3e9), "0 s of two cores, 2 h 00 min on the a100; up to 2.0 GB"),
    ],
)
def test_the_sums_say_where_the_time_goes(stage: Stage, said: str):
    """7.2e15 operations at 1e12 a second are two hours."""
    assert said in preparation_lines([stage], "a100", 1e12)[0]


def test_a_bert_is_a_bert():
    """The checkpoints of the hub that retrievers name are BERT base."""
    assert shape_of(compose.check(composed("backbone=bert_base"), parts=False).backbone) == BERT_BASE
