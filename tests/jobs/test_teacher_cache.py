"""A model that teaches scores each pair once: not in a second epoch, a resumed job, or with another loss of a grid."""

from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import run, tiny_overrides
from helpers.seals import reseal

from experiments.data.batches.pairs import TokenBatch
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.teacher import Teacher

TWO_EPOCHS = "budget.size=80"  # of 40 training queries, each with three negatives


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    folder = tmp_path_factory.mktemp("cached")
    tiny = tiny_overrides(folder, data, backbone)
    teacher = run([*tiny, "seed=2"])[1] / "model"
    return [*tiny, TWO_EPOCHS, f"loss.teacher={teacher}"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pairs of each forward pass of the teacher."""
    passes: list[int] = []
    logits = Teacher._logits

    def counted(self: Teacher, tokens: TokenBatch) -> Any:
        passes.append(len(tokens.lengths))
        return logits(self, tokens)

    monkeypatch.setattr(Teacher, "_logits", counted)
    return passes


def with_loss(overrides: list[str], loss: str, *more: str) -> list[str]:
    return [*overrides[:-1], f"loss={loss}", overrides[-1], *more]


def test_a_grid_scores_each_pair_once(overrides: list[str], read: list[int]):
    metrics, _ = run(with_loss(overrides, "margin_mse"))
    first = sum(read)
    assert metrics["compute"]["pairs"] == 80 * 4
    assert 40 * 4 < first < 80 * 4, "two epochs: a positive comes back, its negatives are drawn anew"
    for loss in ("kl_divergence", "mse", "distill_ranknet"):
        again, _ = run(with_loss(overrides, loss))
        assert again["compute"]["flops"] == metrics["compute"]["flops"], "what the method costs, cached or not"
        assert again["compute"]["cache_hits"]["teacher_scores"] == 1
    run(with_loss(overrides, "margin_mse", "negatives.count=1"))
    assert sum(read) == first, "fewer negatives are some of the same"
    run(with_loss(overrides, "margin_mse", "negatives.count=5"))
    assert first < sum(read) < first + 80 * 6, "of more negatives those are scored that are new"


def test_a_job_that_goes_on_scores_nothing(overrides: list[str], read: list[int], monkeypatch: pytest.MonkeyPatch):
    train = CrossEncoder.training_step

    def stop(self: CrossEncoder, batch: Any, batch_idx: int) -> Any:
        if batch.step == 6:
            raise RuntimeError("out of memory")
        return train(self, batch, batch_idx)

    job = with_loss(overrides, "adr_mse", "seed=3")
    monkeypatch.setattr(CrossEncoder, "training_step", stop)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(job)
    scored = len(read)
    assert scored > 0
    monkeypatch.setattr(CrossEncoder, "training_step", train)
    run(job)
    assert len(read) == scored


def test_a_teacher_that_was_trained_again_scores_anew(overrides: list[str], read: list[int], tmp_path: Path):
    job = with_loss(overrides, "margin_mse", "seed=4", f"cache={tmp_path}")
    run(job)
    scored = sum(read)
    weights = Path(overrides[-1].partition("=")[2]) / "model.safetensors"
    before = weights.read_bytes()
    try:
        weights.write_bytes(before[:-4] + b"\x00\x00\x80\x3f")
        reseal(weights.parents[1])
        run(job)
    finally:
        weights.write_bytes(before)
        reseal(weights.parents[1])
    assert sum(read) == 2 * scored
