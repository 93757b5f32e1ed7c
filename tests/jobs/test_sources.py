"""Which retriever negatives come from and which one is re-ranked: whole jobs on a tiny model, a ColBERT made first."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.jobs import composed, job_override, run, tiny_overrides
from helpers.seals import reseal

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.jobs.check_jobs import _check_prerequisites
from experiments.jobs.components import make_components
from experiments.jobs.job_states import JobStates
from experiments.jobs.prerequisites import components_of, compose_prerequisite, prerequisites_of
from experiments.studies.current_inputs import InputLoader

COLBERT = ["model=colbert", "model.max_length=48", "model.max_query_tokens=16", "model.dimension=16"]
SIZES = ["batch.size=8", "budget.size=32", "validation.times=2", "validation.depth=10", "first_stage_depth=10"]


@pytest.fixture(scope="module")
def colbert(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> tuple[dict[str, Any], Path]:
    overrides = tiny_overrides(tmp_path_factory.mktemp("colbert"), data, backbone)
    return run([*overrides, *COLBERT, *SIZES])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> tuple[dict[str, Any], Path]:
    job = [*COLBERT, *SIZES, "backbone=local", f"backbone.path={backbone}", "backbone.name=random-bert"]
    job += ["negatives.depth=20", "negatives.count=3", "optimizer.lr=1e-3"]
    overrides = tiny_overrides(tmp_path_factory.mktemp("mixed"), data, backbone, "retriever=[bm25,colbert]")
    overrides += [job_override("retrievers.colbert.job", " ".join(job)), "negatives.source=bm25+colbert"]
    return run([*overrides, "first_stage=[bm25,colbert]"])


def test_a_colbert_job_measures_what_it_finds_in_the_whole_collection(colbert):
    metrics, folder = colbert
    assert metrics["labels"]["model"] == "colbert"
    assert metrics["retrieval"].keys() == {"dev", "test"}
    assert metrics["retrieval"]["test"].keys() == {"colbert", "bm25"}
    assert metrics["retrieval"]["test"]["bm25"] == metrics["test"]["bm25"]["first_stage"]
    with gzip.open(folder / "run.whole_collection.trec.gz", "rt") as file:
        assert len({line.split()[0] for line in file}) == 12


def test_the_same_seed_gives_the_same_colbert(colbert, tmp_path: Path, data: Path, backbone: Path):
    metrics, folder = colbert
    again, other = run([*tiny_overrides(tmp_path, data, backbone), *COLBERT, *SIZES])
    assert again["retrieval"] == metrics["retrieval"]
    weights = [(one / "model" / "model.safetensors").read_bytes() for one in (folder, other)]
    assert weights[0] == weights[1]


def test_its_re_ranked_scores_are_those_of_the_exported_model(colbert, data: Path):
    from sentence_transformers import MultiVectorEncoder

    _, folder = colbert
    passages = {one["_id"]: f"{one['title']} {one['text']}" for one in map(json.loads, (data / "corpus.jsonl").open())}
    queries = {one["_id"]: one["text"] for one in map(json.loads, (data / "queries.jsonl").open())}
    model = MultiVectorEncoder(str(folder / "model"), device="cpu")
    with gzip.open(folder / "run.bm25.trec.gz", "rt") as file:
        rows = [line.split() for line in file][:20]
    for query, _, passage, _, score, _ in rows:
        theirs = model.similarity(model.encode_query([queries[query]]), model.encode_document([passages[passage]]))
        assert float(theirs[0, 0]) == pytest.approx(float(score), abs=2e-3), "embeddings are kept as fp16"


def test_a_job_trains_the_retriever_that_it_names_first(mixed):
    _, folder = mixed
    (made,) = (folder.parents[1] / "for_colbert").glob("colbert-lce-*/status.json")
    assert json.loads(made.read_text())["state"] == "finished"


def test_every_model_re_ranks_every_first_stage_from_one_training(mixed):
    metrics, folder = mixed
    assert metrics["test"].keys() == {"bm25", "colbert"}
    for name in ("bm25", "colbert"):
        rows = list(csv.DictReader((folder / f"per_query.{name}.tsv").open(), delimiter="\t"))
        mean = np.mean([float(row["RR@10"]) for row in rows])
        assert mean == pytest.approx(metrics["test"][name]["RR@10"], abs=1e-5)
    assert metrics["test"]["bm25"]["first_stage_digest"] != metrics["test"]["colbert"]["first_stage_digest"]


def test_a_mixture_draws_from_both_sources(mixed):
    _, folder = mixed
    audit = json.loads((folder / "audit.json").read_text())
    assert audit["source"] == "bm25+colbert"
    drawn = {name: one["negatives_drawn"] for name, one in audit["by_source"].items()}
    assert sum(drawn.values()) == 96
    assert min(drawn.values()) > 30, "half each, up to odd counts"


def test_a_retriever_trained_once_is_not_trained_again(mixed, data: Path, backbone: Path):
    _, folder = mixed
    (status,) = (folder.parents[1] / "for_colbert").glob("colbert-lce-*/status.json")
    before = status.stat().st_mtime_ns
    config = composed(*_overrides_of(folder))
    components_of(compose.check(config))
    assert status.stat().st_mtime_ns == before


def _overrides_of(folder: Path) -> list[str]:
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    job = json.dumps(settings["retrievers"]["colbert"]["job"]).replace('"', "")
    return [
        "data=beir", f"data.path={settings['data']['path']}", "retriever=[bm25,colbert]", "first_stage=[colbert]",
        f"++retrievers.colbert.job={job}", "trainer=cpu", "compute.threads=1", "logger=none",
        f"outputs={settings['outputs']}", f"cache={settings['cache']}",
    ]  # fmt: skip


def test_a_retrained_retriever_makes_a_finished_job_run_again(mixed):
    _, folder = mixed
    inputs = json.loads((folder / "status.json").read_text())["inputs"]
    assert inputs.keys() == {"collection", "backbone", "loss", "code", "retrievers.colbert"}
    config = yaml.safe_load((folder / "config.yaml").read_text())
    experiment = compose.restored(config)
    first = prerequisites_of(experiment)
    assert JobStates().of(folder, experiment, first).state == "done"
    assert InputLoader()(config).prerequisites() == []
    note = first[0].folder / "status.json"
    before = note.read_text()
    note.write_text(before.replace(json.loads(before)["inputs"]["backbone"], "0" * 32))
    reseal(note.parent)
    try:
        changed = JobStates().of(folder, experiment, first)
        assert (changed.state, changed.why) == ("changed", "retrievers.colbert (its job has changed inputs: backbone)")
        assert InputLoader()(config).prerequisites() == [
            "the job that trains retrievers.colbert has changed inputs: backbone"
        ]
    finally:
        note.write_text(before)
        reseal(note.parent)


def test_injected_gold_stands_among_the_candidates(colbert, tmp_path: Path, data: Path, backbone: Path):
    depth = ["first_stage_depth=1", "measures=[RR@1,R@1]"]
    overrides = tiny_overrides(tmp_path, data, backbone, "first_stage_inject_gold=true", *depth)
    metrics, folder = run(overrides)
    assert metrics["labels"]["gold"] == "injected"
    with gzip.open(folder / "run.bm25.trec.gz", "rt") as file:
        found = {(line.split()[0], line.split()[2]) for line in file}
    for line in (data / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, passage, _ = line.split("\t")
        assert (query, passage) in found
    assert metrics["test"]["bm25"]["first_stage"]["R@1"] < 1, "the first stage itself is measured as it was"


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("model=colbret", r"retrievers\.colbert\.job: Could not find 'model/colbret'"),
        ("model=colbert negatives.count=32", r"retrievers\.colbert\.job: .*negatives\.count is 32"),
    ],
)
def test_a_job_of_a_retriever_is_checked_before_anything_runs(data: Path, job: str, message: str):
    config = composed(
        "data=beir",
        f"data.path={data}",
        "retriever=[bm25,colbert]",
        "first_stage=[colbert]",
        job_override("retrievers.colbert.job", job),
    )
    experiment = compose.check(config)
    with pytest.raises(ExperimentError, match=message):
        _check_prerequisites(experiment)


def test_a_fusion_is_a_first_stage_and_a_source_of_negatives(tmp_path: Path, data: Path, backbone: Path):
    fusion = ["retriever=[bm25,fusion]", "+retriever@retrievers.tuned=bm25", "retrievers.tuned.b=0.9"]
    fusion += ["retrievers.fusion.of=[bm25,tuned]", "negatives.source=fusion", "first_stage=[bm25,fusion]"]
    metrics, folder = run([*tiny_overrides(tmp_path, data, backbone), *fusion, "budget.size=8"])
    assert metrics["test"].keys() == {"bm25", "fusion"}
    assert metrics["labels"]["source"] == "fusion"
    assert json.loads((folder / "status.json").read_text())["inputs"]["code"].count("fusion 1") == 1
    assert (folder / "per_query.fusion.tsv").is_file()


def test_candidates_that_go_round_in_a_circle_are_refused(data: Path):
    config = composed(
        "data=beir", f"data.path={data}", "retriever=[bm25,colbert]", "first_stage=[colbert]",
        "retrievers.colbert.candidates_from=colbert",
    )  # fmt: skip
    with pytest.raises(ExperimentError, match=r"goes round in a circle: colbert -> colbert"):
        make_components(compose.check(config))


def test_a_job_that_would_need_itself_is_refused(data: Path):
    parent = compose.check(composed("data=beir", f"data.path={data}"))
    with pytest.raises(ExperimentError, match=r"retrievers\.colbert\.job: this job would need itself done first"):
        compose_prerequisite("retrievers.colbert.job", {"model": "colbert"}, parent, chain=("model=colbert",))
