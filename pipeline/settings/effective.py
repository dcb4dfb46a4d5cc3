"""The settings of one execution: with dates in paths, paths of the synthetic set, and absolute paths.

Covers: `{date}` and `{dates}` in ingest.ratings, split.file and predict.pairs, `{date}` in split.date; the paths of the
synthetic set; absolute paths, which are right in any folder; the goal that counts have.
Does not cover: the settings themselves (sections.py), reading the files (pipeline/stages/).

`{date}` is the logical date; `{dates}`, in ingest.ratings, stands for every date with files up to it.
"""

from __future__ import annotations

import datetime
import os
import re
from typing import Any

from funkflow.pipeline.settings.ingest import VALIDATION_PAIRS
from funkflow.pipeline.settings.presets import is_path
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import COUNTS_ARE_WEIGHED, Settings
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import filesystem, reaching, url_of

_DATE, _DATES = "{date}", "{dates}"
_PROBE = "probe.txt"
"""In split.file, with a synthetic set: the file of that name beside its ratings."""
_DATABRICKS = "databricks"
"""In track.mlflow: no folder, but the server of that name."""
_ANY_DATE = "[0-9]" * 4 + "-" + "[0-9]" * 2 + "-" + "[0-9]" * 2


def on_date(settings: Settings, request: Request) -> Settings:
    """Return the settings with dates in the paths that the requested stages read.

    Raises
    ------
    BadInput
        No file has a date up to the logical date.
    SettingsError
        `{dates}` stands in the path of a single file.
    """
    changed: dict[str, Any] = {}
    if request.reaches("ingest") and any(_has_date(entry) for entry in settings.ingest.ratings):
        entries = [each for entry in settings.ingest.ratings for each in _dated_paths(entry, request.date)]
        changed["ingest"] = settings.ingest.model_copy(update={"ratings": tuple(entries)})
    if request.reaches("ingest") and _has_date(settings.split.file):
        file = _dated_path(settings.split.file, request.date, "split.file")
        changed["split"] = settings.split.model_copy(update={"file": file})
    if request.reaches("ingest") and settings.split.date == _DATE:
        changed["split"] = settings.split.model_copy(update={"date": request.date})
    if request.reaches("predict") and _has_date(settings.predict.pairs):
        pairs = _dated_path(settings.predict.pairs, request.date, "predict.pairs")
        changed["predict"] = settings.predict.model_copy(update={"pairs": pairs})
    return settings.model_copy(update=changed) if changed else settings


def missing_path(settings: Settings, request: Request) -> str:
    """Return the first path of ratings with this date that does not exist yet; "" if all exist."""
    for entry in settings.ingest.ratings if request.reaches("ingest") else ():
        if _DATE in entry and _DATES not in entry:
            path = entry.replace(_DATE, request.date)
            system, place = filesystem(path)
            with reaching(path):
                if not system.glob(place):
                    return path
    return ""


def on_synthetic(settings: Settings, folder: str) -> Settings:
    """Return the settings with the paths of the synthetic set, unless they name other ratings or another split."""
    content = settings.model_dump()
    if not settings.ingest.ratings:
        content["ingest"]["ratings"] = (folder,)
    if settings.split.kind == "file" and settings.split.file == _PROBE:
        content["split"]["file"] = files.join(folder, _PROBE)
    return Settings.model_validate(content)


FOR_A_RANKING = (
    "these are counts, or likes, and no ratings, so the run trains a model that ranks (train.goal = ranking)"
)


def may_have_counts(settings: Settings) -> bool:
    """Return whether files may have counts or likes: unless the settings ask for a model of ratings."""
    return "goal" not in settings.train.model_fields_set or settings.train.goal == "ranking"


