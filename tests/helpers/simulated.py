"""Rankings of known quality, one at a time and as studies of six settings.

RR@10 of ranks that depend on the query, the setting, the seed and all three together; a fifth of the values is 0, and
two models tie on two fifths of the queries. Shapes: C settings, S seeds, Q queries.
"""

from collections.abc import Sequence

import numpy as np
from helpers.settings import setting_of
from numpy.typing import NDArray

from experiments.analysis.settings import SettingResult
from experiments.config.paper_table import Claim

FloatArray = NDArray[np.float64]

# Ranks are exp(latent); a shift of the latent by 1 moves the mean of RR@10 by about this much.
SLOPE = 0.231
KINDS = ("two", "shared", "uneven", "fixed")
LOSSES, COUNTS = ("lce", "bce"), (1, 3, 7)
SETTINGS = len(LOSSES) * len(COUNTS)
CLAIMS = (  # those of the quickstart
    Claim(says="LCE beats BCE", kind="beats", better={"loss": "lce"}, worse={"loss": "bce"}),
    Claim(says="Fewer negatives are better", kind="falls", over="negatives"),
)
RANKINGS = 8
RANKINGS_SD = 0.08  # of their quality
UNSTABLE = {"all": SETTINGS, "three": 3, "one": 1}  # settings whose seeds matter


def reciprocal_ranks(latent: FloatArray) -> FloatArray:
    """RR@10 of the one relevant passage."""
    rank = np.floor(np.exp(latent)) + 1
    return np.where(rank <= 10, 1 / rank, 0.0)


def setting(generator: np.random.Generator, query_Q: FloatArray, seed_S: FloatArray, gain: float = 0.0) -> FloatArray:
    """Values by seed and query of one setting, whose seeds move its mean by ``seed_S``."""
    own_Q = generator.normal(0, 0.4, query_Q.size)
    noise_SQ = generator.normal(0, 0.5, (seed_S.size, query_Q.size))
    return reciprocal_ranks(query_Q + own_Q + noise_SQ - (seed_S[:, None] + gain) / SLOPE)


def two_settings(
    generator: np.random.Generator, kind: str, seeds: int, queries: int, sd: float, gain: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Settings that differ by ``gain``: two; two whose seeds' effects are half shared; one whose seeds matter and one
    whose seeds do not; or one and a fixed first stage.
    """
    query_Q = generator.normal(1.0, 1.3, queries)
    better_S, worse_S, shared_S = generator.normal(0, sd, (3, seeds))
    if kind == "shared":
        better_S, worse_S = (0.5**0.5 * (own_S + shared_S) for own_S in (better_S, worse_S))
    better = setting(generator, query_Q, better_S, gain)
    worse = setting(generator, query_Q, worse_S if kind in ("two", "shared") else np.zeros(seeds))
    return better, worse[:1] if kind == "fixed" else worse


def six_settings(
    generator: np.random.Generator, effect: str, seeds: int, queries: int, size: float, gain: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Values of six settings (LCE first) and of a first stage that they equal but for the ``gain`` of LCE over BCE.

    ``effect`` of seeds: of standard deviation ``size`` in ``all``, ``three`` or ``one`` of the settings; or
    ``rankings``: eight rankings of different quality, of which a training draws one, and keeps to it on a share
    ``size`` of the queries; on the others it has the value of any of the eight.
    """
    query_Q = generator.normal(1.0, 1.3, queries)
    if effect == "rankings":
        quality = generator.normal(0, RANKINGS_SD, RANKINGS)
        values = np.concatenate([setting(generator, query_Q, np.zeros(1), gain=float(one)) for one in quality])
        drawn_CSQ = generator.integers(RANKINGS, size=(SETTINGS + 1, seeds, queries))
        kept_CSQ = generator.random((SETTINGS, seeds, queries)) < size
        own_CSQ = generator.integers(RANKINGS, size=(SETTINGS, seeds, 1))
        drawn_CSQ[:-1] = np.where(kept_CSQ, own_CSQ, drawn_CSQ[:-1])
        found_CSQ = values[drawn_CSQ, np.arange(queries)]
        return found_CSQ[:-1], found_CSQ[-1, 0]
    seed_CS = generator.normal(0, size, (SETTINGS, seeds))
    seed_CS[UNSTABLE[effect] :] = 0.0
    seed_CS[: len(COUNTS)] += gain
    values_CSQ = np.stack([setting(generator, query_Q, seed_S) for seed_S in seed_CS])
    return values_CSQ, setting(generator, query_Q, np.zeros(1))[0]


def results_of(values_CSQ: FloatArray) -> Sequence[SettingResult]:
    """The six settings as results of a study."""
    labels = [{"loss": loss, "negatives": count} for loss in LOSSES for count in COUNTS]
    query_ids = [f"q{number}" for number in range(values_CSQ.shape[2])]
    return [
        setting_of(label, values_SQ, query_ids, [f"{number}-{seed}" for seed in range(len(values_SQ))])
        for number, (label, values_SQ) in enumerate(zip(labels, values_CSQ, strict=True))
    ]
