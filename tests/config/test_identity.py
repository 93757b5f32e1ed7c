"""What is part of a job's identity is said by the fields of the config's dataclasses."""

from dataclasses import dataclass, field
from typing import Any

from helpers.jobs import composed

from experiments.config import compose
from experiments.config.identity import deciding, folder_name, job_name, scientific


@dataclass
class Inner:
    size: int = 1
    device: str = field(default="cpu", metadata={"identity": False})


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    folder: str = field(default="out", metadata={"identity": False})
    trainer: Any = field(default=None, metadata={"incidental": ("devices",)})
    part: Any = None


def test_marked_fields_are_left_out_however_deep_and_of_a_part_the_named_keys():
    settings = {
        "inner": {"size": 2, "device": "gpu"},
        "folder": "there",
        "trainer": {"precision": "bf16-mixed", "devices": 2},
        "part": {"device": "gpu"},
    }
    assert deciding(settings, Outer) == {
        "inner": {"size": 2},
        "trainer": {"precision": "bf16-mixed"},
        "part": {"device": "gpu"},
    }


def test_a_job_is_not_where_and_how_it_runs():
    kept = scientific(compose.plain(composed()))
    assert not kept.keys() & {"study", "outputs", "cache", "logger", "scale", "audit", "retrieve", "checkpoint"}
    assert kept["trainer"].keys() == {"precision"}
    assert kept["retrievers"]["bm25"].keys() == {"_target_", "k1", "b", "stemmer", "stopwords"}


def test_the_folder_of_an_audit_goes_by_what_is_audited():
    names = [
        folder_name("audit", compose.plain(composed(*given)))
        for given in ([], ["audit.depths=[5]"], ["compute.threads=1", "study=other"])
    ]
    assert names[0] == names[2] != names[1]


def test_the_name_of_a_job_begins_with_its_model_unless_that_goes_without_saying():
    names = [job_name(compose.plain(composed(f"model={model}"))) for model in ("cross_encoder", "colbert")]
    assert [name.split("-n")[0] for name in names] == ["lce", "colbert-lce"]
