"""Write the ``--help`` of a Hydra command: usage, config groups, the most used keys.

Hydra's own help composes the config once for each group, which takes seconds.
"""

import textwrap

from experiments.config.files import group_options

WIDTH = 100
REST = """\
Keys: key=value sets one; the most used
  negatives.count=7  negatives.source=bm25  negatives.depth=100  first_stage=[bm25]  first_stage_depth=50
  seed=1,2,3  scale=mini|paper  study=my_grid  outputs=outputs  cache=.cache  measures=[RR@10,nDCG@10]
  budget.unit=groups|pairs|tokens  budget.size=1500  batch.size=2  validation.times=2  validation.select=best
  optimizer.lr=5e-4  scheduler.warmup=0.1  loss.fn.<setting>  model.max_length=128  probe.layers=all
  trainer.devices=1  trainer.precision=auto  +trainer.<any of Lightning's>  compute.threads=1
  callbacks.early_stopping.patience=3  +callbacks.<name>._target_=<class>  +debug=one_step
All keys with their meanings: docs/configuration.md, and the dataclasses in experiments/config.

--config-dir FOLDER adds a folder of your own files, in the shape of conf/ (my_conf/loss/mine.yaml, my_conf/sweeps/...).
--cfg job --resolve prints every key with its value and runs nothing. --hydra-help lists Hydra's own flags.
A finished job is not run again; an interrupted one goes on where it stopped. To run a job again, delete its folder.
"""


def help_text(usage: str) -> str:
    """Return the help of a command. ``usage``: the docstring of its module."""
    groups = "\n".join(_folded(f"{group}:", options) for group, options in group_options().items() if options)
    heading = "Groups: group=option takes that file of conf/; +sweeps=quickstart is a study"
    return "\n\n".join((usage.strip().replace("``", ""), f"{heading}\n{groups}", REST))


def _folded(group: str, options: list[str]) -> str:
    return textwrap.fill(
        ", ".join(options), WIDTH, initial_indent=f"  {group:<12}", subsequent_indent=" " * 14, break_on_hyphens=False
    )
