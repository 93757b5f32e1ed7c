"""Share what the lines of commands have in common."""

from benchmarks.harness.line import Contestant, Line, Recorded

ISSUE = "measured before this table was begun, two AVX2 cores"


def command_line(title: str, command: list[str], *, on: str, before: float, at_most: float) -> Line:
    """Return a line of a command of this project. ``before``: seconds that it took. ``at_most``: that it may take."""
    return Line(
        title=title,
        unit="command",
        ours=Contestant("ours", program="command"),
        against=(Recorded("before", seconds=before, source=ISSUE),),
        settings={"command": command, "on": on},
        seconds_at_most=at_most,
    )
