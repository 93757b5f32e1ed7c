"""Share what the lines of encoding have in common."""

from benchmarks.harness.line import Contestant
from benchmarks.lines._models import TOKENS

SETTINGS = {**TOKENS, "backbone": "minilm", "texts": 300}


def encoding(label: str, environment: str, library: str, packages: tuple[str, ...], tolerance: float) -> Contestant:
    """Return a library that encodes the passages."""
    return Contestant(
        label,
        program="library_encoding",
        environment=environment,
        settings={"library": library},
        packages=packages,
        target=1.5,
        tolerance=tolerance,
    )
