"""Estimate the memory of a training step from sizes alone, so that a plan of jobs needs no torch."""

# Of one token in one layer, per hidden unit, in 16 bits: Korthikanti et al. 2022, section 4.1 (arXiv 2205.05198)
ACTIVATIONS = 34
# Of one weight: itself, its gradient and AdamW's two moments, all in 32 bits
STATES = 4 + 4 + 2 * 4
COPY = 2  # of a weight that mixed precision casts to 16 bits for the time of a step


def halves(precision: str) -> bool:
    """Return whether a precision of Lightning's, such as bf16-mixed, computes in 16 bits."""
    return "16" in precision


def bytes_of_activations(layers: int, hidden: int, tokens: int, precision: str) -> float:
    """Estimate the bytes of the activations of ``tokens`` tokens, kept for the backward pass.

    Attention matrices are left out, since fused attention keeps none.
    """
    return ACTIVATIONS * tokens * layers * hidden * (1.0 if halves(precision) else 2.0)


def bytes_of_states(encoder: int, embeddings: int, precision: str) -> float:
    """Return the bytes of weights, gradients and AdamW's moments. ``encoder``: weights that tokens are multiplied with,
    of which mixed precision holds a copy; ``embeddings``: weights that are looked up.
    """
    return float(STATES * (encoder + embeddings) + (COPY * encoder if halves(precision) else 0))