def on_counts(settings: Settings) -> Settings:
    """Return the settings for a dataset of counts, which train for a ranking.

    Raises
    ------
    SettingsError
        They ask for a model of ratings.
    """
    if not may_have_counts(settings):
        raise SettingsError(
            "train.goal = ratings needs ratings, and these are counts or likes: leave it out, or set it to ranking"
        )
    if settings.train.goal == "ratings":
        content = settings.model_dump(exclude_unset=True)
        settings = Settings.build({**content, "train": {**content.get("train", {}), "goal": "ranking"}})
    if not settings.train.weighs_missing_cells:
        raise SettingsError(f"train.method = {settings.train.method!r}: {COUNTS_ARE_WEIGHED}")
    return settings


def with_absolute_paths(settings: Settings) -> Settings:
    """Return the settings with absolute local paths, so that they mean the same in any working folder.

    The last part of a path stays as it is, since the id of a dataset depends on it. Names stay names: the synthetic
    set's own probe.txt, a shipped cluster, a run to start training from.
    """
    content = settings.model_dump()
    content["root"] = _absolute(settings.root)
    ingest, split, train, cluster = (content[name] for name in ("ingest", "split", "train", "cluster"))
    for name in ("ratings", "deletions"):
        ingest[name] = tuple(_absolute(path) for path in ingest[name])
    ingest["known_pairs"] = tuple(
        path if path == VALIDATION_PAIRS else _absolute(path) for path in settings.ingest.known_pairs
    )
    for name in ("titles", "item_features", "user_features"):
        ingest[name] = _absolute(ingest[name])
    if settings.synth:
        content["synth"]["folder"] = _absolute(settings.synth.folder)
    if not (settings.synth and settings.split.file == _PROBE):
        split["file"] = _absolute(split["file"])
    content["predict"]["pairs"] = _absolute(settings.predict.pairs)
    if os.path.isdir(train["warm_from"]):
        train["warm_from"] = _absolute(train["warm_from"])
    for name in ("scheduler_file", "tls_ca", "tls_cert", "tls_key"):
        cluster[name] = _absolute(cluster[name])
    if is_path(settings.cluster.preset):
        cluster["preset"] = _absolute(cluster["preset"])
    if ":" not in (uri := settings.track.mlflow) and uri != _DATABRICKS:
        content["track"]["mlflow"] = _absolute(uri)
    return Settings.model_validate(content)


def _absolute(path: str) -> str:
    return path if not path or "://" in path else os.path.join(os.getcwd(), path.removeprefix("./") or path)


def _has_date(path: str) -> bool:
    return _DATE in path or _DATES in path


def _dated_path(path: str, date: str, setting: str) -> str:
    if _DATES in path:
        raise SettingsError(f"{setting} = {masked(path)!r}: this is a single file; write {_DATE} in place of {_DATES}")
    return path.replace(_DATE, date)


def _dated_paths(entry: str, date: str) -> list[str]:
    entry = entry.replace(_DATE, date)
    if _DATES not in entry:
        return [entry]
    dates = [each for each in _dates_of(entry) if each <= date]
    if not dates:
        raise BadInput(f"{masked(entry)}: no file of {date} or a date before it; check --date and ingest.ratings")
    return [entry.replace(_DATES, each) for each in dates]


def _dates_of(entry: str) -> list[str]:
    """Return the dates, in order, for which the first part of a path with `{dates}` exists."""
    parts = entry.split("/")
    first = next(number for number, part in enumerate(parts) if _DATES in part)
    head = "/".join(parts[: first + 1])
    system, path = filesystem(head.replace(_DATES, _ANY_DATE))
    with reaching(entry):
        found = [url_of(system, str(name)).rstrip("/").rsplit("/", 1)[-1] for name in system.glob(path)]
    before, *after = (re.escape(text) for text in parts[first].split(_DATES))
    name = before + r"(?P<date>\d{4}-\d\d-\d\d)" + "".join("(?P=date)" + text for text in after[:-1]) + after[-1]
    # The rest of this part of the path may be a glob.
    pattern = re.compile(re.sub(r"\\\*", ".*", name).replace(r"\?", "."))
    return sorted({match["date"] for each in found if (match := pattern.fullmatch(each)) and _is_date(match["date"])})


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True
