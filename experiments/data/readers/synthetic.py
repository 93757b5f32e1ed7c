"""Make a collection of any size with the statistics of MS MARCO's passages, to measure time and memory.

Words are drawn alone, so the texts mean nothing; a query is a few of the rarer words of its one relevant passage. What
costs follows is as in MS MARCO: lengths, how often the frequent words occur, how the vocabulary grows. Nothing can be
learnt of a ranker's quality here.

The constants are fitted to 30,005 real MS MARCO passages (those judged or retrieved in TREC Deep Learning 2019 and
2020): 61 words each (sd 25), of which the most frequent word makes up 5.8 %, the 10 most frequent 23 %, the 100 most
frequent 42 %, the 1,000 most frequent 68 %, the 10,000 most frequent 93 %. A query's words are in .14 of the passages
in sum, as those of the 97 queries judged there are; in the whole of MS MARCO they are rarer, so that BM25 has less to
add up than here.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.checks import at_least
from experiments.common.errors import ExperimentError
from experiments.data.source import SPLITS

READER_VERSION = 2  # raise it when the same settings give other texts
BLOCK = 10_000  # passages that are made at a time
LOG_LENGTH, LOG_SD, SHORTEST, LONGEST = 4.03, 0.394, 8, 229  # of the words of a passage
VOCABULARY = 3_000_000
BEND = 6_000  # rank from which frequencies fall faster
SLOPES, OFFSET = (1.0, 1.8), 2.0  # of log frequency by log rank, before and after the bend
REPEATED = 0.2  # share of words that repeat an earlier word of their passage
QUERY_WORDS = (3, 7)  # at least, below
KNOWN = 22  # ranks of the words that a query does not have
SYLLABLES = tuple(consonant + vowel for consonant in "bcdfghklmnprstvz" for vowel in "aeiou")


class Synthetic:
    """``passages``: their number. ``train``, ``dev``, ``test``: numbers of queries. ``seed``: of all texts.

    Raises:
        ExperimentError: there are more queries than passages, or none of a number that must be above 0.
    """

    name = "synthetic"

    def __init__(
        self, passages: int = 100_000, train: int = 2000, dev: int = 200, test: int = 200, seed: int = 1
    ) -> None:
        for key, count in (("passages", passages), ("train", train), ("dev", dev), ("test", test)):
            at_least(f"data.source.{key}", count, 1)
        at_least("data.source.seed", seed, 0)
        if (queries := train + dev + test) > passages:
            raise ExperimentError(
                f"data.source: {queries:,} queries need as many passages of their own, and there are {passages:,}: "
                "raise data.source.passages or lower data.source.train"
            )
        self.size, self.seed = passages, seed
        self.queries_of = dict(zip(SPLITS, (train, dev, test), strict=True))

    def fingerprint(self) -> dict[str, Any]:
        return {"reader": f"synthetic {READER_VERSION}", "passages": self.size, **self.queries_of, "seed": self.seed}

    def counts(self) -> dict[str, int]:
        """Return the numbers of passages and queries."""
        return {"passages": self.size, **self.queries_of}

    def passages(self) -> Iterator[tuple[str, str]]:
        """Yield (number, text)."""
        for block in range(0, self.size, BLOCK):
            ranks, ends = self._ranks(block)
            words, begin = self._words(ranks), 0
            for place, end in enumerate(ends.tolist()):
                yield str(block + place), " ".join(words[begin:end])
                begin = end

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield (q and a number, words) of all splits."""
        wanted = self._relevant
        for block in range(0, self.size, BLOCK):
            first, last = np.searchsorted(wanted, (block, block + BLOCK))
            if first == last:
                continue
            ranks, ends = self._ranks(block)
            begins = np.concatenate([[0], ends[:-1]])
            for query in range(first, last):
                place = int(wanted[query]) - block
                yield f"q{query}", self._query(query, ranks[begins[place] : ends[place]])

    def qrels(self) -> dict[str, Iterator[tuple[str, str, int]]]:
        """Return (query, passage, 1) by split; queries take turns between the splits all over the collection."""
        return {split: self._judgements(number) for number, split in enumerate(SPLITS)}

    def _judgements(self, number: int) -> Iterator[tuple[str, str, int]]:
        for query in np.flatnonzero(self._split_of == number).tolist():
            yield f"q{query}", str(self._relevant[query]), 1

    @cached_property
    def _relevant(self) -> NDArray[np.int64]:
        """The passage of each query, ascending."""
        queries = sum(self.queries_of.values())
        return np.arange(queries, dtype=np.int64) * self.size // queries

    @cached_property
    def _split_of(self) -> NDArray[np.int64]:
        splits = np.repeat(np.arange(len(SPLITS)), list(self.queries_of.values()))
        return np.random.default_rng([self.seed, 1]).permutation(splits)

    def _ranks(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ranks of all words of a block, and where each of its passages ends."""
        random = np.random.default_rng([self.seed, 2, block])
        count = min(BLOCK, self.size - block)
        lengths = random.lognormal(LOG_LENGTH, LOG_SD, count).round().astype(np.int64).clip(SHORTEST, LONGEST)
        ends = lengths.cumsum()
        ranks = np.searchsorted(self._shares, random.random(int(ends[-1]))).clip(max=VOCABULARY - 1)
        within = np.arange(len(ranks)) - np.repeat(ends - lengths, lengths)  # place in its passage
        back = 1 + (random.random(len(ranks)) * within).astype(np.int64)
        repeats = (random.random(len(ranks)) < REPEATED) & (within > 0)
        return np.where(repeats, ranks[np.arange(len(ranks)) - np.minimum(back, within)], ranks), ends

    def _query(self, query: int, ranks: NDArray[np.int64]) -> str:
        """Return some of the rarer words of a passage."""
        random = np.random.default_rng([self.seed, 3, query])
        rarer = np.unique(ranks[ranks >= KNOWN])
        chosen = rarer if len(rarer) else np.unique(ranks)
        count = min(int(random.integers(*QUERY_WORDS)), len(chosen))
        return " ".join(self._words(random.choice(chosen, count, replace=False)))

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """The cumulative share of words by rank."""
        ranks = np.arange(VOCABULARY) + OFFSET
        bend = BEND + OFFSET
        frequencies = np.where(ranks < bend, ranks ** -SLOPES[0], bend ** (SLOPES[1] - SLOPES[0]) * ranks ** -SLOPES[1])
        return np.cumsum(frequencies / frequencies.sum())

    @cached_property
    def _common(self) -> NDArray[np.object_]:
        return np.array([word_of(rank) for rank in range(100_000)], dtype=object)

    def _words(self, ranks: NDArray[np.int64]) -> list[str]:
        common = self._common
        words = common[ranks.clip(max=len(common) - 1)]
        for place in np.flatnonzero(ranks >= len(common)).tolist():
            words[place] = word_of(int(ranks[place]))
        return list(words)


def word_of(rank: int) -> str:
    """Return the word of a rank, from 0: one syllable for the most frequent, more for rarer ones; no two are alike."""
    syllables, number = [], rank
    while True:
        number, last = divmod(number, len(SYLLABLES))
        syllables.append(SYLLABLES[last])
        if number == 0:
            return "".join(reversed(syllables))
        number -= 1
