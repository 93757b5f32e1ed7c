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
from experiments.config.identity import job_hash, job_name, scientific
from experiments.config.overrides import readable
from experiments.jobs import hydra_app, prerequisites

# What a file leaves open (???) and so must be given with it.
NEEDS = {
    ("data", "beir"): ["data.path=x"],
    ("data", "msmarco"): ["data.path=x"],
    ("data", "ir_datasets"): ["data.source.splits.train=a", "data.source.splits.test=b"],
    ("backbone", "local"): ["backbone.path=x"],
    ("retriever", "run_file"): ["retrievers.run_file.path=x"],
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
        ("compute.layout=dense", "compute.layout is 'dense': it must be one of auto, packed, padded"),
        ("trainer.gradient_clip_val=1", "trainer.gradient_clip_val is set by the framework: use optimizer.clip"),
        ("trainer.profilr=simple", r"trainer.profilr does not exist \(did you mean trainer.profiler\?\)"),
        ("callbacks.early_stopping.patience=2", "callbacks.early_stopping has no _target_"),
        ("callbacks=early_stopping;callbacks.early_stopping.patence=2", r"did you mean callbacks.early_stopping.pati"),
        ("callbacks.checkpoint.interval=2", "callbacks.checkpoint.interval does not exist: .* takes minutes"),
        ("callbacks.checkpoint.minuts=2", r"did you mean callbacks.checkpoint.minutes\?"),
        ("callbacks.checkpoint=null", "callbacks.checkpoint has no _target_"),
        ("callbacks.mine._target_=nowhere.Mine", "callbacks.mine._target_: nowhere.Mine cannot be imported"),
        ("callbacks.swa._target_=pytorch_lightning.callbacks.StochasticWeightAveraging", "callbacks=weight_averaging"),
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
        ("model=colbert;compute.layout=packed", "model=colbert is computed with padding"),
        ("model.rank_by=positive_logit", r"needs model\.logits=2"),
        ("model=colbert;trainer.devices=2", "model=colbert trains on one device: set trainer.devices=1"),
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
        hydra_app.check_jobs({"": config})
    hydra_app.check_jobs({"": config}, trained=False)  # a first stage on its own has no checkpoints
    hydra_app.check_jobs({"": composed("first_stage_depth=100", "measures=[R@100]", "validation.depth=100")})
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


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "negatives.cuont=3",
            "there is no key negatives.cuont: did you mean negatives.count? The keys of negatives are",
        ),
        ("loss=lcee", "Could not find 'loss/lcee'. Available options in 'loss': bce bce_two_class gbce hinge"),
        (
            "validation.patience=2",
            "validation.patience has moved: set callbacks=early_stopping and callbacks.early_stopping.patience instead",
        ),
        ("loss=hinge;loss.margin=2", "the function's settings are below fn, set loss.fn.margin"),
        ("model.kind=colbert", "model.kind has moved: set the model by its file (such as model=colbert) instead"),
        ("model=dual_encoder;model.dual_encoder.layers=1", "set its keys as keys of model (such as model.layers)"),
        (
            "model=colbert;model.dimensoin=3",
            "no key model.dimensoin: did you mean model.dimension? The keys of",
        ),
        ("model=colbert;model.dimension=wide", "model.dimension: Value 'wide' of type 'str' could not be converted to"),
        ("loss=margin_mse;loss.job.seed=1", "loss.job.seed is not among the overrides of the job: add it with +loss."),
        ("negatives.count=many", "negatives.count: Value 'many' of type 'str' could not be converted to Integer"),
    ],
)
def test_a_typo_names_the_keys_and_options_that_there_are(override: str, message: str):
    with pytest.raises(Exception) as found:  # noqa: PT011 - Hydra's own; the message is what counts
        composed(*override.split(";"))
    assert message in compose.explain(found.value)


