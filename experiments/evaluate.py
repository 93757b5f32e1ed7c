"""Measure trained re-rankers as they are, without training: a finished job, a folder, or a hub id.

  python -m experiments.evaluate outputs/quickstart/lce-n7-bm25-s1-1a2b3c4d data=beir data.path=my/folder
  python -m experiments.evaluate cross-encoder/ms-marco-MiniLM-L6-v2 'tests=[dl19,dl20]'
  python -m experiments.evaluate my/model my/other_model study=my_models

A model is a sequence classifier of one or two logits in Hugging Face format, or a CrossEncoder, SentenceTransformer or
MultiVectorEncoder of sentence-transformers. It re-ranks the first stages of the data and of each test set. Results go
to outputs/<study> as those of any job: experiments.report and experiments.study verify read them. Takes the keys of
experiments.train.
"""

import sys
from collections.abc import Sequence

import hydra
from omegaconf import DictConfig

from experiments.config import compose
from experiments.config.files import CONF, FLAGS
from experiments.config.job_overrides import quoted
from experiments.jobs import hydra_app

compose.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> float:
    """Run one job; returns its headline measure on the first first stage."""
    return hydra_app.run(config)


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the named models as overrides: several are a multirun."""
    places = [
        argument
        for before, argument in zip(("", *arguments), arguments, strict=False)
        if "=" not in argument and not argument.startswith(("-", "~")) and before not in FLAGS
    ]
    others = [argument for argument in arguments if argument not in places]
    if not places:
        return ["model=checkpoint", *others]
    several = ["-m"] if len(places) > 1 and not {"-m", "--multirun"} & set(others) else []
    return [*several, "model=checkpoint", f"model.path={','.join(map(quoted, places))}", *others]


if __name__ == "__main__":
    sys.argv[1:] = overrides_of(sys.argv[1:])
    hydra_app.entry(main)
