"""Go on with less memory after an allocation has failed."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from experiments.common.errors import ExperimentError
from experiments.common.text import first_line
from experiments.data.batches.pairs import TokenBatch

log = logging.getLogger(__name__)
ON_A_CPU = "can't allocate memory"  # of torch's allocator, which raises a RuntimeError of no kind of its own


def ran_out(error: Exception) -> bool:
    """Return whether an error says that memory could not be allocated, on a GPU or on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and ON_A_CPU in str(error)


def free(device: torch.device) -> None:
    """Give back what a failed attempt has left in the cache of a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def too_little(device: torch.device, error: Exception, *, recomputes: bool) -> ExperimentError:
    """Return the error of a step that does not fit, with what to lower. ``recomputes``: whether activations can be."""
    way_out = "set batch.checkpoint=true, or lower" if recomputes else "lower"
    return ExperimentError(
        f"a training step does not fit into the memory of {device.type} ({first_line(error)}): {way_out} "
        f"compute.tokens_per_batch.train, batch.size, negatives.count or model.max_length"
    )


def scored_within_memory(score: Callable[[TokenBatch], Tensor], tokens: TokenBatch) -> Tensor:
    """Return the (B,) scores of pairs on the CPU; in halves where an allocation fails for all of them at once.

    ``score``: scores pairs, each independently of the others.
    """
    try:
        return score(tokens).cpu()
    except Exception as error:
        if not ran_out(error) or len(tokens.lengths) == 1:
            raise
        log.warning("scoring %d pairs at once needs too much memory: halves", len(tokens.lengths))
    free(tokens.input_ids_T.device)  # here, as the error above holds the tensors of its attempt
    return torch.cat([scored_within_memory(score, half) for half in tokens.halves()])
