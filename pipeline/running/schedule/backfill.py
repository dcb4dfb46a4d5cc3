"""Runs for past dates, oldest first, each a child process.

Covers: the dates, when to stop, and the summary. Finished dates are up to date, so the same command resumes.
Does not cover: future moments (daemon.py), child processes (child.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta

from funkflow.pipeline.running.schedule.child import Supervisor
from funkflow.pipeline.running.schedule.daemon import describe_exit
from funkflow.tasks.errors import SettingsError

_MILDEST_FIRST = (0, 75, 5, 3, 4, 2, 1)
"""Exit codes; the end by a signal is worse than all of them."""


def parse_date(text: str, option: str) -> date:
    """Return a date as `2026-01-31`.

    Raises
    ------
    SettingsError
        The text is no date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as cause:
        raise SettingsError(f"{option} {text!r}: not a date; write it as 2026-01-31") from cause


def days(first: date, last: date) -> Iterator[date]:
    """Yield each date from the first to the last.

    Raises
    ------
    SettingsError
        The last comes before the first.
    """
    if last < first:
        raise SettingsError(f"--to {last} comes before --from {first}; the earlier date is --from")
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def worst(codes: Sequence[int]) -> int:
    """Return the worst of exit codes."""
    order = {code: number for number, code in enumerate(_MILDEST_FIRST)}
    return max(codes, key=lambda code: order.get(code, len(order)), default=0)


def run_dates(
    dates: Sequence[date], command: Callable[[date], Sequence[str]], notify: Callable[[str], None], keep_going: bool
) -> int:
    """Run for each date in order; return the worst exit code, 128 + number after a signal.

    command : returns the whole command line of the run for a date. keep_going : continue after a failure.
    """
    codes: dict[date, int] = {}
    with Supervisor() as supervisor:
        for number, logical_date in enumerate(dates, 1):
            if supervisor.stopped_by is not None:
                break
            notify(f"{logical_date}: run {number} of {len(dates)}")
            supervisor.start(command(logical_date))
            code = supervisor.ended()
            assert code is not None
            codes[logical_date] = code
            notify(f"{logical_date}: ended with {describe_exit(code)}")
            if code != 0 and not keep_going:
                break
        stopped_by = supervisor.stopped_by
    notify(_summary_line(dates, codes))
    return worst(list(codes.values())) if stopped_by is None else 128 + stopped_by


def _summary_line(dates: Sequence[date], codes: dict[date, int]) -> str:
    done = sum(code == 0 for code in codes.values())
    parts = [f"{done} done or up to date"]
    parts += [f"{each} ended with {describe_exit(code)}" for each, code in codes.items() if code != 0]
    if len(codes) < len(dates):
        parts.append(f"{len(dates) - len(codes)} not begun, from {dates[len(codes)]} on")
    return f"{dates[0]} to {dates[-1]}: {', '.join(parts)}"
