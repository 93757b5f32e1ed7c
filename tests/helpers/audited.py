"""Eight passages and three queries to audit negatives on, whose signs are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from helpers.tiny import LiteralSource, literal_run

from experiments.common.cache import Cache
from experiments.config.negatives import NegativeRule
from experiments.data.collection import open_collection
from experiments.negatives.false_negative_audit import AuditInput, FalseNegativeAudit, audit_negatives
from experiments.negatives.near_duplicates import passage_shingles
from experiments.negatives.twin_queries import TwinQueries

PASSAGES = [
    "copy a file to a folder",  # 0, the positive of query 0
    "Copy  a file to a folder",  # 1, the same text but for case and white space
    "copy a file to a disk",  # 2, three of five shingles: 0.6 alike
    "move a file",  # 3, one shingle, shared with none
    "list all users",  # 4, the positive of query 1
    "print the date | time",  # 5
    "delete `old` files",  # 6, judged with grade 1 for query 1, not enough for a positive
    "count words",  # 7, the positive of query 2
]
JUDGED = {0: {0: 2}, 1: {4: 2, 6: 1}}
FAR = {0: [1, 2, 3, 5, 7, 0], 1: [6, 5, 7, 3, 2, 4]}


def audit_input(folder: Path) -> AuditInput:
    """The input of an audit of ``FAR`` and of three passages a query from ColBERT."""
    store = Cache(folder / "store")
    passages = [(f"p{i}", text) for i, text in enumerate(PASSAGES)]
    queries = [("q0", "how to copy a file ?"), ("q1", "who is logged in ?"), ("q2", "How to copy the file")]
    qrels = {"train": [("q0", "p0", 2), ("q1", "p4", 2), ("q1", "p6", 1), ("q2", "p7", 1)]}
    collection = open_collection(LiteralSource(passages, queries, qrels), store)
    runs = {"bm25": literal_run(FAR, "bm25"), "colbert": literal_run({0: [3, 5, 7], 1: [5, 7, 3]}, "colbert")}
    relevant = {0: np.array([0]), 1: np.array([4])}
    # query 2 is not looked at, but trained on: it asks what query 0 asks
    twins = TwinQueries.of(collection, relevant | {2: np.array([7])})
    return AuditInput(collection, relevant, JUDGED, runs, passage_shingles(collection, store), twins)


def audit(given: AuditInput, count: int = 2, **more) -> FalseNegativeAudit:
    """The audit of ``count`` negatives a query of the two top passages of BM25, or as asked for."""
    settings = {"sources": ["bm25"], "depths": [2], "near_duplicate": 0.5, "twin_query": 1.0} | more
    return audit_negatives(given, NegativeRule(count=count), **settings)


def scores(queries, passages):
    """The positives 0 and 4 are scored 1; passage 5 is scored 3, every other 0.5."""
    special = {0: 1.0, 4: 1.0, 5: 3.0}
    return np.array([special.get(int(passage), 0.5) for passage in passages], np.float32)


def answers_of_twins(given: AuditInput) -> AuditInput:
    """Query 0's only candidates are passage 7, which its twin is answered by, and 2, which is a near-duplicate."""
    return replace(given, runs={"bm25": literal_run({0: [2, 7], 1: [5, 7]}, "bm25")})
