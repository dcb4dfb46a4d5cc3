"""Which runs that failed are tried again, and how long is waited before.

Covers: the rule. Does not cover: starting and waiting (daemon.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from funkflow.tasks.errors import SettingsError

MEANINGS = {
    0: "done or up to date",
    1: "failed",
    2: "a mistake in settings or usage",
    3: "bad input data",
    4: "cannot fit",
    5: "model refused by its gate",
    75: "try again later",
    129: "ended by a hangup",
    130: "interrupted",
    137: "killed",
    143: "interrupted",
}
"""Of exit codes of a run."""
_AGAIN = (1, 75)
_ASKED_FOR = (129, 130, 143)
"""Ends that somebody asked the run for."""


@dataclass(frozen=True)
class Retry:
    """As many times again, after a pause that doubles from `back_off_seconds` up to `longest_seconds`.

    Raises
    ------
    SettingsError
        A number is negative.
    """

    retries: int = 3
    back_off_seconds: float = 60.0
    longest_seconds: float = 3600.0

    def __post_init__(self) -> None:
        for option, value in (
            ("--retries", self.retries),
            ("--back-off", self.back_off_seconds),
            ("--longest-back-off", self.longest_seconds),
        ):
            if not value >= 0:
                raise SettingsError(f"{option} {value}: must be 0 or more")

    def pause_seconds(self, exit_code: int, attempt: int) -> float | None:
        """Return how long to wait after attempt 1, 2, … ended so; None: no other attempt.

        Another may end better where a root was locked, a cluster or a worker away (75, 1), or the run itself was
        killed; not where settings, data, memory or the gate decided (2, 3, 4, 5), or somebody interrupted it.
        """
        may_help = exit_code in _AGAIN or (exit_code > 128 and exit_code not in _ASKED_FOR)
        if not may_help or attempt > self.retries:
            return None
        return float(min(self.back_off_seconds * 2.0 ** min(attempt - 1, 64), self.longest_seconds))


def said_of(exit_code: int) -> str:
    """Return an exit code with its meaning."""
    meaning = MEANINGS.get(exit_code) or (f"killed by signal {exit_code - 128}" if exit_code > 128 else "unknown")
    return f"{exit_code} ({meaning})"
