"""The one exception that a user's own input can cause."""


class ExperimentError(Exception):
    """Something that the user gave (a file, a key, a value) cannot be used.

    The message is one clear statement: it names the file, the line or the key, says what is wrong and what to do.
    Entry points print it without a traceback.
    """


def why(error: BaseException) -> str:
    """Why something stopped, in one line: the exception's first line, after its kind unless the user can mend it."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted"
    said = str(error).strip().splitlines()
    kind = "" if isinstance(error, ExperimentError) else type(error).__name__
    return ": ".join(part for part in (kind, said[0] if said else "") if part)
