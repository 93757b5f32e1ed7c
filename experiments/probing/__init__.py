"""Probe a cross-encoder: evaluate each of its layers as an embedder of texts."""
