"""The config tree: every file of every group composes and makes its part; what is wrong names its key."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.jobs import ROOT, composed
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import Experiment, compose
from experiments.jobs import prerequisites
from experiments.jobs.check_jobs import check_jobs

# What a file leaves open (???) and so must be given with it.
NEEDS = {
    ("data", "beir"): ["data.path=x"],
    ("data", "msmarco"): ["data.path=x"],
    ("data", "ir_datasets"): ["data.source.splits.train=a", "data.source.splits.test=b"],
    ("backbone", "local"): ["backbone.path=x"],
    ("retriever", "run_file"): ["retrievers.run_file.path=x"],
    ("model", "checkpoint"): ["model.path=some/model"],
    ("tests", "beir"): ["tests.beir.data.path=x"],
    ("retriever", "negatives_file"): ["retrievers.negatives_file.path=x"],
    ("retriever", "fusion"): ["+retriever@retrievers.tuned=bm25", "retrievers.fusion.of=[bm25,tuned]"],
}
GROUPS = sorted(
    (file.parent.name, file.stem) for file in (ROOT / "conf").glob("*/*.yaml") if file.parent.name != "sweeps"
)


def value_of(group: str, option: str) -> str:
    if group == "debug":  # no config has one unless it is asked for
        return f"+debug={option}"
    return f"retriever=[bm25,{option}]" if group == "retriever" and option != "bm25" else f"{group}={option}"


@pytest.mark.parametrize(("group", "option"), GROUPS)
def test_every_file_of_every_group_composes_and_passes_the_checks(group: str, option: str):
    config = composed(value_of(group, option), *NEEDS.get((group, option), []))
    assert isinstance(compose.check(config), Experiment)


@pytest.mark.parametrize(("group", "option"), GROUPS)
def test_every_file_of_every_group_says_in_its_first_lines_what_it_is(group: str, option: str):
    lines = (ROOT / "conf" / group / f"{option}.yaml").read_text().splitlines()
    said = [line for line in lines[:2] if line.startswith("# ") and not line.startswith("# @package")]
    assert len(said) == 1, "one comment that says what the file is"


def test_presets_of_the_papers_are_the_recipes_facts():
    gao, pradeep, nogueira = (
        compose.check(composed(f"negatives={name}")).negatives for name in ("gao2021", "pradeep2022", "nogueira2019")
    )
    assert (gao.depth, gao.pool, gao.count, gao.replacement, gao.positives) == (100, 10, 7, False, "all")
    assert (pradeep.depth, pradeep.pool, pradeep.replacement, pradeep.positives) == (200, None, True, "retrieved")
    assert (nogueira.depth, nogueira.count) == (1000, 1)


def test_paper_scale_is_pradeeps_setting():
    experiment = compose.check(composed("scale=paper"))
    assert experiment.backbone.path == "google/electra-base-discriminator"
    assert (experiment.model.max_length, experiment.model.max_query_tokens) == (256, 50)
    assert experiment.budget.size // experiment.batch.queries(31) == 30_000
    assert experiment.optimizer.lr == 1e-5
    assert experiment.scheduler == {
        "_target_": "experiments.models.schedules.inverse_time", "warmup": 3000, "decay": 1.0
    }  # fmt: skip
    assert experiment.first_stage_depth == 1000


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("negatives.count=0", "negatives.count is 0: a group has 1 to 31 negatives"),
        ("negatives.count=32", "negatives.count is 32: a group has 1 to 31 negatives"),
        ("negatives.depth=0", "negatives.depth is 0"),
        (
            "negatives.source=colbert",
            r"negatives.source is 'colbert': it must be one of the composed retrievers \(bm25\)",
        ),
        ("first_stage=[bm25,splade]", r"first_stage is 'splade'"),
        ("first_stage=[]", "first_stage is empty"),
        ("negatives.source=bm25+", r"negatives.source is 'bm25\+': it must be a retriever, or several joined by"),
        ("negatives.source=bm25+splade", r"negatives.source is 'splade': it must be one of"),
        ("+retrievers.bm25.candidates_from=splade", r"retrievers.bm25.candidates_from is 'splade'"),
        ("+retrievers.bm25.name=other", r"retrievers.bm25.name cannot be set: a retriever is called by its key"),
        ("seed=-1", "seed is -1: it must be at least 0"),
        ("seed=4294967296", "seed is 4294967296: it must be at most 4294967295"),
        ("budget.unit=epochs", "budget.unit is 'epochs': it must be one of groups, pairs, tokens"),
        ("budget.size=0", "budget.size is 0"),
        ("batch={unit: pairs, size: 12}", "batch.size=12 pairs is no multiple of a group's 8"),
        (
            "batch.size=16;trainer.devices=3",
            "trainer.devices=3 cannot evenly share the 16 queries of a step",
        ),
        ("trainer.precision=bf16-true", "trainer.precision=bf16-true .* set trainer.precision=bf16-mixed"),
        ("optimizer.lr=0", "optimizer.lr is 0.0: it must be above 0"),
        ("optimizer.schedule=cosine", r"optimizer.schedule has moved: set scheduler \(such as scheduler=linear\)"),
        ("+optimizer.warmup=3", "optimizer.warmup has moved: set scheduler.warmup instead"),
        ("scheduler.warmup=-1", "scheduler.warmup is -1: it must be at least 0"),
        ("scheduler.decay=2", "scheduler.decay does not exist: experiments.models.schedules.linear takes warmup"),
        ("optimizer.weight_decy=0", r"optimizer.weight_decy does not exist \(did you mean optimizer.weight_decay"),
        ("optimizer=sgd;optimizer.eps=1e-6", "optimizer.eps does not exist: torch.optim.SGD takes"),
        ("optimizer.eps=0", "optimizer.eps is 0: it must be above 0"),
        ("trainer.threads=1", "trainer.threads has moved: set compute.threads instead"),
        ("trainer.tokens_per_batch.train=64", "trainer.tokens_per_batch has moved: set compute.tokens_per_batch"),
        ("compute.layout=dense", "compute.layout is 'dense': it must be one of auto, packed, compiled, padded"),
        ("trainer.gradient_clip_val=1", "trainer.gradient_clip_val is set by the framework: use optimizer.clip"),
        ("trainer.profilr=simple", r"trainer.profilr does not exist \(did you mean trainer.profiler\?\)"),
        ("callbacks.early_stopping.patience=2", "callbacks.early_stopping has no _target_"),
        ("callbacks=early_stopping;callbacks.early_stopping.patence=2", r"did you mean callbacks.early_stopping.pati"),
        ("callbacks.checkpoint.interval=2", "callbacks.checkpoint.interval does not exist: .* takes minutes"),
        ("callbacks.checkpoint.minuts=2", r"did you mean callbacks.checkpoint.minutes\?"),
        ("callbacks.checkpoint=null", "callbacks.checkpoint has no _target_"),
        ("callbacks.mine._target_=nowhere.Mine", "callbacks.mine._target_: nowhere.Mine cannot be imported"),
        ("callbacks.swa._target_=pytorch_lightning.callbacks.StochasticWeightAveraging", "callbacks=average_last"),
        ("logger.mode=none", "logger.mode is 'none': it must be one of auto, online, offline, disabled"),
        ("logger=csv;+logger.projct=x", "logger.projct does not exist: pytorch_lightning.loggers.CSVLogger takes"),
        ("probe.layers=[]", "probe.layers is empty"),
        ("probe.layers=some", "probe.layers is 'some'"),
        ("probe.pairing=twice", "probe.pairing is 'twice'"),
        ("model=colbert;probe.layers=all", "only a cross-encoder's layers are probed"),
        ("measures=[XX@10]", "ir-measures does not know 'XX@10'"),
        ("measures=[]", "measures is empty"),
        ("measures=[RR@10,MRR@10]", "measures: RR@10 and MRR@10 are one measure"),
        ("probe.measures=[AP,MAP]", "probe.measures: AP and MAP are one measure"),
        ("measures=[RR@10,NumQ]", "measures: NumQ counts queries and scores none"),
        ("measures=[RR@10,alpha_nDCG@20]", "measures: alpha_nDCG@20 cannot be computed here"),
        ("probe.measures=[NRBP]", r"probe.measures: NRBP cannot be computed here: .*pip install"),
        ("measures=[RR@10,R@100]", "measures: R@100 looks at 100 passages, but first_stage_depth=50"),
        ("data.min_grade=2;measures=[R@100]", r"measures: R\(rel=2\)@100 looks at 100 passages"),
        ("first_stage_depth=5", r"RR@10 and nDCG@10 look at up to 10 passages, .* measure RR@5 and nDCG@5"),
        ("probe=all_layers;probe.measures=[R@200]", "probe.measures: R@200 looks at 200 passages, but probe.depth=100"),
        ("probe=all_layers;probe.measures=[R@80]", "probe.measures: R@80 looks at 80 .* first_stage_depth=50"),
        ("+table={title: t, source: s, measure: P@5}", "table.measure is P@5, which the jobs do not measure"),
        ("+foo=1", "there is no key foo; the keys are data, backbone"),
        ("retrieve.split=eval", "retrieve.split is 'eval': it must be one of train, dev, test"),
        ("audit.depths=[]", "audit.depths is empty"),
        ("audit.sources=[splade]", "audit.sources is 'splade': it must be one of the composed retrievers"),
        ("negatives.filter.near_duplicate=0", "near_duplicate is 0.0"),
        ("negatives.filter.absolute_margin=0", "absolute_margin needs negatives.filter.scorer"),
        ("model=colbert;loss=bce_two_class", "model=colbert has one score for a pair"),
        ("+loss.fn.margin=1", "loss.fn.margin does not exist: experiments.losses.lce.lce takes no setting"),
        ("loss=hinge;+loss.margin=2", "loss.margin does not exist: .* set loss.fn.margin"),
        ("+loss.nmae=x", r"there is no key loss.nmae: did you mean loss.name\?"),
        ("loss=hinge;+loss.fn.margn=1", r"loss.fn.margn does not exist \(did you mean loss.fn.margin\?\)"),
        ("+loss.fn.scores_QN=1", "loss.fn.scores_QN does not exist"),
        ("+loss.fn._partail_=true", "loss.fn._partail_ does not exist"),
        ("+negatives.redrw=never", r"there is no key negatives.redrw: did you mean negatives.redraw\? The keys of"),
        ("+negatives.filter.near_dup=1", "negatives.filter.near_dup: did you mean negatives.filter.near_duplicate"),
        ("+trainer.max_steps=3", "trainer.max_steps is set by the framework: use budget.size instead"),
        ("+data.queries.trian=5", r"data.queries.trian: did you mean data.queries.train\?"),
        ("+model.lr=3", r"there is no key model.lr: did you mean optimizer.lr\?"),
        ("+data.source.titel=false", "data.source.titel does not exist"),
        ("model=colbert;batch.checkpoint=true", "batch.checkpoint=true recomputes the activations of a cross-encoder"),
        (
            "model=colbert;+model.fresh_pooler=random",
            "there is no key model.fresh_pooler; the keys of model are _target_",
        ),
        ("model=checkpoint;model.path=x;compute.layout=packed", "model=checkpoint is computed with padding"),
        ("model.rank_by=positive_logit", r"needs model\.logits=2"),
        ("model._target_=experiments.models.colbret.config.C", "model._target_: experiments.models.colbret.* imported"),
        (
            "model._target_=experiments.config.data.Data",
            "experiments.config.data.Data is no model: it must be a dataclass",
        ),
        ("model._target_=experiments.config.model.Model", "experiments.config.model.Model is no model"),
        (
            "loss=margin_mse;loss.job='loss=bce seed=2'",
            r"is 'loss=bce seed=2': write .*: {loss: bce, seed: 2}",
        ),
        ("retriever=[bm25,colbert];retrievers.colbert.job=a", r"as a mapping, retrievers.colbert.job: {loss: lce, neg"),
        ("model=dual_encoder;model.job='loss=lce'", r"model.job: {loss: lce}"),
        ("data=beir", "data.path must be given"),
    ],
)
def test_a_value_out_of_range_names_its_key_and_what_is_allowed(override: str, message: str):
    with pytest.raises((ExperimentError, OmegaConfBaseException)) as found:
        compose.check(composed(*override.split(";")))
    assert re.search(message, compose.explain(found.value))


def test_measures_follow_the_depth_of_the_run():
    experiment = compose.check(composed("first_stage_depth=10", "validation.depth=10"))
    assert experiment.measures == ["RR@10", "nDCG@10", "R@10", "AP"]
    assert compose.plain(composed())["measures"] == ["RR@10", "nDCG@10", "R@50", "AP"]
    shallow = compose.check(composed("probe=all_layers", "probe.depth=20", "first_stage_depth=10"))
    assert shallow.probe.measures == ["RR@10", "R@20", "nDCG@10", "Hits@10"]


def test_the_declared_grade_reaches_the_measures_and_the_table():
    table = "+table={title: t, source: s, measure: MRR@10}"
    experiment = compose.check(composed("data.min_grade=2", "measures=[nDCG@10,MRR@10]", table))
    assert experiment.measures == ["nDCG@10", "RR(rel=2)@10"]
    assert experiment.probe.measures == ["RR(rel=2)@10", "R(rel=2)@100", "nDCG@10", "Hits(rel=2)@10"]


def test_checkpoints_are_not_chosen_by_a_measure_that_looks_deeper_than_the_dev_run():
    config = composed("first_stage_depth=100", "measures=[R@100]")
    with pytest.raises(ExperimentError, match=r"R@100, .* validation.depth=50: set validation.depth=100"):
        check_jobs({"": config})
    check_jobs({"": config}, trained=False)  # a first stage on its own has no checkpoints
    check_jobs({"": composed("first_stage_depth=100", "measures=[R@100]", "validation.depth=100")})
    experiment = compose.check(composed("loss=margin_mse", "+loss.job.validation.depth=5"))
    with pytest.raises(ExperimentError, match=r"loss.job: measures: the first, RR@10, .* validation.depth=5"):
        prerequisites.compose_prerequisite("loss.job", experiment.loss["job"], experiment)


@pytest.mark.parametrize("source", ["judged", "judged+judged"])
def test_positives_are_not_looked_for_among_what_was_judged_not_relevant(source: str):
    given = ("retriever=[bm25,judged]", f"negatives.source={source}")
    with pytest.raises(
        ExperimentError, match=r"holds only passages judged not relevant: set negatives\.positives=all$"
    ):
        compose.check(composed(*given, "negatives.positives=retrieved"))
    assert compose.check(composed(*given, "negatives.positives=all")).negatives.source == source


def test_a_mixture_may_find_positives_that_judgements_do_not_hold():
    given = ("retriever=[bm25,judged]", "negatives.source=bm25+judged", "negatives.positives=retrieved")
    assert compose.check(composed(*given)).negatives.positives == "retrieved"


@pytest.mark.parametrize("key", ["outputs", "cache"])
def test_results_and_cache_that_would_lie_below_a_file_are_refused(key: str, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match=rf"{key}: .*/file is a file, so no folder can be made there"):
        check_jobs({"": composed(f"{key}={tmp_path / 'file' / 'below'}")})


def test_a_backbone_that_is_not_there_is_said_before_anything_is_read(tmp_path: Path):
    done = subprocess.run(
        [
            sys.executable, "-m", "experiments.train", "backbone=local", f"backbone.path={tmp_path / 'nowhere'}",
            f"outputs={tmp_path / 'outputs'}", f"cache={tmp_path / 'cache'}",
        ],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: backbone 'nowhere': there is no folder {tmp_path / 'nowhere'}: ")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("key", ["negatives.filter.scorer", "loss.teacher", "model.cross_encoder"])
def test_a_trained_model_that_is_not_there_is_said_before_anything_is_read(key: str):
    needs = {
        "negatives.filter.scorer": "negatives.filter.absolute_margin=0",
        "loss.teacher": "loss=margin_mse",
        "model.cross_encoder": "model=dual_encoder",
    }
    with pytest.raises(ExperimentError, match=f"{key}: there is no folder /nowhere"):
        check_jobs({"": composed(needs[key], f"{key}=/nowhere")}, networks=True)


def test_a_retriever_whose_name_cannot_be_part_of_a_file_name_is_refused():
    part = "{_target_: experiments.retrieval.bm25.BM25}"
    with pytest.raises((ExperimentError, OmegaConfBaseException), match="so it has 1 to 64 letters"):
        compose.check(composed(f"+retrievers={{{'x' * 65}: {part}}}"))


def test_a_sweep_with_one_bad_job_stops_before_the_first(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "experiments.train",
        "-m",
        "negatives.count=1,32",
        f"outputs={tmp_path}",
        f"cache={tmp_path}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "error: job 2 (negatives.count=32): negatives.count is 32" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.rglob("status.json")) == []
