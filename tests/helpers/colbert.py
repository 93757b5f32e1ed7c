"""Tiny late-interaction checkpoints."""

import json
from collections.abc import Sequence
from pathlib import Path

from helpers.tiny import write_tiny_bert

MARKERS = ("[unused0]", "[unused1]")


def write_stanford_colbert(folder: Path, texts: Sequence[str], *, dimension: int = 8, seed: int = 0) -> Path:
    """A random ColBERT as Stanford's library saves one: the architecture HF_ColBERT, the projection beside the
    encoder's weights, and ``artifact.metadata``.
    """
    import torch
    from safetensors.torch import load_file, save_file

    write_tiny_bert(folder, [*MARKERS, *texts], seed=seed)
    weights = {f"bert.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    torch.manual_seed(seed)
    weights["linear.weight"] = torch.randn(dimension, weights["bert.embeddings.word_embeddings.weight"].shape[1])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
    metadata = {
        "query_token_id": MARKERS[0],
        "doc_token_id": MARKERS[1],
        "query_maxlen": 12,
        "doc_maxlen": 24,
        "attend_to_mask_tokens": False,
        "mask_punctuation": True,
    }
    (folder / "artifact.metadata").write_text(json.dumps(metadata))
    return folder
