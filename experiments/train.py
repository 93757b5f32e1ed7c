"""Run one experiment, or with ``-m`` a study: ``python -m experiments.train loss=lce negatives.count=7``.

Which modules know Hydra stands in CONTRIBUTING.md.
"""

import hydra
from omegaconf import DictConfig

from experiments.config import compose
from experiments.config.files import CONF
from experiments.jobs import hydra_app

compose.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> float:
    """One job; returns its headline measure on the first of its first stages, so that Hydra's optimising sweepers work
    too.
    """
    return hydra_app.run(config)


if __name__ == "__main__":
    hydra_app.entry(main)
