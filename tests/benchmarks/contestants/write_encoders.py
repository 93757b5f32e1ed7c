"""Write what all contestants of encoding share: passages, a single-vector encoder and a ColBERT.

In the folder of the line: ``passages.jsonl``; ``dense`` (a ``SentenceTransformer``: MiniLM with the mean over tokens);
and ``colbert`` (the same encoder with a random projection, in the format of Stanford's library, which all can read).
"""

import json
import sys
from pathlib import Path

from benchmarks.contestants.collection import collection_of, drawn, read_texts

DIMENSIONS, MARKERS = 128, ("[unused0]", "[unused1]")


def main() -> None:
    """Write everything."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder, source = Path(settings["folder"]), collection_of(settings)
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from experiments.config import compose  # not for the processes that read the texts
    from experiments.models.backbone import source_of

    texts = read_texts(source / "corpus.jsonl")
    rows = [{"_id": name, "title": "", "text": texts[name]} for name in drawn(texts.keys(), settings["texts"])]
    (folder / "passages.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    compose.register()
    backbone = compose.check(compose.composed("data=apidocs", f"backbone={settings['backbone']}")).backbone
    transformer = Transformer(str(source_of(backbone).place))
    transformer.max_seq_length = settings["passage_tokens"] + 2
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), "mean")]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "dense"), create_model_card=False)
    write_stanford(transformer, folder / "colbert", settings)


def write_stanford(transformer: object, folder: Path, settings: dict[str, int]) -> None:
    """Write an encoder with a random projection as Stanford's library does, under the architecture HF_ColBERT."""
    import torch
    from safetensors.torch import load_file, save_file

    transformer.model.save_pretrained(folder)  # type: ignore[attr-defined]
    transformer.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
    weights = {f"bert.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    torch.manual_seed(0)
    width = weights["bert.embeddings.word_embeddings.weight"].shape[1]
    weights["linear.weight"] = torch.randn(DIMENSIONS, width) / width**0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}), encoding="utf-8")
    metadata = {
        "query_token_id": MARKERS[0],
        "doc_token_id": MARKERS[1],
        "query_maxlen": settings["query_tokens"] + 3,
        "doc_maxlen": settings["passage_tokens"] + 3,
        "attend_to_mask_tokens": False,
        "mask_punctuation": True,
    }
    (folder / "artifact.metadata").write_text(json.dumps(metadata), encoding="utf-8")


if __name__ == "__main__":
    main()
