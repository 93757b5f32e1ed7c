"""Find twin queries: training queries that differ only in function words, so that they have the same answers.

With one judged passage a query, twins may have different ones, and each positive is a false negative of the other.
Similarity is the Jaccard similarity of their sets of ordered word pairs, without function words. Only training queries
are compared: judgements of dev and test queries must not influence training.

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

# Signs that distinguish questions count as words: C and C++, < and >.
WORD = re.compile(r"\w+|[+#<>=&|%$*]")
BEGIN, END = "<s>", "</s>"  # of a query; never a word
MEANINGFUL = frozenset({"and", "or", "no", "not"})  # stop words that change the meaning of a question
SHINGLE = 2  # queries are short, and pairs distinguish "PPM to PICT" from "PICT to PPM"


@dataclass(frozen=True)
class TwinQueries:
    """Training queries (Q,), ascending, and their ``shingles``. ``passages``: (A,) rows of all relevant passages,
    ascending. ``answered``: for each passage, positions in ``queries`` of those that it answers.
    """

    queries: Rows
    shingles: Ragged
    passages: Rows
    answered: Ragged

    @classmethod
    def of(cls, collection: Collection, relevant: Mapping[int, Rows]) -> "TwinQueries":
        """Index the training queries. ``relevant``: row of every training query -> rows of its positives."""
        queries = np.array(sorted(relevant), np.int64)
        positives = [relevant[int(query)] for query in queries]
        passages = np.concatenate([np.empty(0, np.int64), *positives])
        places = np.repeat(np.arange(len(queries)), [len(rows) for rows in positives])
        order = np.argsort(passages, kind="stable")
        distinct, offsets = group_by_key(passages[order])
        return cls(queries, query_shingles(collection.queries.texts(queries)), distinct, Ragged(places[order], offsets))

    def nearest(self, query: int, candidates: Rows) -> tuple[NDArray[np.float64], Rows]:
        """Find, for each candidate, the most similar other training query that it answers.

        Returns its similarity (C,), 0 to 1, and its row (C,); 0 and -1 where no such query shares a word pair.

        Raises:
            KeyError: ``query`` is not a training query.
        """
        own = int(np.searchsorted(self.queries, query))
        if own == len(self.queries) or self.queries[own] != query:
            raise KeyError(query)
        similarity_C, twin_C = np.zeros(len(candidates)), np.full(len(candidates), -1, np.int64)
        at_C = np.searchsorted(self.passages, candidates)
        known = np.flatnonzero(at_C < np.searchsorted(self.passages, candidates, side="right"))
        if not len(known):
            return similarity_C, twin_C
        answered = [self.answered[at] for at in at_C[known].tolist()]
        others_V, owner_V = np.concatenate(answered), np.repeat(known, [len(rows) for rows in answered])
        alike_V = similarity(self.shingles, np.array([own]), others_V)
        alike_V[others_V == own] = 0.0
        # The last assignment to a candidate wins: the most similar query, and of equal ones the first.
        order = np.lexsort((-others_V, alike_V))
        order = order[alike_V[order] > 0]
        similarity_C[owner_V[order]] = alike_V[order]
        twin_C[owner_V[order]] = self.queries[others_V[order]]
        return similarity_C, twin_C


def query_shingles(texts: Iterable[str]) -> Ragged:
    """Hash the pairs of neighbouring words of each query, in lower case, without stop words except ``MEANINGFUL``."""
    from bm25s.stopwords import STOPWORDS_EN

    dropped = frozenset(STOPWORDS_EN) - MEANINGFUL
    queries = ([word for word in WORD.findall(text.lower()) if word not in dropped] for text in texts)
    return hashed_shingles(([BEGIN, *words, END] if words else [] for words in queries), SHINGLE)
