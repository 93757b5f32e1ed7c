"""Rerank Ablations: declarative experiments on losses and negatives for re-rankers."""
