"""Encoding speed of a shallow dual encoder beside a deep one of the same width and vocabulary, in one run.

    python tests/benchmarks/bench_dual_encoder.py [--texts N] [--threads N] [--rounds N] [--layers 2 12]
                                                  [--device cpu|cuda] [--precision fp32|bf16]

Both have the shape of BERT base (hidden size 768, 30,522 words) and random weights, as ``load_dual_encoder`` draws
them. Texts are docstrings of the installed numpy and scipy of 60 to 140 tokens. Each is encoded with tokenising by
sentence-transformers' ``encode_document`` at its defaults (32 texts a batch, sorted by length), and from tokens made
before by our own forward pass, which computes no padding on a CPU. Rounds alternate between all, so that what else the
machine does falls on all. The ratios stand beside the 5.15 of Ananthakrishnan et al. 2025 (arXiv 2502.03552), whose
hardware, lengths and batches are not known. Exits with an error if the two ways of encoding differ.
"""

import argparse
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from docstring_texts import alternate, docstrings
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from transformers import BertConfig, BertModel, BertTokenizerFast

from experiments.config import Backbone, Optimization
from experiments.data.batches.pairs import micro_batches
from experiments.data.batches.text_features import TextFeatures
from experiments.data.ragged import Ragged
from experiments.losses.lce import lce
from experiments.models.dual_encoder.config import DualEncoderConfig
from experiments.models.dual_encoder.lightning_module import DualEncoder
from experiments.models.dual_encoder.network import load_dual_encoder
from experiments.models.packed_forward import choose_layout
from experiments.pretrained.source import quiet

PUBLISHED, WORDS, MAX_LENGTH = 5.15, 30_522, 256
TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}  # of the coordinates of vectors of length 1
TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 65_536}
TEXTS = {"cpu": 32, "cuda": 8_192}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_backbone(folder: Path) -> Backbone:
    """BERT base's shape with one layer, which the dual encoders are drawn by, and the words of the docstrings."""
    counts = Counter(word for text in docstrings() for word in text.lower().split() if word.isalpha())
    pieces = [chr(code) for code in range(33, 127)]
    words = [*SPECIAL, *pieces, *(f"##{one}" for one in pieces), *(word for word, _ in counts.most_common(WORDS))]
    words = list(dict.fromkeys(words))[:WORDS]
    words += [f"[unused{i}]" for i in range(WORDS - len(words))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    BertModel(BertConfig(vocab_size=WORDS, num_hidden_layers=1)).save_pretrained(folder)
    return Backbone(name="bert-base-shape", path=str(folder))


def encoder_of(backbone: Backbone, layers: int, device: str) -> DualEncoder:
    """A dual encoder of so many random layers, ready to encode."""
    settings = DualEncoderConfig(
        max_length=MAX_LENGTH, max_query_tokens=32, layers=layers, infused=[], infuse_embeddings=False, rest="random"
    )
    network = load_dual_encoder(backbone, settings, seed=0)
    layout = choose_layout(network[0].model, "auto", device, head=False)
    module = DualEncoder(network, lce, Optimization(), steps=1, seed=0, settings=settings, layout=layout)
    return module.eval().to(device)


def chosen_texts(count: int, tokenizer: Any) -> list[str]:
    """Docstrings of 60 to 140 tokens, again from the first where there are too few."""
    fitting = list(islice((text for text in docstrings() if 60 <= len(tokenizer.tokenize(text)) <= 140), count))
    return [fitting[i % len(fitting)] for i in range(count)]


def encode_cached(module: DualEncoder, source: TextFeatures, device: str) -> NDArray[np.float32]:
    """(texts, D) vectors from tokens made before, in length-sorted batches."""
    rows = np.arange(len(source.ids.offsets) - 1)
    vectors = np.empty((len(rows), module.network.get_embedding_dimension() or 0), np.float32)
    with torch.inference_mode():
        for part in micro_batches(source.lengths(rows), TOKENS_PER_BATCH[device]):
            features = {name: value.to(device) for name, value in source.batch(part).items()}
            vectors[part] = module(features).float().cpu().numpy()
    return vectors


def contestants(
    modules: dict[int, DualEncoder], texts: list[str], device: str, precision: str
) -> dict[str, Callable[[], NDArray[np.float32]]]:
    """What is timed: each depth with tokenising, and from cached tokens."""
    tokenizer: Any = next(iter(modules.values())).network.tokenizer
    ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    source = TextFeatures(Ragged.of(ids, np.int64), None, int(tokenizer.pad_token_id), False)

    def computing() -> AbstractContextManager[Any]:
        return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()

    def tokenising(module: DualEncoder) -> NDArray[np.float32]:
        with computing():
            return np.asarray(module.network.encode_document(texts, show_progress_bar=False), np.float32)

    def cached(module: DualEncoder) -> NDArray[np.float32]:
        with computing():
            return encode_cached(module, source, device)

    return {
        f"{way.__name__} {layers}": lambda way=way, module=module: way(module)  # type: ignore[misc]
        for way in (tokenising, cached)
        for layers, module in modules.items()
    }


def report(texts: int, layers: list[int], seconds: dict[str, list[float]]) -> Table:
    """Texts a second of both depths, and the ratio: of the medians, then the least and the greatest of a round."""
    shallow, deep = layers
    table = Table("encoding")
    for column in (f"{deep} layers, texts/s", f"{shallow} layers, texts/s", "ratio", "min - max", "published"):
        table.add_column(column, justify="right")
    for way, label in (("tokenising", "encode_document, tokenising too"), ("cached", "ours, cached tokens")):
        slow, fast = (seconds[f"{way} {depth}"] for depth in (deep, shallow))
        ratios = [one / other for one, other in zip(slow, fast, strict=True)]
        table.add_row(
            label,
            f"{texts / statistics.median(slow):.1f}",
            f"{texts / statistics.median(fast):.1f}",
            f"{statistics.median(slow) / statistics.median(fast):.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}",
            f"{PUBLISHED}",
        )
    return table


def main() -> None:
    """Run the comparison and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, help=f"default: {TEXTS}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layers", type=int, nargs=2, default=[2, 12], metavar=("SHALLOW", "DEEP"))
    parser.add_argument("--device", choices=TEXTS, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=TOLERANCE, default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder, quiet():
        backbone = write_backbone(Path(folder))
        modules = {layers: encoder_of(backbone, layers, options.device) for layers in options.layers}
    texts = chosen_texts(options.texts or TEXTS[options.device], modules[options.layers[0]].network.tokenizer)
    seconds, vectors = alternate(contestants(modules, texts, options.device, options.precision), options.rounds)
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"{options.threads} thread(s) of a CPU"
    print(f"BERT base's width, {options.precision}, {device}; {len(texts)} texts, rounds: {options.rounds}")
    Console(width=120).print(report(len(texts), options.layers, seconds))
    for layers in options.layers:
        apart = np.abs(vectors[f"tokenising {layers}"] - vectors[f"cached {layers}"]).max()
        if apart > TOLERANCE[options.precision]:
            raise SystemExit(f"the vectors of {layers} layers differ by {apart:.1e}")


if __name__ == "__main__":
    main()
