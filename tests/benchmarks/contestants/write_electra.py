"""Write the groups of a training and an ELECTRA of base size with random weights, whose tokenizer is MiniLM's."""

import json
import sys
from pathlib import Path

from benchmarks.contestants import write_groups
from benchmarks.contestants.collection import collection_of


def main() -> None:
    """Write the backbone, then everything else."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    collection_of(settings)
    import torch  # not for the processes that read the texts
    from transformers import AutoTokenizer, ElectraConfig, ElectraForSequenceClassification

    from experiments.config import compose
    from experiments.models.backbone import source_of

    target = Path(settings["shared"]) / "electra"
    if not target.exists():
        compose.register()
        backbone = compose.check(compose.composed("data=apidocs", "backbone=minilm")).backbone
        tokenizer = AutoTokenizer.from_pretrained(source_of(backbone).place)
        torch.manual_seed(0)
        config = ElectraConfig(
            vocab_size=len(tokenizer),
            embedding_size=768,
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=3072,
            num_labels=1,
        )
        ElectraForSequenceClassification(config).save_pretrained(target)
        tokenizer.save_pretrained(target)
    write_groups.main()


if __name__ == "__main__":
    main()
