"""Configs composed from kept files are those that Hydra composes anew; whatever changes a file is noticed at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import composed
from helpers.sweeps import SWEEPS
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.config import compose, loader
from experiments.config.files import USER_FOLDER
from experiments.config.loader import CachedLoader, hydra_of_conf

VALUES = [
    ["seed=2"],
    ["loss=lce", "negatives.count=7", "study=some_study", "optimizer.lr=1e-5"],
    ["model=dual_encoder", "data=beir", "data.path=a/b", "scale=paper", "seed=3", "seed=4"],
    ["~logger", "+callbacks.early._target_=some.Callback", "loss=mse", "++loss.job={loss:lce,seed:2}"],
    ["retriever=[bm25,dense]", "+debug=one_step", "hydra.verbose=true", "hydra.job.env_copy=[HOME]", "seed=2"],
    ["hydra.searchpath=[pkg://hydra.conf]", "seed=3"],
    ["tests=[numerics]", "first_stage_depth=[10,100]", "data.split={train:0.5}", "~logger"],
]
WRONG = ["loss=none_such", "no_such_key=1", "seed=1,2", "loss@here=lce", "+seed=1", "~nothing", "hydra.no=1", "seed=x"]


def state(node: Any) -> Any:
    """All that a config holds, in its order: classes, values, types, flags, interpolations and what they gave."""
    inner = node._content if isinstance(node, DictConfig | ListConfig) else node._val
    if isinstance(inner, dict):
        inner = [(key, state(value)) for key, value in inner.items()]
    elif isinstance(inner, list):
        inner = [state(value) for value in inner]
    return type(node), node._metadata, inner


def loaders() -> tuple[ConfigLoaderImpl, CachedLoader]:
    """Hydra's own loader and ours."""
    compose.register()
    with hydra_of_conf() as hydra:
        path = hydra.config_loader.get_search_path()
    return ConfigLoaderImpl(path), CachedLoader(path)


def load(one: ConfigLoaderImpl, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
    config = one.load_configuration("config", list(overrides), mode, from_shell=False)
    OmegaConf.clear_cache(config)  # the time
    return config


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep files as if they had been written long ago."""
    monkeypatch.setattr(loader, "SETTLED_NS", -(10**18))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A loss in a user's folder."""
    monkeypatch.setenv(USER_FOLDER, str(tmp_path))
    file = tmp_path / "loss" / "mine.yaml"
    file.parent.mkdir()
    file.write_text("# mine\nfn: some.loss\ncolour: green\n")
    return file


@pytest.mark.parametrize("overrides", VALUES, ids=" ".join)
def test_a_kept_config_is_the_one_that_hydra_composes(overrides: list[str]):
    hydras, ours = loaders()
    expected = state(load(hydras, overrides))
    assert state(load(ours, overrides)) == expected
    assert state(load(ours, overrides)) == expected  # from what was kept


def test_a_kept_multirun_is_the_one_that_hydra_composes():
    hydras, ours = loaders()
    load(ours, ["+sweeps=losses", "seed=1,2", "loss=lce"], RunMode.MULTIRUN)
    again = ["+sweeps=losses", "seed=3,4", "loss=lce,bce"]
    assert state(load(ours, again, RunMode.MULTIRUN)) == state(load(hydras, again, RunMode.MULTIRUN))


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_kept_config_of_a_sweep_is_the_one_that_hydra_composes(sweep: str):
    hydras, ours = loaders()
    load(ours, [f"+sweeps={sweep}", "seed=1"])
    again = [f"+sweeps={sweep}", "seed=2"]
    assert state(load(ours, again)) == state(load(hydras, again))


def test_the_kept_config_of_a_job_of_a_grid_is_the_one_that_hydra_composes():
    hydras, ours = loaders()
    config = load(ours, ["+sweeps=losses", "hydra.job.chdir=false", "seed=1,2"], RunMode.MULTIRUN)
    one, two = (["loss=lce", f"seed={seed}"] for seed in (1, 2))
    ours.load_sweep_config(config, one)
    assert state(ours.load_sweep_config(config, two)) == state(hydras.load_sweep_config(config, two))


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_override_is_refused_in_hydras_words(override: str):
    messages = []
    for one in loaders():
        load(one, ["loss=lce"])
        with pytest.raises(HydraException) as error:
            load(one, ["loss=lce", override])
        messages.append((type(error.value), str(error.value), str(error.value.__cause__)))
    assert messages[0] == messages[1]


def test_the_values_of_one_config_are_not_in_the_next():
    before = composed()
    assert composed("data.queries.train=7", "measures=[MRR@5]", "+trainer.profiler=simple").measures == ["MRR@5"]
    assert state(composed()) == state(before)


def test_the_files_of_jobs_that_differ_in_values_are_read_once(monkeypatch: pytest.MonkeyPatch):
    composed("loss=lce", "seed=1")
    monkeypatch.setattr(OmegaConf, "load", lambda file: pytest.fail(f"{file} is read again"))
    assert composed("loss=lce", "seed=2").seed == 2


def test_an_edited_file_is_noticed(own: Path, settled: None):
    assert composed("loss=mine").loss.colour == "green"
    own.write_text("# mine\nfn: some.loss\ncolour: blue\n")
    assert composed("loss=mine").loss.colour == "blue"


def test_an_edit_within_the_resolution_of_time_stamps_is_noticed(own: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loader, "_stamp", lambda path: (own.stat().st_mtime_ns, 0, 0, 0))  # the same before and after
    assert composed("loss=mine").loss.colour == "green"
    own.write_text("# mine\nfn: some.loss\ncolour: brown\n")
    assert composed("loss=mine").loss.colour == "brown"


def test_a_file_that_was_optional_and_is_added_is_noticed(own: Path, settled: None):
    assert composed("scale=mini").batch.size == 2
    own.parent.with_name("recipe").mkdir()
    own.parent.with_name("recipe").joinpath("cross_encoder_mini.yaml").write_text(
        "# @package _global_\nbatch: {size: 3}\n"
    )
    assert composed("scale=mini").batch.size == 3


def test_a_file_that_is_gone_is_noticed(own: Path, settled: None):
    composed("loss=mine")
    own.unlink()
    with pytest.raises(HydraException, match="Could not find 'loss/mine'"):
        composed("loss=mine")


def test_a_type_that_is_registered_anew_is_noticed(own: Path, settled: None):
    @dataclass
    class Mine:
        colour: str = "red"

    own.write_text("# mine\ndefaults: [/mine_config, _self_]\nfn: some.loss\n")
    ConfigStore.instance().store(name="mine_config", node=OmegaConf.create({"colour": "red"}))
    assert composed("loss=mine").loss.colour == "red"
    ConfigStore.instance().store(name="mine_config", node=OmegaConf.create({"colour": "white"}))
    assert composed("loss=mine").loss.colour == "white"


def test_the_types_of_all_keys_are_registered_once():
    compose.register()
    before = loader._registered()
    compose.register()
    assert all(node is earlier for node, earlier in zip(loader._registered(), before, strict=True))
