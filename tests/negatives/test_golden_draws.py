"""Draws of the rules of the papers, held against digests of the sampler before it knew other draws than the uniform.

An edit of the sampler that changes one of them makes every finished job incomparable: raise ``negatives.sampler`` in
``experiments/common/code_versions.py`` then.
"""

import hashlib

import numpy as np
import pytest
from helpers.tiny import literal_collection, literal_run

from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.negatives.sampler import NegativeSampler

QUERIES = range(7)
RULES = {
    "uniform": (NegativeRule(), "a", "c9f6aad553b9f178"),
    "nogueira2019": (NegativeRule(count=1, depth=120), "a", "ef5dd8bc66f345f9"),
    "gao2021": (NegativeRule(pool=10, short="replacement"), "a", "e7bbe8fcca248d9d"),
    "pradeep2022": (NegativeRule(depth=200, replacement=True, short="replacement"), "a", "fbec02b2841e8f31"),
    "mixture": (NegativeRule(count=15, source="a+b"), "ab", "cfc0fd6c7d6d018f"),
    "short mixture": (
        NegativeRule(count=31, source="c+c+a", depth=12, short="replacement"), "cca", "7d7d0c67722bff13",
    ),
    "replaced mixture": (
        NegativeRule(count=9, source="a+b+c", replacement=True, skip=1), "abc", "84c410dc9c3f576c",
    ),
    "never": (NegativeRule(count=31, redraw="never", skip=10), "a", "219ad12777d46a12"),
}  # fmt: skip


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("golden"), passages=300, queries=8)


@pytest.mark.parametrize("name", RULES)
def test_the_rules_of_the_papers_draw_what_they_always_drew(collection: Collection, name: str):
    rule, names, expected = RULES[name]
    rng = np.random.default_rng(0)
    first, second, third = ({query: rng.permutation(300)[:120].tolist() for query in QUERIES} for _ in range(3))
    short = {query: ranking[:3] for query, ranking in third.items()}
    runs = {"a": literal_run(first, "a"), "b": literal_run(second, "b"), "c": literal_run(short, "c")}
    relevant = {query: np.array([query, query + 50]) for query in QUERIES}
    sampler = NegativeSampler(rule, [runs[letter] for letter in names], relevant, collection, 3)
    digest = hashlib.sha256()
    for epoch in range(20):
        for query in sampler.queries.tolist():
            for rows in sampler.drawn(query, epoch):
                digest.update(rows.astype("<i8").tobytes())
            digest.update(sampler.positive(query, epoch).to_bytes(8, "little"))
    assert digest.hexdigest()[:16] == expected
