"""Numbers, durations and lines as people read them in tables, figures and messages."""

from collections.abc import Iterable

UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
SHORT_FROM = 1e6  # numbers of things below this are written out


def signed(value: float) -> str:
    """Return three digits and a sign. Rounding keeps the sign: an interval from +0.000 does exclude 0."""
    return f"{value:+.3f}" if value else " 0.000"


def interval(low: float, high: float) -> str:
    """Return ``[-0.012, +0.034]``."""
    return f"[{signed(low)}, {signed(high)}]"


def difference(mean: float, low: float, high: float) -> str:
    """Return a difference and its interval: ``+0.011 [-0.012, +0.034]``."""
    return f"{signed(mean).strip()} {interval(low, high)}"


def p_value(p: float | None) -> str:
    """Return three digits; ``<.001`` below that."""
    return "<.001" if p is not None and p < 0.001 else decimals(p)


def decimals(value: float | None) -> str:
    """Return three digits; ``-`` for none."""
    return "-" if value is None else f"{value:.3f}"


def count(value: float | None) -> str:
    """Return a number of things: ``8,192``, ``12.8M``; ``-`` for none."""
    if value is None:
        return "-"
    for size, unit in UNITS:
        if value >= size >= SHORT_FROM:
            return f"{value / size:.1f}{unit}"
    return f"{value:,.0f}"


def amount(value: float) -> str:
    """Return a number in at most three digits and its unit, for an axis: ``500``, ``20k``, ``1.2M``, ``3P``."""
    for size, unit in UNITS:
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """Return ``8 s``, ``4 min`` or ``2 h 05 min``; a question mark if it is not known."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def value_or_dash(value: object) -> str:
    """Return the value as text; ``-`` for none."""
    return "-" if value is None else str(value)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 seed`` or ``3 seeds``. ``many``: where an s does not make the plural."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def first_line(text: object) -> str:
    """Return the first line of a text or of an error's message, or the name of an error without a message."""
    lines = "" if text is None else str(text).strip()
    if not lines and isinstance(text, BaseException):
        return type(text).__name__
    return lines.partition("\n")[0].rstrip()


def number_of_seeds(counts: Iterable[int]) -> str:
    """Return ``3 seeds``, or ``2 to 3 seeds`` where settings have unequal numbers of them."""
    found = sorted(counts)
    fewest, most = found[0], found[-1]
    return f"{fewest} to {most} seeds" if fewest < most else plural(most, "seed")
