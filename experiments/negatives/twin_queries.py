"""Twin queries: training queries that ask the same in other function words, so that what answers one answers the other.

Where judges marked one passage a query, two queries that mean the same may have been given different ones, and each
query's positive is then a false negative of the other. Unlike the words of two passages, this evidence comes from the
judgements: a person found the passage relevant for these words.

Two queries are as alike as their sets of word pairs (Jaccard), words in their order, function words left out. Only
training queries are compared: what is judged for dev and test queries must not decide what a model is trained on.

Shapes: Q training queries, A passages that answer any of them, C candidates of a query, V (candidate, query it answers)
pairs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, Rows, group_by_key
from experiments.negatives.near_duplicates import hashed_shingles, similarity

# Signs that tell questions apart count as words: C and C++, < and >.
WORD = re.compile(r"\w+|[+#<>=&|%$*]")
BEGIN, END = "<s>", "</s>"  # of a query; no word is one of them
# Stop words that turn a question round: merged and not merged, with both tags and with either.
MEANINGFUL = frozenset({"and", "or", "no", "not"})
SHINGLE = 2  # queries are short, and pairs tell "PPM to PICT" from "PICT to PPM"


@dataclass(frozen=True)
class TwinQueries:
    """The training queries and what answers them.

    ``queries``: (Q,) query rows, ascending. ``shingles``: of each. ``passages``: (A,) rows of the passages that are
    relevant for any, ascending. ``answered``: of each of these, the places in ``queries`` of those that it answers.
    """

    queries: Rows
    shingles: Ragged
    passages: Rows
    answered: Ragged

    @classmethod
    def of(cls, collection: Collection, relevant: Mapping[int, Rows]) -> "TwinQueries":
        """``relevant``: row of every training query -> rows of its positives."""
        queries = np.array(sorted(relevant), np.int64)
        positives = [relevant[int(query)] for query in queries]
        passages = np.concatenate([np.empty(0, np.int64), *positives])
        places = np.repeat(np.arange(len(queries)), [len(one) for one in positives])
        order = np.argsort(passages, kind="stable")
        distinct, offsets = group_by_key(passages[order])
        return cls(queries, query_shingles(collection.queries.texts(queries)), distinct, Ragged(places[order], offsets))

    def nearest(self, query: int, candidates: Rows) -> tuple[NDArray[np.float64], Rows]:
        """For each candidate the other training query that it answers and that is most alike to the given one.

        (C,) how alike, 0 to 1, and (C,) its row; 0 and -1 where a candidate answers no query that shares a word pair.

        Raises:
            KeyError: the given row is none of the training queries.
        """
        own = int(np.searchsorted(self.queries, query))
        if own == len(self.queries) or self.queries[own] != query:
            raise KeyError(query)
        similarity_C, twin_C = np.zeros(len(candidates)), np.full(len(candidates), -1, np.int64)
        at_C = np.searchsorted(self.passages, candidates)
        known = np.flatnonzero(at_C < np.searchsorted(self.passages, candidates, side="right"))
        if not len(known):
            return similarity_C, twin_C
        some = [self.answered[at] for at in at_C[known].tolist()]
        others_V, owner_V = np.concatenate(some), np.repeat(known, [len(one) for one in some])
        alike_V = similarity(self.shingles, np.array([own]), others_V)
        alike_V[others_V == own] = 0.0
        # The last of the queries that a candidate answers is what stays: the most alike, of such the first.
        order = np.lexsort((-others_V, alike_V))
        order = order[alike_V[order] > 0]
        similarity_C[owner_V[order]] = alike_V[order]
        twin_C[owner_V[order]] = self.queries[others_V[order]]
        return similarity_C, twin_C


def query_shingles(texts: Iterable[str]) -> Ragged:
    """The hashed pairs of neighbouring words of each query, its begin and end included, in lower case.

    English function words are left out (the stop words of bm25s, but for ``MEANINGFUL``). A query of nothing else has
    no shingles, and so is like no other.
    """
    from bm25s.stopwords import STOPWORDS_EN

    dropped = frozenset(STOPWORDS_EN) - MEANINGFUL
    words = ([word for word in WORD.findall(text.lower()) if word not in dropped] for text in texts)
    return hashed_shingles(([BEGIN, *some, END] if some else [] for some in words), SHINGLE)
