"""Pretrained networks and tokenizers: loaded in one way, and checked: weights, positions, vocabulary, padding."""
