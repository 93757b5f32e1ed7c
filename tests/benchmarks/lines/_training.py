"""Share what the lines of cross-encoder training have in common."""

from typing import Any

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._models import LIGHTNING, LIGHTNING_IR, SENTENCE_TRANSFORMERS, TOKENS

EQUAL = "scores of the first step's pairs, before and after two steps of training without dropout"


def training_line(title: str, targets: tuple[float, float], tolerance: float, **settings: Any) -> Line:
    """Return a line of training with LCE, one positive and seven negatives, against two libraries' own trainers."""
    library, lightning_ir = targets
    return Line(
        title=title,
        unit="group",
        prepare="write_groups",
        ours=Contestant("ours", program="our_training", packages=LIGHTNING),
        against=(
            Contestant(
                "sentence-transformers CrossEncoderTrainer",
                program="st_training",
                environment="sentence-transformers",
                packages=SENTENCE_TRANSFORMERS,
                target=library,
                tolerance=tolerance,
            ),
            Contestant(
                "lightning-ir",
                program="lir_training",
                environment="lightning-ir",
                packages=LIGHTNING_IR,
                target=lightning_ir,
                tolerance=tolerance,
            ),
        ),
        settings={**TOKENS, "negatives": 7, "equal_steps": 2, "dropout": 0.0, **settings},
        equal=EQUAL,
    )
