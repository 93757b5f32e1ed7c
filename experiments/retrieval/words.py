"""Split texts into the words that BM25 indexes: in lower case, without stop words, stemmed.

The words are those of ``bm25s.tokenize``, of which this is a faster form: each distinct word is stemmed and compared
with the stop words once.
"""

import re
from collections.abc import Iterable

from experiments.common.errors import ExperimentError

WORD = re.compile(r"(?u)\b\w\w+\b")  # of bm25s and scikit-learn: two or more letters or digits


class Words:
    """Split texts. ``stemmer``: a Snowball language or None. ``stopwords``: a list of bm25s such as ``en``, or None.

    Memory grows with the distinct words that were split: make a new one for each of many large batches.
    """

    def __init__(self, stemmer: str | None, stopwords: str | None) -> None:
        self.stemmer, self.stopwords = stemmer, stopwords
        self._stems = _Stems(stemmer, stopwords)

    def of(self, text: str) -> list[str]:
        """Return the words of a text in their order, with repetitions."""
        stems = map(self._stems.__getitem__, WORD.findall(text.lower()))
        return [stem for stem in stems if stem is not None]

    def numbered(self, texts: Iterable[str]) -> tuple[list[list[int]], list[str]]:
        """Return the numbers of each text's words, and the word that each number stands for."""
        numbers: dict[str, int] = {}
        rows = [[numbers.setdefault(word, len(numbers)) for word in self.of(text)] for text in texts]
        return rows, list(numbers)


class _Stems(dict[str, str | None]):
    """Map a word to its stem, or to None if it is a stop word."""

    def __init__(self, stemmer: str | None, stopwords: str | None) -> None:
        import Stemmer
        from bm25s.tokenization import Tokenizer

        super().__init__(dict.fromkeys(Tokenizer(stopwords=stopwords or []).stopwords))
        self._stem = Stemmer.Stemmer(stemmer).stemWord if stemmer is not None else str

    def __missing__(self, word: str) -> str | None:
        stem: str = self._stem(word)
        self[word] = stem
        return stem


def check_stemmer(key: str, stemmer: str | None) -> None:
    """Refuse a language that Snowball does not have. ``key``: of the config, for the message."""
    import Stemmer

    if stemmer is not None and stemmer not in Stemmer.algorithms():
        raise ExperimentError(f"{key}: {stemmer!r} is none of {', '.join(Stemmer.algorithms())}")
