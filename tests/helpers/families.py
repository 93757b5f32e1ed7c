"""Tiny random backbones of many families, each with a tokenizer as its own have it: the kind of pieces, the special
tokens of a pair, segments, the side and token of padding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
DECODER = {**SIZES, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64}
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
DECODER_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
XLNET_TOKENS = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"]


@dataclass(frozen=True)
class Family:
    """``kind``: of the config. ``tokens``: makes the tokenizer. ``names``: inputs that the tokenizer returns; None for
    the library's default, without segments. ``special``: its special tokens, where they are not the usual.
    """

    kind: str
    tokens: str
    config: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] | None = None
    special: dict[str, str] = field(default_factory=dict)
    positions: int = 64


GPT2 = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}
LEFT = {"pad_token": "<|endoftext|>", "padding_side": "left"}
SEGMENTS = ("input_ids", "token_type_ids", "attention_mask")
BERT = {"pad_token_id": 0, "max_position_embeddings": 64}
ROBERTA = {
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "max_position_embeddings": 66, "type_vocab_size": 1,
}  # fmt: skip
FAMILIES = {
    "bert": Family("bert", "wordpiece", {**SIZES, **BERT}, SEGMENTS),
    "bert-notypes": Family("bert", "wordpiece", {**SIZES, **BERT}),
    "electra": Family("electra", "wordpiece", {**SIZES, **BERT, "embedding_size": 16}, SEGMENTS),
    "roberta": Family("roberta", "bpe", {**SIZES, **ROBERTA}),
    "xlm-roberta": Family("xlm-roberta", "unigram", {**SIZES, **ROBERTA}),
    "camembert": Family("camembert", "unigram", {**SIZES, **ROBERTA}),
    "distilbert": Family(
        "distilbert", "wordpiece", {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, **BERT}
    ),
    "mpnet": Family("mpnet", "wordpiece", {**SIZES, **BERT, "max_position_embeddings": 66}),
    "deberta-v2": Family(
        "deberta-v2", "wordpiece",
        {**SIZES, **BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0}, SEGMENTS,
    ),
    "deberta-v3": Family(
        "deberta-v2", "unigram",
        {
            **SIZES, **BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16,
            "norm_rel_ebd": "layer_norm", "share_att_key": True, "position_biased_input": False, "type_vocab_size": 0,
            "pad_token_id": 1,
        }, SEGMENTS,
    ),
    "albert": Family("albert", "wordpiece", {**SIZES, **BERT, "embedding_size": 16}, SEGMENTS),
    "modernbert": Family(
        "modernbert", "wordpiece", {**SIZES, **BERT, "local_attention": 16, "global_attn_every_n_layers": 2}
    ),
    "xlnet": Family(
        "xlnet", "xlnet", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "pad_token_id": 5},
        special={"padding_side": "left"},
    ),
    # as Qwen/Qwen3-0.6B: the tokenizer has a padding token, the config none
    "qwen3": Family("qwen3", "decoder", DECODER, special={"pad_token": "<|endoftext|>"}),
    # as a re-ranker of Qwen3: the same in both, and padded on the left
    "qwen3-left": Family("qwen3", "decoder", {**DECODER, "pad_token_id": 0}, special=LEFT),
    # the usual config.pad_token_id = eos, with a tokenizer that has no padding token
    "llama": Family("llama", "decoder", {**DECODER, "pad_token_id": 2}),
    "gpt2": Family("gpt2", "decoder", GPT2),
    "gpt2-left": Family("gpt2", "decoder", GPT2, special=LEFT),
}  # fmt: skip


def write_family(folder: Path, name: str, texts: Sequence[str], seed: int = 0) -> Path:
    """Write a random backbone of a family without a head, in Hugging Face format."""
    import torch
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    family = FAMILIES[name]
    tokenizer, special = TOKENIZERS[family.tokens](texts)
    names = {"model_input_names": list(family.names)} if family.names else {}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **{**special, **family.special, **names}
    ).save_pretrained(folder)
    ends = {"bos_token_id": 0, "eos_token_id": 2} if family.tokens == "decoder" else {}
    config = AutoConfig.for_model(family.kind, vocab_size=tokenizer.get_vocab_size(), **{**ends, **family.config})
    torch.manual_seed(seed)
    network = AutoModel.from_config(config)
    with torch.no_grad():  # so that a wrong token, segment or position moves the scores
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    network.save_pretrained(folder)
    return folder


def _wordpiece(texts: Sequence[str]) -> tuple[Any, dict[str, str]]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=BERT_TOKENS))
    _join(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", "[SEP]"))
    keys = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return tokenizer, dict(zip(keys, BERT_TOKENS, strict=True))


def _bpe(texts: Sequence[str]) -> tuple[Any, dict[str, str]]:
    return _like_roberta(_byte_level(texts, ROBERTA_TOKENS))


def _unigram(texts: Sequence[str]) -> tuple[Any, dict[str, str]]:
    return _like_roberta(_pieces(texts, ROBERTA_TOKENS))


def _like_roberta(tokenizer: Any) -> tuple[Any, dict[str, str]]:
    _join(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", ("<s>", "</s>"))
    keys = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    return tokenizer, {**dict(zip(keys, ROBERTA_TOKENS, strict=True)), "cls_token": "<s>", "sep_token": "</s>"}


def _xlnet(texts: Sequence[str]) -> tuple[Any, dict[str, str]]:
    tokenizer = _pieces(texts, XLNET_TOKENS)
    _join(tokenizer, "$A <sep> <cls>:2", "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2", ("<sep>", "<cls>"))
    keys = ("unk_token", "bos_token", "eos_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return tokenizer, dict(zip(keys, XLNET_TOKENS, strict=True))


def _decoder(texts: Sequence[str]) -> tuple[Any, dict[str, str]]:
    return _byte_level(texts, DECODER_TOKENS), {"eos_token": "<|im_end|>"}


def _byte_level(texts: Sequence[str], special: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _pieces(texts: Sequence[str], special: list[str]) -> Any:
    """Words, and letters for what is none of them."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    words = sorted({f"\u2581{word}" for text in texts for word in text.split()})
    letters = sorted({letter for word in words for letter in word} - set(words))
    pieces = [(token, 0.0) for token in special] + [(word, -4.0) for word in words] + [(one, -9.0) for one in letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def _join(tokenizer: Any, single: str, pair: str, names: Sequence[str]) -> None:
    from tokenizers import processors

    special = [(name, tokenizer.token_to_id(name)) for name in names]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)


TOKENIZERS: dict[str, Callable[[Sequence[str]], tuple[Any, dict[str, str]]]] = {
    "wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram, "xlnet": _xlnet, "decoder": _decoder,
}  # fmt: skip
