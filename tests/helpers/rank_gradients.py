"""As a command: compute the loss and gradient of the first steps of jobs, as one of several processes or alone.

    python -m helpers.rank_gradients FILE OVERRIDES_AS_JSON

Where WORLD_SIZE says so, each process scores its share and the gradients are averaged as DDP does. The first process
writes {job: [(loss, scores, {name: gradient}) of each step]} to FILE.
"""

import json
import os
import sys
from typing import Any

import torch
from helpers.jobs import composed
from torch import distributed as dist

from experiments.common.cache import Cache
from experiments.config import compose
from experiments.data.collection import open_collection
from experiments.jobs.components import make_components
from experiments.jobs.prepare import prepare

STEPS = 2


def steps_of(overrides: list[str], rank: int, ranks: int) -> list[Any]:
    experiment = compose.check(composed(*overrides))
    parts, cache = make_components(experiment), Cache(experiment.cache)
    setup = experiment.model.build(prepare(experiment, open_collection(parts.source, cache), parts, cache))
    found = []
    for step in range(STEPS):
        setup.module.zero_grad()
        loss, scores_QN = setup.module.objective(setup.data.groups.batch(step, rank, ranks))
        loss.backward()
        gradients = {}
        for name, parameter in setup.module.network.named_parameters():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            if ranks > 1:
                dist.all_reduce(gradient)
            gradients[name] = gradient / ranks
        found.append((loss.detach(), scores_QN.detach(), gradients))
    return found


def main() -> None:
    place, jobs = sys.argv[1], json.loads(sys.argv[2])
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    if ranks > 1:
        dist.init_process_group("gloo")
    found = {job: steps_of(overrides, rank, ranks) for job, overrides in jobs.items()}
    if rank == 0:
        torch.save(found, place)
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
