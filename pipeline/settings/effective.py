"""Settings as they hold for one execution: dates in paths filled in, and ratings that are made first pointed to.

Covers: `{date}` and `{dates}` in ingest.ratings, split.file and predict.pairs, the synthetic set's places, and paths
that hold wherever they are read.
Does not cover: the settings themselves (sections.py), reading the files (pipeline/stages/).

`{date}` is the logical date; `{dates}`, in ingest.ratings, stands for every date up to it that there are files of.
"""

from __future__ import annotations

import datetime
import os
import re
from typing import Any

from funkflow.pipeline.settings.presets import is_path
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import filesystem, reaching, url_of

_DATE, _DATES = "{date}", "{dates}"
_PROBE = "probe.txt"
"""With a synthetic set: the file of that name beside its ratings."""
_ANY_DATE = "[0-9]" * 4 + "-" + "[0-9]" * 2 + "-" + "[0-9]" * 2


def on_date(settings: Settings, request: Request) -> Settings:
    """Fill in the dates in the paths that the asked stages read.

    Raises
    ------
    BadInput
        There is no file of any date up to the one asked for.
    SettingsError
        `{dates}` stands where one file is wanted.
    """
    changed: dict[str, Any] = {}
    if request.reaches("ingest") and any(_has_date(entry) for entry in settings.ingest.ratings):
        entries = [each for entry in settings.ingest.ratings for each in _entries(entry, request.date)]
        changed["ingest"] = settings.ingest.model_copy(update={"ratings": tuple(entries)})
    if request.reaches("ingest") and _has_date(settings.split.file):
        file = _one(settings.split.file, request.date, "split.file")
        changed["split"] = settings.split.model_copy(update={"file": file})
    if request.reaches("predict") and _has_date(settings.predict.pairs):
        pairs = _one(settings.predict.pairs, request.date, "predict.pairs")
        changed["predict"] = settings.predict.model_copy(update={"pairs": pairs})
    return settings.model_copy(update=changed) if changed else settings


def awaited(settings: Settings, request: Request) -> str:
    """Return the first of the ratings' paths of this date that nothing is there of yet; empty: all have come."""
    for entry in settings.ingest.ratings if request.reaches("ingest") else ():
        if _DATE in entry and _DATES not in entry:
            path = entry.replace(_DATE, request.date)
            system, place = filesystem(path)
            with reaching(path):
                if not system.glob(place):
                    return path
    return ""


def on_synthetic(settings: Settings, folder: str) -> Settings:
    """Point ingest at the synthetic set and the split at its probe file, unless the settings say otherwise."""
    content = settings.model_dump()
    if not settings.ingest.ratings:
        content["ingest"]["ratings"] = (folder,)
    if settings.split.kind == "file" and settings.split.file == _PROBE:
        content["split"]["file"] = files.join(folder, _PROBE)
    return Settings.model_validate(content)


def from_anywhere(settings: Settings) -> Settings:
    """Return the settings with local paths from the top, so that they mean the same in whichever folder they are read.

    A path's last part stays as it is written, since the id of a dataset is made of it. Names stay names: the synthetic
    set's own probe.txt, a cluster that ships, a run that training starts from.
    """
    content = settings.model_dump()
    content["root"] = _from_the_top(settings.root)
    ingest, split, train, cluster = (content[name] for name in ("ingest", "split", "train", "cluster"))
    for name in ("ratings", "deletions"):
        ingest[name] = tuple(_from_the_top(path) for path in ingest[name])
    ingest["titles"] = _from_the_top(ingest["titles"])
    if settings.synth:
        content["synth"]["folder"] = _from_the_top(settings.synth.folder)
    if not (settings.synth and settings.split.file == _PROBE):
        split["file"] = _from_the_top(split["file"])
    content["predict"]["pairs"] = _from_the_top(settings.predict.pairs)
    if os.path.isdir(train["warm_from"]):
        train["warm_from"] = _from_the_top(train["warm_from"])
    for name in ("scheduler_file", "tls_ca", "tls_cert", "tls_key"):
        cluster[name] = _from_the_top(cluster[name])
    if is_path(settings.cluster.preset):
        cluster["preset"] = _from_the_top(cluster["preset"])
    return Settings.model_validate(content)


def _from_the_top(path: str) -> str:
    return path if not path or "://" in path else os.path.join(os.getcwd(), path.removeprefix("./") or path)


def _has_date(path: str) -> bool:
    return _DATE in path or _DATES in path


def _one(path: str, date: str, setting: str) -> str:
    if _DATES in path:
        raise SettingsError(f"{setting} = {masked(path)!r}: one file is read here; write {_DATE} in place of {_DATES}")
    return path.replace(_DATE, date)


def _entries(entry: str, date: str) -> list[str]:
    entry = entry.replace(_DATE, date)
    if _DATES not in entry:
        return [entry]
    dates = [each for each in _dates_of(entry) if each <= date]
    if not dates:
        raise BadInput(f"{masked(entry)}: no file of {date} or a date before it; check --date and ingest.ratings")
    return [entry.replace(_DATES, each) for each in dates]


def _dates_of(entry: str) -> list[str]:
    """Return the dates that the first part of a path with `{dates}` in it is there for, in order."""
    parts = entry.split("/")
    first = next(number for number, part in enumerate(parts) if _DATES in part)
    head = "/".join(parts[: first + 1])
    system, path = filesystem(head.replace(_DATES, _ANY_DATE))
    with reaching(entry):
        found = [url_of(system, str(name)).rstrip("/").rsplit("/", 1)[-1] for name in system.glob(path)]
    before, *after = (re.escape(text) for text in parts[first].split(_DATES))
    name = before + r"(?P<date>\d{4}-\d\d-\d\d)" + "".join("(?P=date)" + text for text in after[:-1]) + after[-1]
    # What else stands in this part of the path may be a glob, so only the date is read from the name.
    pattern = re.compile(re.sub(r"\\\*", ".*", name).replace(r"\?", "."))
    return sorted({match["date"] for each in found if (match := pattern.fullmatch(each)) and _is_date(match["date"])})


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True
