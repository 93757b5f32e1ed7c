"""The training stream follows from the step's number alone: resumes, workers and ranks change nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import literal_collection, literal_run
from torch.utils.data import DataLoader

from experiments.config.negatives import NegativeRule
from experiments.data.batches.groups import StepStream, TrainingGroups
from experiments.data.batches.pair_batches import PairBatcher, RunPairs
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.ragged import Ragged
from experiments.negatives.draw_log import write_audit
from experiments.negatives.sampler import NegativeSampler

TEMPLATE = PairTemplate(prefix=(1,), middle=(2,), suffix=(2,), query_segment=0, passage_segment=1)


@pytest.fixture
def groups(tmp_path: Path) -> TrainingGroups:
    """Six training queries, of which query i is answered by passage i; passage i has i + 1 tokens."""
    judged = {"train": [(f"q{i}", f"p{i}", 1) for i in range(6)], "test": [("q6", "p6", 1)]}
    collection = literal_collection(tmp_path, passages=12, queries=7, judgements=judged)
    run = literal_run({query: list(range(12)) for query in range(6)})
    relevant = {query: np.array([query]) for query in range(6)}
    sampler = NegativeSampler(NegativeRule(count=3, depth=12), [run], relevant, collection, seed=1)
    queries = Ragged.of([[10 + i] * 2 for i in range(7)], np.int64)
    passages = Ragged.of([[100 + i] * (i + 1) for i in range(12)], np.int64)
    batcher = PairBatcher(PairEncoder(TEMPLATE, queries, passages, 4, 30), tokens_per_batch=30)
    return TrainingGroups(sampler, queries_per_step=4, batcher=batcher)


def test_an_epoch_visits_every_query_once(groups: TrainingGroups):
    visited = np.concatenate([groups.groups(step).queries_Q for step in range(3)])
    epochs = np.concatenate([groups.groups(step).epochs_Q for step in range(3)])
    assert epochs.tolist() == [0] * 6 + [1] * 6
    assert sorted(visited[:6].tolist()) == sorted(visited[6:].tolist()) == list(range(6))
    assert visited[:6].tolist() != visited[6:].tolist()


def test_the_positive_stands_first_in_every_group(groups: TrainingGroups):
    one = groups.groups(5)
    assert one.passages_QN[:, 0].tolist() == one.queries_Q.tolist()
    assert one.passages_QN.shape == (4, 4)


def test_two_ranks_share_the_groups_of_one(groups: TrainingGroups):
    whole = groups.groups(2)
    parts = [groups.groups(2).of_rank(rank, 2) for rank in (0, 1)]
    assert whole.queries_Q[0::2].tolist() == parts[0].queries_Q.tolist()
    assert whole.passages_QN[1::2].tolist() == parts[1].passages_QN.tolist()


def test_places_lead_from_micro_batches_back_to_the_groups(groups: TrainingGroups):
    batch, passages = groups.batch(1), groups.groups(1).passages_QN.ravel()
    lengths = np.concatenate([micro.lengths for micro in batch.micro_batches])
    # [1] query query [2] passage * (row + 1) [2]
    assert (lengths - 6).tolist() == passages[batch.place_P.numpy()].tolist()
    assert all(sum(micro.lengths) <= 30 for micro in batch.micro_batches)
    assert sum(sum(micro.lengths) for micro in batch.micro_batches) == groups.tokens(1)


def same(first, second) -> bool:
    pairs = zip(first.micro_batches, second.micro_batches, strict=True)
    return torch.equal(first.place_P, second.place_P) and all(
        torch.equal(a.input_ids_T, b.input_ids_T) for a, b in pairs
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_from_a_step_goes_on_as_if_it_had_begun_before(groups: TrainingGroups, workers: int):
    resumed = iter(DataLoader(StepStream(groups, start=3), batch_size=None, num_workers=workers))
    found = [next(resumed) for _ in range(4)]
    assert [batch.step for batch in found] == [3, 4, 5, 6]
    assert all(same(batch, groups.batch(batch.step)) for batch in found)


def test_scoring_batches_hold_every_pair_of_a_run_once_over_all_ranks(groups: TrainingGroups):
    run = literal_run({0: [0, 5, 11], 6: [6, 1]})
    ranks = [RunPairs(run, groups.batcher.encoder, 30, rank, 2) for rank in (0, 1)]
    places = torch.cat([data[i].places_B for data in ranks for i in range(len(data))])
    assert sorted(places.tolist()) == [0, 1, 2, 3, 4]
    first = ranks[0][0]
    longest = int(first.places_B[0])
    assert longest == 2, "sorted by length over the whole run: passage 11 comes first"


def test_the_audit_says_where_the_negatives_stood(groups: TrainingGroups, tmp_path: Path):
    collection = literal_collection(tmp_path / "again", passages=12, queries=7)
    summary = write_audit(groups, groups.sampler, 3, collection, tmp_path / "drawn.tsv.gz")
    ranks = np.concatenate([groups.groups(step).passages_QN[:, 1:].ravel() + 1 for step in range(3)])
    assert summary["rank_in_source"]["mean"] == pytest.approx(ranks.mean())
    assert summary["groups"] == 12
    assert summary["negatives_drawn"] == 36
    assert summary["epochs_begun"] == 2
    assert summary["repeated_within_a_group"] == 0
