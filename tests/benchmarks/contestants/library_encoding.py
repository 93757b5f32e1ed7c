"""Encode passages by a library at its defaults: 32 texts a batch, sorted by length.

``library``: ``dense`` (sentence-transformers' ``encode``), ``colbert`` (its ``MultiVectorEncoder``) or ``pylate``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.harness.child import Calls, serve


def make(settings: Mapping[str, Any]) -> Calls:
    """Return the work: the vectors of all passages."""
    folder = Path(settings["folder"])
    lines = (folder / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    encode = {"dense": dense, "colbert": colbert, "pylate": pylate}[settings["library"]](folder, settings)
    return Calls(lambda: encode(texts), units=len(texts), result=np.vstack)


def dense(folder: Path, settings: Mapping[str, Any]) -> Any:
    """Return sentence-transformers' function of one vector a text."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder / "dense"), device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False)


def colbert(folder: Path, settings: Mapping[str, Any]) -> Any:
    """Return sentence-transformers' function of one vector a token."""
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(folder / "colbert"), device="cpu")
    return lambda texts: model.encode_document(texts, convert_to_numpy=True, show_progress_bar=False)


def pylate(folder: Path, settings: Mapping[str, Any]) -> Any:
    """Return PyLate's function."""
    from pylate import models

    longest = settings["passage_tokens"] + 3
    model = models.ColBERT(str(folder / "colbert"), device="cpu", document_length=longest)
    return lambda texts: model.encode(texts, is_query=False, show_progress_bar=False)


if __name__ == "__main__":
    serve(make)