PLAIN = "model.infused=[] model.infuse_embeddings=false model.rest=backbone model.distil=none model.align_layer=null"


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        ("negatives.source=colbert", "retriever=[bm25,colbert]"),
        ("first_stage=[bm25,run_file] retrievers.run_file.path=x", "retriever=[bm25,run_file]"),
        ("data=beir", "data.path=..."),
        ("backbone=local", "backbone.path=..."),
        ("negatives.count=31 negatives.depth=20", "negatives.replacement=true"),
        ("negatives.count=31 negatives.depth=20", "negatives.short=replacement"),
        ("negatives.filter.absolute_margin=0", "negatives.filter.scorer"),
        ("model=dual_encoder model.job=null", PLAIN),
        ("model.rank_by=positive_logit", "model.logits=2"),
        ("model=colbert batch.checkpoint=true", "batch.checkpoint=false"),
        ("loss=margin_mse loss.job=null", "loss.job"),
        ("loss=margin_mse model=colbert", "loss=lce"),
        ("loss=bce_two_class model=colbert", "loss=lce"),
    ],
)
def test_the_remedy_of_a_message_works_as_it_is_typed(overrides: str, remedy: str):
    given = overrides.split()
    with pytest.raises((ExperimentError, OmegaConfBaseException)) as found:
        compose.check(composed(*(one for one in given if not one.startswith("retrievers."))))
    assert remedy in compose.explain(found.value)
    typed = [
        one.replace("...", "x") if "=" in one else f"++{one}={{seed:1}}" if one.endswith(".job") else f"{one}=x"
        for one in remedy.split()
    ]
    compose.check(composed(*given, *map(readable, typed)))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("data.path=/data/a=b", "/data/a=b"),
        ("data.path=/data/copy (1)", "/data/copy (1)"),
        ("data.path=/data/it's", "/data/it's"),
        ("data.path=/data/über#1", "/data/über#1"),
        (r"data.path=\\server\a=b" + "\\", r"\\server\a=b" + "\\"),
        ("data.path=/data/plain", "/data/plain"),
        ("data.path='/data/quoted=already'", "/data/quoted=already"),
    ],
)
def test_a_value_that_hydras_grammar_refuses_is_taken_as_it_is_typed(argument: str, value: str):
    assert composed("data=beir", readable(argument)).data.path == value


@pytest.mark.parametrize("argument", ["-m", "seed=1,2", "first_stage=[bm25", "~table", "--cfg=job", "data.path="])
def test_other_arguments_are_left_to_hydra(argument: str):
    assert readable(argument) == argument


@pytest.mark.parametrize("key", ["outputs", "cache"])
def test_results_and_cache_that_would_lie_below_a_file_are_refused(key: str, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match=rf"{key}: .*/file is a file, so no folder can be made there"):
        hydra_app.check_jobs({"": composed(f"{key}={tmp_path / 'file' / 'below'}")})


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
        hydra_app.check_jobs({"": composed(needs[key], f"{key}=/nowhere")}, networks=True)


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


def test_a_job_is_what_is_scientific_about_it():
    one = compose.plain(composed())
    assert job_hash(
        compose.plain(composed("compute.threads=1", "logger=none", "study=other", "cache=elsewhere"))
    ) == job_hash(one)
    how = ("trainer.profiler=simple", "trainer.log_every_n_steps=9", "callbacks.checkpoint.minutes=1", "logger=csv")
    assert job_hash(compose.plain(composed(*how))) == job_hash(one)
    for change in (
        "seed=2",
        "negatives.depth=50",
        "loss=bce",
        "optimizer.lr=1e-4",
        "scheduler.warmup=0.2",
        "trainer.precision=bf16-mixed",
        "trainer.limit_val_batches=2",
        "callbacks=early_stopping",
        "callbacks.mine._target_=pytorch_lightning.callbacks.LambdaCallback",
        "retrievers.bm25.b=0.5",
    ):
        assert job_hash(compose.plain(composed(change))) != job_hash(one), change


def test_settings_of_a_probe_that_is_off_do_not_matter():
    one = job_hash(compose.plain(composed()))
    assert job_hash(compose.plain(composed("probe.pairing=single"))) == one
    assert job_hash(compose.plain(composed("probe.layers=all"))) != one


def test_a_jobs_name_says_what_varies():
    config = compose.plain(composed("loss=bce", "negatives.count=3", "seed=5"))
    assert job_name(config).startswith("bce-n3-bm25-s5-")


def test_every_sweep_composes():
    sweeps = sorted((ROOT / "sweeps").glob("*.yaml"))
    assert sweeps, "there are sweeps"
    for sweep in sweeps:
        config = composed(f"+sweeps={sweep.stem}")
        assert compose.check(config).study == sweep.stem


def test_the_grade_decides_the_identity_of_a_job_and_the_spelling_of_a_measure_does_not():
    one = job_hash(compose.plain(composed("measures=[RR@10,AP]")))
    assert job_hash(compose.plain(composed("measures=[MRR@10,MAP]"))) == one
    assert job_hash(compose.plain(composed("measures=[RR@10]"))) != one
    graded = compose.plain(composed("measures=[RR@10,AP]", "data.min_grade=2"))
    assert scientific(graded)["measures"] == ["RR(rel=2)@10", "AP(rel=2)"]
    assert scientific(compose.plain(composed()))["measures"] == ["RR@10", "nDCG@10", "R@50", "AP"]
