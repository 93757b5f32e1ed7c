"""Run one experiment, or with ``-m`` a study: ``python -m experiments.train loss=lce negatives.count=7``.

Which modules know Hydra stands in CONTRIBUTING.md.
"""

import hydra
from omegaconf import DictConfig

from experiments import composition, launch
from experiments.config_files import CONF

composition.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> float:
    """One job; returns its headline measure on the first of its first stages, so that Hydra's optimising sweepers work
    too.
    """
    return launch.run(config)


if __name__ == "__main__":
    launch.entry(main)
