"""Every row of every sweep composes and passes the checks, at both scales."""

from itertools import product

import pytest
from helpers.jobs import ROOT, composed
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments import composition
from experiments.studies.identity import job_name

SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml"))


def rows_of(sweep: str) -> list[list[str]]:
    """The overrides of each job of a sweep's grid."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=[f"+sweeps={sweep}"], return_hydra_config=True)
    params = [f"{key}={value}" for key, value in config.hydra.sweeper.params.items()]
    parsed = OverridesParser.create().parse_overrides(params)
    axes = [[f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()] for one in parsed]
    return [list(row) for row in product(*axes)]


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_row_composes_and_passes_the_checks(sweep: str, scale: str):
    composition.register()
    rows = rows_of(sweep)
    assert len(rows) >= 2
    names = set()
    for row in rows:
        config = composed(f"+sweeps={sweep}", f"scale={scale}", *row)
        assert composition.check(config).scale == scale
        names.add(job_name(composition.plain(config)))
    assert len(names) == len(rows), "each row is a job of its own"


def test_each_row_of_the_dual_encoder_sweep_is_another_encoder():
    duals = [
        composition.check(composed("+sweeps=ananthakrishnan2025_dual_encoder", *row)).model.dual_encoder
        for row in rows_of("ananthakrishnan2025_dual_encoder")
    ]
    assert [(one.layers, one.infused, one.infuse_embeddings, one.rest) for one in duals] == [
        (2, [1], True, "random"),
        (2, [1, 2], True, "random"),
        (2, [], True, "random"),
        (2, [], False, "backbone"),
        (2, [], False, "random"),
        (None, [], False, "backbone"),
    ]
