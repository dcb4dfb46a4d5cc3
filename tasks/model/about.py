"""`model.json`, and checks of the files beside it, without loading the model.

Covers: the content of `model.json`, the places of the parts, and refusing an incomplete model.
Does not cover: the parts themselves (parts.py), or the model that they make (model.py).
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.model.draws.about_draws import FOLDERS as DRAW_FOLDERS
from funkflow.tasks.model.draws.about_draws import DrawsAbout
from funkflow.tasks.model.fold.about_new_rows import NewRowsAbout
from funkflow.tasks.storage import files
from funkflow.tasks.transform import Transform

MODEL_FORMAT_VERSION = 2

Place = tuple[str, str]
"""A file's URL and its checksum."""
SideName = Literal["user", "item"]
SIDES: tuple[SideName, ...] = ("user", "item")


class PartEntry(TypedDict):
    """A Parquet file of one side."""

    path: str
    rows: int
    bytes: int
    checksum: str


class TimesAbout(TypedDict):
    """Effects of time: their names, and the first days of bins but the first, from 1970 (tasks/model/times/)."""

    effects: list[str]
    edges: list[int]


class About(TypedDict, total=False):
    """The content of `model.json`. `write_about` adds the first six; the others are optional."""

    kind: str
    format_version: int
    mean: float
    scale: tuple[float, float] | None
    rank: int
    parts: dict[str, list[PartEntry]]
    id_types: dict[str, Literal["integer", "string"]]
    transform: Transform
    l2: float
    alpha: float
    common_user: list[float]
    deviation: float
    settings: dict[str, Any]
    run_id: str
    split: str
    rmse: float | None
    epochs: int
    titles: dict[str, str]
    mae: float | None
    best_epoch: int | None
    epoch_chosen_on: str | None
    biases: bool
    goal: Literal["ratings", "ranking"]
    counts: bool
    asked: str
    counted: str
    trained_on: list[dict[str, Any]]
    start: Any
    dataset: str
    planted: dict[str, int]
    noise_deviation: float
    draws: DrawsAbout
    times: TimesAbout
    new_rows: NewRowsAbout


def read_about(folder: str) -> About:
    """Return the content of `model.json`.

    Raises
    ------
    SettingsError
        `folder` holds no model.
    DamagedFile
        The file belongs to no model, has another format version, or changed after it was written.
    """
    url = files.join(folder, "model.json")
    about = files.json_if_there(url)
    if about is None:
        inner = files.join(folder, "model")
        is_run = files.exists(files.join(inner, "model.json"))
        named = f"name {inner}" if is_run else "name the model folder of a run"
        raise SettingsError(f"{folder}: there is no model here (no model.json); {named}")
    if (
        not isinstance(about, dict)
        or about.get("kind") != "model"
        or about.get("format_version") != MODEL_FORMAT_VERSION
    ):
        raise DamagedFile(f"{url}: not a funkflow model of format version {MODEL_FORMAT_VERSION}; export it again")
    content: About = files.without_seal(url, about)  # type: ignore[assignment]
    return content


def write_about(
    folder: str, mean: float, scale: tuple[float, float] | None, rank: int, parts: dict[str, list[PartEntry]],
    about: About,
) -> None:  # fmt: skip
    """Write `model.json`, which makes the tables beside it a model; `about` holds the optional content."""
    fixed: About = {
        "kind": "model",
        "format_version": MODEL_FORMAT_VERSION,
        "mean": mean,
        "scale": scale,
        "rank": rank,
        "parts": parts,
    }
    files.write_sealed(files.join(folder, "model.json"), {**about, **fixed})


def scale_of(about: About) -> tuple[float, float] | None:
    """Return the bounds of predictions; None: no clipping."""
    if about["scale"] is None:
        return None
    least, greatest = about["scale"]
    return least, greatest


def part_files(folder: str, side: str, about: About) -> list[Place]:
    """Return the places of the parts of one side, "user" or "item"."""
    place = files.join(folder, f"{side}_factors.parquet")
    return [(files.join(place, part["path"]), part["checksum"]) for part in about["parts"][side]]


def refuse_missing_parts(folder: str, about: About) -> None:
    """Raise DamagedFile if a part of the model in `folder` is missing or has another length.

    Priors are small, so their files are read.
    """
    for place, parts in _folders_of(about):
        there = files.sizes(files.join(folder, place))
        for part in parts:
            if there.get(part["path"]) != part["bytes"]:
                raise DamagedFile(
                    f"{folder}/{place}/{part['path']}: "
                    f"{there.get(part['path'], 'missing')} instead of {part['bytes']} bytes, so this model is "
                    "incomplete; run its settings again"
                )
    if draws := about.get("draws"):
        files.read_bytes(files.join(folder, draws["priors"]["path"]), draws["priors"]["checksum"])
    if new_rows := about.get("new_rows"):
        files.read_bytes(files.join(folder, new_rows["path"]), new_rows["checksum"])


def refuse_damaged_parts(folder: str, about: About) -> None:
    """Raise DamagedFile if a part of the model in `folder` does not match its checksum; read all parts."""
    for place, parts in _folders_of(about):
        for part in parts:
            files.read_bytes(files.join(folder, place, part["path"]), part["checksum"])


def _folders_of(about: About) -> list[tuple[str, list[PartEntry]]]:
    """Return the folders of a model with their parts: factors, and draws where there are any."""
    found = [(f"{side}_factors.parquet", about["parts"][side]) for side in SIDES]
    if draws := about.get("draws"):
        found += [(DRAW_FOLDERS[side], draws["parts"][side]) for side in SIDES]
    return found
