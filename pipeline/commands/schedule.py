"""The commands `schedule` and `backfill`, which start runs by a cron expression or for each date.

Covers: their options, the words that each run gets, and printed lines.
Does not cover: when runs start and repeat (pipeline/running/schedule/), the run itself (pipeline/flow.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated

import typer

from funkflow.pipeline.commands.options import Goal, RunOptions
from funkflow.pipeline.running.schedule.backfill import days, parse_date, run_dates
from funkflow.pipeline.running.schedule.child import run_words
from funkflow.pipeline.running.schedule.daemon import Daemon, Retry, cron_of
from funkflow.tasks.garbage import search_as_usual

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- WORDS...]", help="further options of each funkflow run, after --", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (schedule, backfill):
        app.command()(command)


def schedule(
    *,
    words: Words = None,
    cron: Annotated[
        str,
        typer.Option("--cron", help="minute, hour, day of month, month and day of week, as in a crontab, or @daily"),
    ],
    timezone: Annotated[
        str, typer.Option("--timezone", help="time zone of --cron; default: that of this machine")
    ] = "",
    retries: Annotated[
        int, typer.Option("--retries", help="repeats of a run that ended with 1 or 75, or was killed")
    ] = Retry.retries,
    back_off: Annotated[
        float, typer.Option("--back-off", help="seconds before the first repeat; they double with each further one")
    ] = Retry.back_off_seconds,
    longest_back_off: Annotated[
        float, typer.Option("--longest-back-off", help="most seconds before a repeat")
    ] = Retry.longest_seconds,
    following: Annotated[
        int, typer.Option("--next", help="print this many of the next times, and exit", show_default=False)
    ] = 0,
    once: Annotated[bool, typer.Option("--once", help="exit after one run, with its exit code")] = False,
    catch_up: Annotated[
        bool,
        typer.Option("--catch-up", help="begin with a run for the latest time in the past, in case it was missed"),
    ] = False,
    options: RunOptions,
    goal: Goal = None,
) -> None:
    """Run at each time of a cron expression, one run at a time, until stopped."""
    moments = cron_of(cron, timezone)
    if following:
        for moment in moments.upcoming(datetime.now(UTC), following):
            print(moments.local_time(moment))
        return
    daemon = Daemon(
        moments,
        _command(options, goal, words),
        _print_line,
        retry=Retry(retries, back_off, longest_back_off),
        once=once,
        catch_up=catch_up,
    )
    raise typer.Exit(daemon.run())


def backfill(
    *,
    words: Words = None,
    first: Annotated[str, typer.Option("--from", help="the first logical date, such as 2026-01-31")],
    last: Annotated[str, typer.Option("--to", help="the last logical date")],
    keep_going: Annotated[bool, typer.Option("--keep-going", help="continue after a date that fails")] = False,
    options: RunOptions,
    goal: Goal = None,
) -> None:
    """Run for each logical date from the first to the last, in order; dates that are done stay as they are."""
    dates = list(days(parse_date(first, "--from"), parse_date(last, "--to")))
    raise typer.Exit(run_dates(dates, _command(options, goal, words), _print_line, keep_going))


def _command(options: RunOptions, goal: str | None, words: Sequence[str] | None) -> Callable[[date], list[str]]:
    """Return a function from a date to the words of its run; raise SettingsError now if a setting is wrong."""
    search_as_usual()
    further = list(words or [])
    if options.conf.startswith("-"):  # there is no CONF: all words follow --
        options, further = replace(options, conf=""), [options.conf, *further]
    options.settings_for(goal)
    passed = [options.conf] if options.conf else []
    passed += [word for each in options.ratings or [] for word in ("--ratings", each)]
    passed += ["--validation", options.validation] if options.validation else []
    passed += ["--root", options.root] if options.root else []
    passed += ["--goal", goal] if goal else []
    passed += [word for each in options.words for word in ("--set", each)]
    return partial(run_words, [*passed, *further])


def _print_line(line: str) -> None:
    print(f"{datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')} {line}", flush=True)
