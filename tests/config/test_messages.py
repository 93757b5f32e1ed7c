"""What a message about a command says works as it is typed, and arguments that Hydra's grammar refuses are read."""

import pytest
import yaml
from helpers.jobs import composed
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.files import CONF, OF_ONE_FILE
from experiments.config.overrides import check_choices, readable

# What a file leaves open (???) and so must be given with it.


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "negatives.cuont=3",
            "there is no key negatives.cuont: did you mean negatives.count? The keys of negatives are",
        ),
        (
            "loss=lcee",
            "Could not find 'loss/lcee'. Available options in 'loss': adr_mse bce bce_balanced bce_two_class",
        ),
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


@pytest.mark.parametrize(
    "key", ["batch", "compute", "compute.tokens_per_batch", "data.queries", "init_from", "retrievers", "validation"]
)
def test_a_group_of_settings_is_not_one_value_of_another_key(key: str):
    with pytest.raises(ExperimentError, match=rf"^{key} is 1, and it is a group of settings: set one of them, {key}\."):
        compose.check(composed(f"{key}=${{seed}}"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retrievers.bm25.k1=x", "retrievers.bm25.k1 is 'x': it must be a number"),
        ("retrievers.bm25.k1=[1]", "retrievers.bm25.k1 is [1]: it must be a number"),
        ("data=beir data.path=x data.source.title=[]", "data.source.title is []: it must be true or false"),
        ("loss=hinge loss.fn.margin=true", "loss.fn.margin is True: it must be a number"),
        ("loss=gbce loss.fn.candidates=1.5", "loss.fn.candidates is 1.5: it must be a whole number"),
        ("optimizer=sgd optimizer.momentum=x", "optimizer.momentum is 'x': it must be a number"),
        (
            "callbacks=early_stopping callbacks.early_stopping.patience=1.5",
            "callbacks.early_stopping.patience is 1.5: it must be a whole number",
        ),
        ("logger=csv +logger.prefix=[]", "logger.prefix is []: it must be a text"),
        ("loss.fn._partial_=x", "loss.fn._partial_ is 'x': it must be true or false"),
        ("model.max_length=???", "model.max_length must be given: add model.max_length=... to the command"),
        (
            "tests=[numerics] tests.numerics.first_stage_depth=???",
            "tests.numerics.first_stage_depth must be given: add tests.numerics.first_stage_depth=... to the command",
        ),
        ("loss=margin_mse loss.teacher=[1]", "loss.teacher is [1]: it must be a text"),
        (
            "loss=margin_mse loss.teacher=''",
            "loss.teacher is empty: give a path, or null where the key allows none",
        ),
        (
            "loss=margin_mse loss.teacher=x loss.teacher_file=0",
            "loss.teacher_file is 0: it must have the keys format, value, missing, coverage, repeated",
        ),
        (
            "model=dual_encoder model.cross_encoder=''",
            "model.cross_encoder is empty: give a path, or null where the key allows none",
        ),
        ("model=checkpoint model.path=''", "model.path is empty: give a path, or null where the key allows none"),
        ("retrievers.bm25=null", "retrievers.bm25 is None: it must have the keys of a part, _target_ among them"),
    ],
)
def test_a_setting_that_cannot_be_is_named(override: str, message: str):
    with pytest.raises(ExperimentError) as found:
        compose.check(composed(*override.split()))
    assert str(found.value) == message


@pytest.mark.parametrize("argument", ["budget=[]", "~budget", "+budget=[]", "~budget=groups"])
def test_a_group_of_one_file_has_one(argument: str):
    expected = f"{argument} leaves budget without a file: choose one, budget=... (groups, pairs, tokens)"
    with pytest.raises(ExperimentError) as found:
        composed(argument)
    assert str(found.value) == expected
    with pytest.raises(ExperimentError) as found:
        check_choices([argument])
    assert str(found.value) == expected


def test_every_group_of_the_config_that_has_one_file_is_known_as_such():
    defaults = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    chosen = [entry for line in defaults if isinstance(line, dict) for entry in line.items()]
    of_one = {group for group, file in chosen if isinstance(file, str) and " " not in group}
    assert of_one - set(OF_ONE_FILE) == {"callbacks", "logger"}  # there may be several, and none
