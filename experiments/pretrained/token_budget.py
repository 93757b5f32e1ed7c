"""Define the default tokens of one forward pass on each device.

Measured on a CPU with both registry backbones on one thread: packed passes are fastest around 2k tokens (training up to
4k, which spreads the cost of the vocabulary's dense gradient), padded ones at half of that or less. GPU values were not
measured; large batches fill the device.
"""

TOKENS_PER_BATCH = {  # (purpose, device) -> tokens of a packed pass, and of a padded one
    ("train", "cpu"): {"packed": 4096, "padded": 1024},
    ("score", "cpu"): {"packed": 2048, "padded": 1024},
    ("encode", "cpu"): {"packed": 2048, "padded": 2048},
    ("train", "gpu"): {"packed": 16_384, "padded": 16_384},
    ("score", "gpu"): {"packed": 65_536, "padded": 65_536},
    ("encode", "gpu"): {"packed": 32_768, "padded": 32_768},
}


def tokens_per_batch(purpose: str, device: str, layout: str = "padded") -> int:
    """Return the tokens of one forward pass.

    ``purpose``: ``train`` a model, ``score`` pairs, or ``encode`` texts with a trained model. ``device``: ``cpu``, or
    any other for a GPU. ``layout``: ``packed``, ``compiled`` or ``padded``.
    """
    return TOKENS_PER_BATCH[purpose, "cpu" if device == "cpu" else "gpu"]["padded" if layout == "padded" else "packed"]
