"""Values that no key can have, and names, versions and paths that cannot be, are refused by their key."""

import pytest
from helpers.jobs import composed
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.job_overrides import quoted


def _message(*overrides: str) -> str:
    """Return why overrides are refused, as the command line says it."""
    try:
        compose.check(composed(*overrides), parts=False)
    except (ExperimentError, OmegaConfBaseException) as error:
        return compose.explain(error)
    return ""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retrievers.bm25.k1=nan", "retrievers.bm25.k1 is nan: it must be a finite number"),
        ("scheduler.warmup=inf", "scheduler.warmup is inf: it must be a finite number"),
        ("optimizer.lr=inf", "optimizer.lr is inf: it must be a finite number"),
        (
            "budget.size=9223372036854775808",
            "budget.size is 9223372036854775808: no whole number beyond 64 bits can be used",
        ),
        (
            f"loss.name={quoted('a' + chr(0))}",
            "loss.name is 'a\\x00': it has a control character, U+0000, which no file can hold",
        ),
        (f"audit.scorer={quoted('a' + chr(0xD800))}", "audit.scorer is 'a\\ud800': it has half of a character, U+D800"),
        (f"variant={quoted('a' + chr(10) + 'b')}", "variant is 'a\\nb': it has a control character, U+000A"),
        (f"data.path={'a' * 5000}", "data.path has 5,000 letters, 'aaaa"),
        ("variant=''", "variant is '': a name has 1 to 200 letters, and no blanks around them"),
        ("backbone.name=' '", "backbone.name is ' ': a name has 1 to 200 letters"),
        ("loss.name=a/b", "loss.name is 'a/b': it is the name of a folder"),
        ("data.folds=2147483648", "data.folds is 2147483648: it must be null or at most 1,000"),
        ("+data.source.name={}", "data.source.name is {}: it must be a text"),
        ("backbone.shape=${seed}", "backbone.shape is 1: it must have the keys layers, hidden, encoder, embeddings"),
        ("loss.name=7", "loss.name is 7: it must be a text"),
        ("study=a/b", "study is 'a/b': it is the name of a folder, so it has 1 to 100 letters without / and \\"),
        ("study=..", "study is '..': it is the name of a folder"),
        ("study=''", "study is '': it is the name of a folder"),
        ("outputs=''", "outputs is empty: give a path, or null where the key allows none"),
        ("cache=' '", "cache is empty: give a path"),
        (f"outputs=x/{'a' * 256}", f"outputs is 'x/{'a' * 73} ...: a part of a path has at most 255 bytes"),
        ("backbone.version=''", "backbone.version is '': a version such as 1.2.0 is expected"),
        ("backbone.version=../../x", "backbone.version is '../../x': a version such as 1.2.0 is expected"),
        ("backbone.revision=' '", "backbone.revision is ' ': a branch, a tag or a commit of the hub is expected"),
        ("backbone.sha256=x", "backbone.sha256 is 'x': a checksum of 64 hexadecimal digits is expected"),
        ("retrievers.bm25=x", "retrievers.bm25 is 'x': it must have the keys of a part, _target_ among them"),
        ("model._target_=../../x", "model._target_: ../../x cannot be imported"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(override: str, message: str):
    assert _message(override).startswith(message)


@pytest.mark.parametrize(
    "override", ["variant='two words'", "study=my-study_2", "outputs=../x", "cache=a/b", "variant='é☃'"]
)
def test_names_and_paths_that_can_be_are_accepted(override: str):
    assert _message(override) == ""


@pytest.mark.parametrize(
    "override",
    [
        f"budget.size={'1' * 5000}",
        f"probe.depth={'a' * 10_000}",
        f"optimizer.lr=1{'x ' * 1_000_000}",
        "budget=-1",
        "audit.margin=1,2",
        "re",
        "model.stride=${nothing}",
        "optimizer=${",
        f"probe={quoted('a' + chr(10) + 'b')}",
    ],
)
def test_whatever_hydra_says_of_an_override_is_one_short_line(override: str):
    from hydra.errors import HydraException

    with pytest.raises((ExperimentError, HydraException, OmegaConfBaseException)) as found:
        compose.check(composed(override))
    said = compose.explain(found.value)
    assert 0 < len(said) <= 500
    assert said.isprintable()
