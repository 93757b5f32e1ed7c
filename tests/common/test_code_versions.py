"""Whoever edits a module that decides numbers decides whether jobs that used it have to run again.

After that decision: ``python tests/common/test_code_versions.py`` writes the digests of the modules as they are now
into ``code_versions.json``.
"""

import json
from pathlib import Path

import pytest

from experiments.common.code_versions import OF_RETRIEVERS, PACKAGE, PARTS_OF, RETRIEVERS, VERSIONS, module_digest
from experiments.config.compose import models

RECORDED = Path(__file__).with_suffix("").with_name("code_versions.json")
NO_LOSSES = ("__init__", "diagnostics")
LOSSES = tuple(
    f"losses.{path.stem}" for path in sorted((PACKAGE / "losses").glob("*.py")) if path.stem not in NO_LOSSES
)
OF_MODELS = {name: model for model in models().values() for name in model.code if name not in VERSIONS}
WHAT_TO_RAISE = (
    *((name, f"raise {name!r} in VERSIONS of experiments/common/code_versions.py") for name in VERSIONS),
    *((name, f"raise {name!r} in the code of {model.__name__}") for name, model in OF_MODELS.items()),
    *((name, "raise the number after its name in fingerprint()") for name in RETRIEVERS),
    *((name, "raise the number of each retriever that then finds others") for name in OF_RETRIEVERS),
    *((name, f"raise {whole!r} in VERSIONS") for name, whole in PARTS_OF.items()),
    *((name, "nothing is to be raised: jobs with this loss run again by themselves") for name in LOSSES),
)


@pytest.mark.parametrize(("name", "how"), WHAT_TO_RAISE)
def test_an_edit_of_what_decides_numbers_is_a_decision(name: str, how: str):
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert module_digest(name) == recorded.get(name), (
        f"experiments/{name.replace('.', '/')}.py has changed. If it computes other numbers, finished jobs must run "
        f"again: {how}. Then record it as it is now: python tests/common/{Path(__file__).name}"
    )


def test_nothing_else_is_recorded():
    assert list(json.loads(RECORDED.read_text(encoding="utf-8"))) == sorted(name for name, _ in WHAT_TO_RAISE)


def record() -> None:
    """Write down the digests as they are now."""
    found = {name: module_digest(name) for name in sorted(name for name, _ in WHAT_TO_RAISE)}
    RECORDED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
