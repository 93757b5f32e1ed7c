"""Re-ranking with a 6-layer MiniLM in fp32."""

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._models import LIGHTNING, LIGHTNING_IR, LONGER, SENTENCE_TRANSFORMERS, longer_job

LINE = Line(
    title="re-ranking 6 x 50 pairs, MiniLM 6 x 384, 256 tokens, fp32",
    unit="pair",
    prepare="write_run",
    ours=Contestant("ours", program="our_scoring", packages=LIGHTNING),
    against=(
        Contestant(
            "sentence-transformers CrossEncoder.predict",
            program="st_scoring",
            environment="sentence-transformers",
            packages=SENTENCE_TRANSFORMERS,
            target=2.2,
            tolerance=1e-5,
        ),
        Contestant(
            "lightning-ir re_rank",
            program="lir_scoring",
            environment="lightning-ir",
            packages=LIGHTNING_IR,
            target=2.5,
            tolerance=1e-5,
        ),
    ),
    settings={**LONGER, "job": longer_job("minilm", "data.queries.test=6")},
    equal="scores of all pairs",
    note="ours reads tokens from the cache, as every job but the first; the others tokenise.",
)
