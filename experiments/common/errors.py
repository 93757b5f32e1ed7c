"""The one exception that a user's own input can cause."""

from experiments.common.stopping import received


class ExperimentError(Exception):
    """A file, key or value from the user cannot be used.

    The message names the file, line or key, what is wrong and what to do. Entry points print it without a traceback.
    """


def why(error: BaseException) -> str:
    """Return one line: the message's first line, after the exception's name unless the user can fix it."""
    if isinstance(error, KeyboardInterrupt | SystemExit) or received() is not None:  # then the stop led to the error
        return "interrupted"
    lines = str(error).strip().splitlines()
    kind = "" if isinstance(error, ExperimentError) else type(error).__name__
    return ": ".join(part for part in (kind, lines[0] if lines else "") if part)
