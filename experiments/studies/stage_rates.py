"""Speed, memory and disk of the stages before a training, on two cores.

Measured by ``make scale SIZE=1000000`` and ``make scale SIZE=8800000`` on two cores of an AMD EPYC with a local disk
(``tests/benchmarks/measure_scale.py``, which writes docs/scale.md). To correct a plan for another machine, run it there
and change the numbers here: nothing else has them.
"""

from dataclasses import dataclass

MACHINE = "an AMD EPYC"
TOKENS_A_PASSAGE = 80  # on average, special tokens included, of MS MARCO's passages; documents have more


@dataclass(frozen=True)
class StageRate:
    """``passages``: a second. ``base``: bytes of memory at any size. ``memory``, ``disk``: bytes a passage; of memory
    with the pages of mapped files, which the system takes back when it needs them.
    """

    passages: float
    base: float
    memory: float
    disk: float


READ = StageRate(27_000, base=0.3e9, memory=105, disk=295)
TOKENISE = StageRate(6_500, base=0.5e9, memory=190, disk=185)
INDEX = StageRate(1_000_000 / 87, base=0.5e9, memory=600, disk=345)
SEARCH_BASE, SEARCH_MEMORY = 0.3e9, 345  # of BM25: bytes at any size, and a passage (the mapped index)
SEARCHED = 1.0e9  # passages times queries a second of BM25: 1,000 queries a second in a million passages
ENCODE_BASE = 2.0e9  # bytes of memory while vectors are computed, which go to the disk part by part
BYTES_OF_HIT = 12  # on disk, of one passage in a run: its row and its score
