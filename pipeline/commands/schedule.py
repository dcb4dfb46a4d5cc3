"""The commands that start runs by the clock or by the calendar: schedule and backfill.

Covers: their options, the words that are passed on to each run, and the lines that are printed.
Does not cover: when runs are started and whether again (pipeline/running/schedule/), what a run does
(pipeline/flow.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated

import typer

from funkflow.pipeline.commands.options import RunOptions
from funkflow.pipeline.running.schedule.backfill import backfill as run_dates
from funkflow.pipeline.running.schedule.backfill import days, parse_date
from funkflow.pipeline.running.schedule.child import run_words
from funkflow.pipeline.running.schedule.daemon import Daemon, Retry, cron_of

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- WORDS...]", help="further words for each funkflow run, after --", show_default=False),
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
        typer.Option("--cron", help="minute, hour, day of month, month and day of week, as cron reads them, or @daily"),
    ],
    timezone: Annotated[
        str, typer.Option("--timezone", help="that the expression is read in; this machine's if left out")
    ] = "",
    retries: Annotated[
        int, typer.Option("--retries", help="other attempts at a run that ended with 1 or 75 or was killed")
    ] = Retry.retries,
    back_off: Annotated[
        float, typer.Option("--back-off", help="seconds before the first of them; doubled before each other")
    ] = Retry.back_off_seconds,
    longest_back_off: Annotated[
        float, typer.Option("--longest-back-off", help="seconds that are never exceeded")
    ] = Retry.longest_seconds,
    following: Annotated[
        int, typer.Option("--next", help="print that many moments to come, and end", show_default=False)
    ] = 0,
    once: Annotated[bool, typer.Option("--once", help="end after one run, with its exit code")] = False,
    catch_up: Annotated[
        bool,
        typer.Option("--catch-up", help="begin with a run for the newest moment past, in case it was missed"),
    ] = False,
    options: RunOptions,
) -> None:
    """Run at each moment of a cron expression, one run at a time, until told to end."""
    moments = cron_of(cron, timezone)
    if following:
        for moment in moments.upcoming(datetime.now(UTC), following):
            print(moments.local_time(moment))
        return
    retry = Retry(retries, back_off, longest_back_off)
    command = _command(options, words)
    raise typer.Exit(Daemon(moments, command, _tell, retry, once, catch_up).run())


def backfill(
    *,
    words: Words = None,
    first: Annotated[str, typer.Option("--from", help="the first logical date, such as 2026-01-31")],
    last: Annotated[str, typer.Option("--to", help="the last logical date")],
    keep_going: Annotated[bool, typer.Option("--keep-going", help="go on after a date that fails")] = False,
    options: RunOptions,
) -> None:
    """Run for each logical date from the first to the last, oldest first; dates that are done are up to date."""
    dates = list(days(parse_date(first, "--from"), parse_date(last, "--to")))
    raise typer.Exit(run_dates(dates, _command(options, words), _tell, keep_going))


def _command(options: RunOptions, words: Sequence[str] | None) -> Callable[[date], list[str]]:
    """Return what makes the command line of a run for a date; what is wrong in the settings is found here and now."""
    further = list(words or [])
    if options.conf.startswith("-"):  # there is no CONF: all is after --
        options, further = replace(options, conf=""), [options.conf, *further]
    options.settings()
    passed = [options.conf] if options.conf else []
    passed += [word for each in options.ratings or [] for word in ("--ratings", each)]
    passed += ["--validation", options.validation] if options.validation else []
    passed += ["--root", options.root] if options.root else []
    passed += [word for each in options.words for word in ("--set", each)]
    return partial(run_words, [*passed, *further])


def _tell(line: str) -> None:
    print(f"{datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')} {line}", flush=True)
