"""A training whose memory does not suffice goes on with less; the failing allocations are real: of a petabyte."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from helpers.jobs import composed, tiny_overrides
from helpers.tiny import write_beir_folder, write_tiny_bert
from torch import Tensor

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.data.batches.pairs import TokenBatch
from experiments.data.collection import open_collection
from experiments.jobs.components import make_components
from experiments.jobs.prepare import prepare
from experiments.models.memory_guard import ran_out, scored_within_memory
from experiments.models.ranker import Ranker
from experiments.models.training_setup import TrainingSetup

STEPS = 4
Spoil = Callable[[Ranker], None]


def run_out() -> None:
    torch.empty(10**15)


def setup_of(tmp_path: Path, *more: str) -> TrainingSetup:
    data = tmp_path / "shapes"
    if not data.exists():
        write_beir_folder(data)
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    overrides = tiny_overrides(tmp_path, data, write_tiny_bert(tmp_path / "bert", texts))
    experiment = compose.check(composed(*overrides, "model.dropout=0", "optimizer=sgd", *more))
    parts, store = make_components(experiment), Cache(experiment.cache)
    pl.seed_everything(0, verbose=False)
    return experiment.model.build(prepare(experiment, open_collection(parts.source, store), parts, store))


def trained(tmp_path: Path, *more: str, spoil: Spoil = lambda ranker: None) -> Ranker:
    """Train some steps, whose size is that of the gradient (SGD). ``spoil``: changes the ranker before."""
    setup = setup_of(tmp_path, *more)
    spoil(setup.module)
    pl.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        limit_val_batches=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        default_root_dir=tmp_path,
    ).fit(setup.module, datamodule=setup.data)
    return setup.module


def largest_pass_runs_out(ranker: Ranker) -> None:
    """From the second step on, a pass over more pairs than the half of a step runs out of memory."""
    forward, begun = ranker.forward, iter((False, *[True] * 1000))

    def limited(tokens: TokenBatch) -> Tensor:
        if len(tokens.lengths) > 8 and next(begun):
            run_out()
        scores: Tensor = forward(tokens)
        return scores

    ranker.forward = limited  # type: ignore[method-assign]


def first_backward_runs_out(ranker: Ranker) -> None:
    def fail_once(gradient: Tensor) -> None:
        handle.remove()
        run_out()

    handle = next(ranker.network.parameters()).register_hook(fail_once)


def every_pass_runs_out(ranker: Ranker) -> None:
    ranker.forward = lambda tokens: run_out()  # type: ignore[method-assign]


@pytest.mark.parametrize("spoil", [largest_pass_runs_out, first_backward_runs_out])
def test_a_step_that_does_not_fit_is_done_with_less_memory_for_the_same_gradient(
    spoil: Spoil, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    whole = trained(tmp_path)
    with caplog.at_level(logging.WARNING):
        spared = trained(tmp_path, spoil=spoil)
    assert (whole.spared, spared.spared) == (False, True)
    assert caplog.text.count("passes are half as large and activations are recomputed") == 1
    for name, weight in whole.network.state_dict().items():
        torch.testing.assert_close(spared.network.state_dict()[name], weight, atol=1e-6, rtol=1e-4, msg=name)


def test_a_step_that_was_begun_twice_is_counted_once(tmp_path: Path):
    spared = trained(tmp_path, spoil=first_backward_runs_out)
    assert (spared.spent.steps, spared.spent.groups) == (STEPS, STEPS * 4)


def keeps_activations_and_runs_out(ranker: Ranker) -> None:
    """As a bi-encoder, which has no way to take less."""
    ranker.spares = False  # type: ignore[misc]
    first_backward_runs_out(ranker)


@pytest.mark.parametrize("spoil", [every_pass_runs_out, keeps_activations_and_runs_out])
def test_a_step_that_cannot_fit_ends_in_one_error_that_says_what_to_lower(spoil: Spoil, tmp_path: Path):
    with pytest.raises(
        ExperimentError, match=r"does not fit into the memory of cpu .*: lower compute\.tokens_per_batch"
    ):
        trained(tmp_path, spoil=spoil)


def test_other_errors_stay_themselves(tmp_path: Path):
    def break_it(ranker: Ranker) -> None:
        def broken(tokens: Any) -> Tensor:
            raise RuntimeError("size mismatch")

        ranker.forward = broken  # type: ignore[method-assign]

    with pytest.raises(RuntimeError, match="size mismatch"):
        trained(tmp_path, spoil=break_it)


def test_a_resumed_training_still_spares_memory(tmp_path: Path):
    spared = trained(tmp_path, spoil=first_backward_runs_out)
    checkpoint: dict[str, Any] = {"state_dict": {}}
    spared.on_save_checkpoint(checkpoint)
    resumed = setup_of(tmp_path).module
    resumed.on_load_checkpoint(checkpoint)
    assert resumed.spared


def test_pairs_that_do_not_fit_together_are_scored_in_halves():
    tokens = TokenBatch(torch.arange(12), torch.zeros(12, dtype=torch.int64), (3, 1, 2, 4, 2))
    passes: list[int] = []

    def score(part: TokenBatch) -> Tensor:
        if len(part.lengths) > 2:
            run_out()
        passes.append(len(part.lengths))
        return torch.stack([row.sum() for row in part.input_ids_T.split(part.lengths)]).float()

    assert scored_within_memory(score, tokens).tolist() == [3.0, 3.0, 9.0, 30.0, 21.0]
    assert passes == [2, 1, 2]


def test_a_pair_that_does_not_fit_by_itself_is_an_error():
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        scored_within_memory(lambda tokens: run_out(), TokenBatch(torch.arange(2), torch.arange(2), (2,)))


@pytest.mark.parametrize(
    ("error", "expected"),
    [(MemoryError(), True), (torch.OutOfMemoryError("CUDA out of memory"), True), (RuntimeError("no"), False)],
)
def test_what_an_allocation_that_fails_looks_like(error: Exception, expected: bool):
    assert ran_out(error) is expected
