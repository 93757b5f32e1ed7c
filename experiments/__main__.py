"""Run the console command: ``rerank-ablations train loss=lce`` equals ``python -m experiments.train loss=lce``.

A command's module is imported only when called, so that ``--help`` needs neither torch nor Hydra.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from experiments.common.stopping import not_yet

HYDRA = "Hydra"  # a command that takes Hydra's overrides: key=value
ARGPARSE = "argparse"

# Command -> module, what reads its arguments, what it does.
COMMANDS = {
    "train": ("train", HYDRA, "train and test one re-ranker, or with -m a grid of them"),
    "evaluate": ("evaluate", HYDRA, "measure trained re-rankers as they are, on any test sets"),
    "study": ("study", ARGPARSE, "plan, run, look at and verify a whole study"),
    "report": ("report", ARGPARSE, "tables, figures and the page of a study"),
    "compare": ("compare", ARGPARSE, "several studies in one table"),
    "retrieve": ("retrieve", HYDRA, "measure first stages alone, without training"),
    "audit": ("audit", HYDRA, "count false negatives among the negatives, before training"),
    "probe": ("probe", HYDRA, "measure every layer of a model as an embedder"),
    "sweeps": ("wandb_sweeps", ARGPARSE, "write the studies as W&B sweeps, for many machines"),
}
WIDTH = max(map(len, COMMANDS))
HELP = f"""\
Which loss, how many negatives, from which retriever? Declarative studies of re-rankers.

usage: rerank-ablations COMMAND [ARGUMENTS]

{"".join(f"  {name:<{WIDTH}}  {what}{chr(10)}" for name, (_, _, what) in COMMANDS.items())}
  rerank-ablations COMMAND --help says what a command takes.

  rerank-ablations study run quickstart
  rerank-ablations train loss=lce negatives.count=7
  rerank-ablations report outputs/quickstart
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names with the other arguments; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if given[0] == "--version":
        from importlib.metadata import version

        print(version("rerank-ablations"))
        return 0
    if arguments is None:
        not_yet()
    name, *rest = given
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        print(f"error: there is no command {name!r}: {meant}There are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module_name, reads, _ = COMMANDS[name]
    sys.path.append(os.getcwd())  # as python -m does: find the user's modules, such as a loss of their own
    sys.argv = [f"rerank-ablations {name}", *rest]
    module = importlib.import_module(f"experiments.{module_name}")
    if reads == ARGPARSE:
        return int(module.main(rest))
    from experiments.jobs.hydra_app import entry

    if hasattr(module, "overrides_of"):  # it takes more than overrides
        sys.argv[1:] = module.overrides_of(rest)
    entry(module.main)
    return 0


if __name__ == "__main__":
    sys.exit(main())
