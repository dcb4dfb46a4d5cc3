"""The models in use of a root, one for each goal: the pointer `current.json`.

Covers: reading the pointer, and moving it after a run, by hand to any run, or back to the model before. The new model
must be complete.
Does not cover: the quality of a new model (pipeline/stages/gate.py), or the commands (pipeline/commands/models.py).

    {"run_id": …, "model": "runs/<run id>/model", "record": "runs/<run id>/record.json", "promoted": time,
     "by": "run" | "promote" | "rollback", "goal": "ranking", "previous": [{"run_id", "promoted", "by"}, …],
     "rolled_back": [run id, …]}

`goal` : there for models that rank; others predict ratings. The pointer names the model that was promoted last; the
model in use for a goal is the last one with this goal. `previous` : those before it, the last one first.
`rolled_back` : models that a rollback took back; a run that makes one of them again does not move the pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal, NotRequired, TypedDict

from funkflow.pipeline.root.lock import hold_root
from funkflow.pipeline.root.store import FORMAT_VERSION, Store, existing_root, in_seconds
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.model.about import read_about, refuse_damaged_parts, refuse_missing_parts
from funkflow.tasks.storage import files

By = Literal["run", "promote", "rollback"]
_PLAIN = {"promoted": "", "by": "run", "goal": "ratings"}
_REMEMBERED = 100
"""Number of earlier models in the pointer: three months of nightly runs."""


class UseRecord(TypedDict):
    """A use of a model, in current.json."""

    run_id: str
    promoted: str
    by: str
    goal: NotRequired[str]


class CurrentRecord(UseRecord):
    """The content of current.json; its paths are relative to the root."""

    format_version: int
    model: str
    record: str
    previous: list[UseRecord]
    rolled_back: list[str]


@dataclass(frozen=True)
class Use:
    """A run whose model was promoted: the time (UTC, ISO 8601; empty if unknown), by what, and the model's goal."""

    run_id: str
    promoted: str
    by: str
    goal: str = "ratings"

    def to_dict(self) -> UseRecord:
        written = UseRecord(run_id=self.run_id, promoted=self.promoted, by=self.by)
        return written if self.goal == "ratings" else {**written, "goal": self.goal}


@dataclass(frozen=True)
class Current:
    """The model in use, those before it, the last one first, and the ids of those that were taken back."""

    use: Use
    previous: tuple[Use, ...] = ()
    rolled_back: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        return self.use.run_id

    def used_for(self, goal: str) -> Use | None:
        """Return the use of the model with this goal; None if there is none."""
        return next((use for use in (self.use, *self.previous) if use.goal == goal), None)

    def best_for(self, goal: str) -> Use:
        """Return the use of the model with this goal; without one, of that which was promoted last."""
        return self.used_for(goal) or self.use

    def to_dict(self) -> CurrentRecord:
        return {
            "format_version": FORMAT_VERSION,
            **self.use.to_dict(),
            "model": f"runs/{self.run_id}/model",
            "record": f"runs/{self.run_id}/record.json",
            "previous": [use.to_dict() for use in self.previous],
            "rolled_back": list(self.rolled_back),
        }


def read_current(root: str) -> Current | None:
    """Return the model in use of `root`; None if there is none.

    Raises
    ------
    DamagedFile
        The file is no pointer.
    """
    url = files.join(root, "current.json")
    content = files.json_if_there(url)
    if content is None:
        return None
    try:
        return Current(_use_of(content), tuple(map(_use_of, content.get("previous", []))),
                       tuple(map(str, content.get("rolled_back", []))))  # fmt: skip
    except (TypeError, KeyError, AttributeError) as cause:
        raise DamagedFile(
            f"{url}: not a pointer to the model in use; delete it, and put one to use with funkflow promote RUN"
        ) from cause


def model_of(root: str, run_id: str) -> str:
    """Return the folder of a run's model."""
    return files.join(Store(root).run(run_id), "model")


def run_in_use(root: str, goal: str) -> tuple[str, str] | None:
    """Return the run whose model is in use for a goal, and the model's folder; None if there is none."""
    current = read_current(root)
    use = current.used_for(goal) if current else None
    return (use.run_id, model_of(root, use.run_id)) if use else None


