"""A run from Python: its settings, ratings in memory, and the client.

Covers: `run`; what its arguments lead to.
Does not cover: the stages (flow.py), writing tables (running/memory_inputs.py), commands (commands/stages.py).
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from distributed import Client

from funkflow.pipeline.cluster.given_client import OWN_CLUSTER, checked_client, current_client, place_of
from funkflow.pipeline.cluster.open import refuse_unguarded_call
from funkflow.pipeline.flow import work
from funkflow.pipeline.progress.events import Event, Listener, Noticed, RunEnded, broadcast
from funkflow.pipeline.progress.shown import shown
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.temporary import temporary_root
from funkflow.pipeline.running.execution import execute
from funkflow.pipeline.running.memory_inputs import FEATURES, RATINGS, VALIDATION, MemoryInputs, is_in_memory
from funkflow.pipeline.settings.request import STAGES, Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import FunkflowError, SettingsError

GivenSettings = Settings | str | os.PathLike[str] | Mapping[str, Any]


def run(
    settings: GivenSettings | None = None,
    overrides: Sequence[str] = (),
    *,
    ratings: Any = None,
    validation: Any = None,
    item_features: Any = None,
    user_features: Any = None,
    client: Client | None = None,
    until: str = STAGES[-1],
    fresh: bool = False,
    listeners: Sequence[Listener] = (),
    date: str | datetime.date | None = None,
    wait_seconds: float = 0.0,
    if_new: bool = False,
    force: bool = False,
    progress: bool | None = None,
) -> RunResult:
    """Make a validated model from raw ratings; reuse all results that exist.

    Parameters
    ----------
    settings : the settings, as such or as nested mapping, or the name of a preset or the path of a TOML file; None: the
        defaults, for `ratings`.
    overrides : `section.key=value` words.
    ratings : in place of the settings' own: a table with columns of users, items and ratings, and of times if there
        are any (a DataFrame of pandas, polars or Dask, an Arrow table or dataset, or what speaks Arrow's C stream), a
        sparse matrix of SciPy of users x items, whose stored entries are ratings, or paths. A table is written once
        below the root; without a root in settings or overrides that is a temporary folder, which goes with the process.
    validation : ratings to validate on, or pairs of users and items whose ratings are among `ratings`; likewise.
    item_features, user_features : what is known of items and users besides ratings: a path, or a table with a column of
        ids, the one that is named as in the ratings or else the first (tasks/parsing/row_features.py).
    client : a Dask client, which stays open; None: the one that is current in this process, if any, unless the settings
        choose a cluster, or else a cluster on this machine.
    until : the last stage to run, one of `STAGES`.
    fresh : ignore the run's checkpoints and model, and train from scratch.
    listeners : functions that get every event, in order (pipeline/progress/events.py).
    date : the logical date, YYYY-MM-DD, that `{date}` and `{dates}` in paths stand for; None: today's, in UTC.
    wait_seconds : how long to wait for another run under the same root to end.
    if_new : do nothing if no input is new or changed since these settings last ended well.
    force : redo every stage, but for the raw data.
    progress : show the progress, in a notebook or on standard error; None: in a notebook only.

    Returns
    -------
    RunResult
        Its `model` is the model, and `paths` name what the run wrote.

    Raises
    ------
    FunkflowError
        In one line: the fault, its place, the value and the remedy; `exit_code` is that of the command.
    """
    refuse_unguarded_call()
    about = zip(FEATURES, (item_features, user_features), strict=True)
    given = {name: each for name, each in ((RATINGS, ratings), (VALIDATION, validation), *about) if each is not None}
    tables = MemoryInputs({name: each for name, each in given.items() if is_in_memory(each, name)})
    chosen = _settings(settings, overrides, given, tables)
    request = Request.checked(until, date, fresh, force, wait_seconds=wait_seconds, if_new=if_new)
    notices = []
    if client is not None:
        client = checked_client(client)
    elif (client := current_client(chosen.cluster)) is not None:
        notices.append(f"runs on the Dask client of this process, {place_of(client)}; {OWN_CLUSTER}")
    if RATINGS in tables.tables and "root" not in chosen.model_fields_set:
        chosen = chosen.model_copy(update={"root": temporary_root()})
        notices.append(
            f'results go to {chosen.root}, which is removed when this process ends; run(..., overrides=["root=data"]) '
            "keeps them"
        )
    tables.client = client
    with shown(progress) as watching:
        heard = [_renaming(each, tables) for each in (*listeners, *watching)]
        for words in notices:
            broadcast(heard)(Noticed(words))
        try:
            return execute(chosen, request, heard, work, client=client, tables=tables if tables.tables else None)
        except FunkflowError as error:
            renamed = tables.renamed(error.message)
            if renamed == error.message:
                raise
            raise type(error)(renamed) from error


def _settings(
    settings: GivenSettings | None, overrides: Sequence[str], given: Mapping[str, Any], tables: MemoryInputs
) -> Settings:
    """Return the settings with the given ratings: paths, or words that stand for tables until they are files."""
    if settings is None and not given:
        raise SettingsError("nothing to run: give settings, such as run('demo'), or ratings, run(ratings=table)")
    words = [*overrides]
    for name, each in given.items():
        paths = [name] if name in tables.tables else _paths(each)
        if name != RATINGS and len(paths) != 1:
            raise SettingsError(f"{name} names {len(paths)} files: give one")
        written = json.dumps(paths if name == RATINGS else paths[0], ensure_ascii=False)
        if name == VALIDATION:
            words += ["split.kind=file", f"split.file={written}"]
        else:
            words.append(f"ingest.{FEATURES.get(name, 'ratings')}={written}")
    if RATINGS not in given:
        return Settings.of({} if settings is None else settings, words)
    if isinstance(settings, (str, os.PathLike)):
        return Settings.load_with_ratings(os.fspath(settings), words, VALIDATION in given)
    if isinstance(settings, Settings):
        settings = settings.model_dump(exclude_unset=True)
    if isinstance(settings, Mapping):
        settings = {name: value for name, value in settings.items() if name != "synth"}
    return Settings.of({} if settings is None else settings, words)


def _paths(given: Any) -> list[str]:
    several = [given] if isinstance(given, (str, os.PathLike)) else given
    return [os.fspath(each) for each in several]


def _renaming(listener: Listener, tables: MemoryInputs) -> Listener:
    """Return a listener that hears of arguments in place of their files."""

    def hear(event: Event) -> None:
        if isinstance(event, Noticed):
            event = replace(event, message=tables.renamed(event.message))
        elif isinstance(event, RunEnded) and event.error:
            event = replace(event, error=tables.renamed(event.error))
        listener(event)

    return hear if tables.tables else listener
