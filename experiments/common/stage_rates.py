"""Speed, memory and disk of the stages before a training, on two cores.

Measured by ``make scale SIZE=1000000`` and ``make scale SIZE=8800000`` on two cores of an AMD EPYC with a local disk
(``tests/benchmarks/measure_scale.py``, which writes docs/scale.md). To correct a plan for another machine, run it there
and change the numbers here: nothing else has them.
"""

from dataclasses import dataclass

MACHINE = "an AMD EPYC"
TOKENS_A_PASSAGE = 80  # on average, special tokens included, of MS MARCO's passages
BYTES_A_PASSAGE = 289  # of the text store of the collection that was measured
# Of collections that are not read yet and have longer texts: bytes a text
LONGER = {"msmarco-document": 6_900}  # 22 GB of 3.2 million documents


@dataclass(frozen=True)
class StageRate:
    """``passages``: a second. ``base``: bytes of memory at any size. ``memory``, ``disk``: bytes a passage; of memory
    with the pages of mapped files, which the system takes back when it needs them.
    """

    passages: float
    base: float
    memory: float
    disk: float


READ = StageRate(23_000, base=0.3e9, memory=105, disk=295)
TOKENISE = StageRate(7_000, base=0.5e9, memory=300, disk=193)
INDEX = StageRate(18_000, base=0.5e9, memory=540, disk=351)
SEARCH_BASE = 0.3e9  # bytes of memory of BM25's search, besides the index, which is mapped
SEARCHED = 6.0e8  # passages times queries a second of BM25: 600 queries a second in a million passages
ENCODE_BASE = 2.0e9  # bytes of memory while vectors are computed, which go to the disk part by part
BYTES_OF_HIT = 12  # on disk, of one passage in a run: its row and its score
