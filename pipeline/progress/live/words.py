"""Times in words as people say them: "3 min", "1 h 20 min", "12 s ago".

Covers: durations and ages on the live page.
Does not cover: clocks in a terminal (pipeline/progress/headlines.py), RMSEs (tasks/digits.py).
"""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_JUST = 3.0


def duration(seconds: float) -> str:
    """Return a duration with as many digits as matter: two units, or one where there are many of it."""
    whole = round(seconds)
    for size, name, many, smaller, smaller_name in (
        (_DAY, "days", 10, _HOUR, "h"), (_HOUR, "h", 10, _MINUTE, "min"), (_MINUTE, "min", 5, 1, "s"),
    ):  # fmt: skip
        if whole < size:
            continue
        count, rest = divmod(whole, size)
        if count >= many:
            return f"{round(whole / size)} {name}"
        name = "day" if (count, name) == (1, "days") else name
        return f"{count} {name} {rest // smaller} {smaller_name}" if rest // smaller else f"{count} {name}"
    return f"{whole} s" if whole else "less than 1 s"


def age(seconds: float) -> str:
    """Return how long ago something was."""
    return "just now" if seconds < _JUST else f"{duration(seconds)} ago"
