"""The one exception that a user's own input can cause."""


class ExperimentError(Exception):
    """Something that the user gave (a file, a key, a value) cannot be used.

    The message is one clear statement: it names the file, the line or the key, says what is wrong and what to do.
    Entry points print it without a traceback.
    """