def in_use(root: str) -> Current:
    """Return the model in use of `root`; raise SettingsError if there is none."""
    now = read_current(existing_root(root))
    if now is None:
        raise SettingsError(f"{root}: no model is in use here; funkflow run makes one, funkflow promote RUN names one")
    return now


def put_to_use(root: str, run_id: str) -> Use:
    """Promote the model of a run that just ended, and return the model in use for its goal; the caller holds the root.

    Nothing changes if the model is in use already, or a rollback took it back.

    Raises
    ------
    DamagedFile
        The model is incomplete.
    """
    now, goal = read_current(root), goal_of(root, run_id)
    before = now.used_for(goal) if now else None
    if now and before and (before.run_id == run_id or run_id in now.rolled_back):
        return before
    refuse_missing_parts(model_of(root, run_id), read_about(model_of(root, run_id)))
    return _move(root, now, run_id, "run").use


def promote(root: str, prefix: str) -> Current:
    """Promote the model of the one run of `root` whose id begins with `prefix`, even if the gate refused it.

    Raises
    ------
    SettingsError
        There is no such run, or several, or it has no model.
    DamagedFile
        A file of the model is missing or damaged.
    TryAgainLater
        A run holds this root.
    """
    with _hold(root) as still_held:
        run_id = run_of(root, prefix)
        _refuse_damaged(root, run_id)
        now = read_current(root)
        still_held()
        if now is not None and now.run_id == run_id:
            return now
        if now is not None:
            now = replace(now, rolled_back=tuple(each for each in now.rolled_back if each != run_id))
        return _move(root, now, run_id, "promote")


def rollback(root: str) -> tuple[Current, str]:
    """Promote the model in use before; return the pointer, and the id of the run that was taken back.

    Raises
    ------
    SettingsError
        There is no model before it.
    DamagedFile
        The model before it is damaged.
    TryAgainLater
        A run holds this root.
    """
    with _hold(root) as still_held:
        now = read_current(root)
        if now is None:
            raise SettingsError(f"{root}: no model is in use here, so there is none to take back")
        if not now.previous:
            raise SettingsError(
                f"{root}: {now.run_id} is the first model in use here, so there is none before it to go back to; "
                "funkflow promote RUN puts another one to use"
            )
        before = now.previous[0]
        _refuse_damaged(root, before.run_id)
        still_held()
        use = replace(before, promoted=in_seconds(), by="rollback")
        back = Current(use, now.previous[1:], _without_repeats(now.run_id, now.rolled_back))
        files.write_json(files.join(root, "current.json"), back.to_dict())
        return back, now.run_id


def goal_of(root: str, run_id: str) -> str:
    """Return the goal of a run's model."""
    return read_about(model_of(root, run_id)).get("goal", "ratings")


def run_of(root: str, prefix: str) -> str:
    """Return the id of the one run of `root` that begins with `prefix`; raise SettingsError if there is not one."""
    found = [name for name in files.names(files.join(root, "runs")) if name.startswith(prefix)] if prefix else []
    if not found:
        raise SettingsError(f"{root}: there is no run {prefix!r} here; runs/ has a folder for each")
    if len(found) > 1 and prefix not in found:
        raise SettingsError(f"{root}: {prefix!r} may be {', '.join(found[:5])}: give more digits of the one you mean")
    return prefix if prefix in found else found[0]


def _hold(root: str) -> AbstractContextManager[Callable[[], None]]:
    return hold_root(existing_root(root))


def _refuse_damaged(root: str, run_id: str) -> None:
    folder = model_of(root, run_id)
    refuse_damaged_parts(folder, read_about(folder))


def _move(root: str, now: Current | None, run_id: str, by: By) -> Current:
    previous = () if now is None else (now.use, *now.previous)[:_REMEMBERED]
    use = Use(run_id, in_seconds(), by, goal_of(root, run_id))
    moved = Current(use, previous, () if now is None else now.rolled_back)
    files.write_json(files.join(root, "current.json"), moved.to_dict())
    return moved


def _use_of(content: Mapping[str, object]) -> Use:
    promoted, by, goal = (str(content.get(name, plain)) for name, plain in _PLAIN.items())
    return Use(str(content["run_id"]), promoted, by, goal)


def _without_repeats(first: str, others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((first, *others)))[:_REMEMBERED]
