"""Train and test one re-ranker, or with -m a grid of them.

  python -m experiments.train loss=lce negatives.count=7
  python -m experiments.train -m loss=bce,lce negatives.count=1,3,7 seed=1,2,3 study=my_grid
  python -m experiments.train +sweeps=quickstart
  python -m experiments.train data=beir data.path=my/folder

Results go to outputs/<study>/<job>. Plan, resume and verify whole studies with experiments.study; tables and the page
of a study come from experiments.report.
"""

import hydra
from omegaconf import DictConfig

from experiments.config import compose
from experiments.config.files import CONF
from experiments.jobs import hydra_app

compose.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> float:
    """Run one job; returns its headline measure on the first first stage, for Hydra's optimising sweepers."""
    return hydra_app.run(config)


if __name__ == "__main__":
    hydra_app.entry(main)
