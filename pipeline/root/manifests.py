"""Manifests of datasets, splits, grids, trainings and their errors.

Covers: the fields of each kind, and the places of their files.
Does not cover: reading and writing (typed_json.py), stages, models (model_manifests.py, tasks/model/about.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

from funkflow.pipeline.root.records import (
    DatasetParent,
    InputsRecord,
    KnownRecord,
    NewRows,
    PosteriorRecord,
    RankedEpochs,
    ShardFiles,
    TimesRecord,
)
from funkflow.pipeline.root.typed_json import Entry, FileEntry, Manifest
from funkflow.tasks.dataset.hold_out import HeldOutEntry
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files as storage

HELD_OUT = ("validation", "slice", "trained_on_validation", "trained_on_slice", "given")
"""Kinds of held-out ratings; `trained_on_...` only after pipeline/stages/leakage.py, `given` only of kind "users"."""


@dataclass(frozen=True, kw_only=True)
class Synthetic(Manifest):
    """A synthetic set of raw ratings; `others` has its sizes and its seed."""

    kind: ClassVar[str] = "synth"

    id: str
    ratings: int


@dataclass(frozen=True, kw_only=True)
class Dataset(Manifest):
    """Ratings by dense id, in parts, and the raw ids of users and items.

    `seen` : the inputs file by file, for a child dataset. `lineage` : ratings, users and items of all ancestors and of
    this dataset. `parts_written`, `parts_kept`, `parsed_bytes` : the work of making it. `counts` : ratings are counts.
    """

    kind: ClassVar[str] = "dataset"

    id: str
    inputs: Sequence[Any]
    seen: InputsRecord
    format: str
    form: Mapping[str, Any]
    ratings: int
    users: int
    items: int
    id_checksums: Mapping[str, str]
    parts: tuple[FileEntry, ...]
    rating_minimum: float
    rating_maximum: float
    scale: tuple[float, float] | None
    duplicates: int
    deleted: int
    quarantined: int
    timestamps: bool
    user_id_type: Any
    item_id_type: Any
    titles: bool
    parent: DatasetParent | None = None
    lineage: tuple[tuple[int, int, int], ...] = ()
    parsed_bytes: int
    parts_written: int
    parts_kept: int
    counts: bool = False
    feature_checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        return "counts" if self.counts else "ratings"

    @property
    def bounds(self) -> tuple[float, float]:
        """The scale of the form; without one, the least and the greatest rating."""
        return self.scale or (self.rating_minimum, self.rating_maximum)

    @property
    def generations(self) -> tuple[tuple[int, int, int], ...]:
        """Ratings, users and items of all ancestors and of this dataset."""
        return self.lineage or ((self.ratings, self.users, self.items),)

    @property
    def id_places(self) -> tuple[Place, Place]:
        """The tables of raw users and raw items."""
        return self.id_place("user"), self.id_place("item")

    @property
    def part_places(self) -> list[Place]:
        return self.places(self.parts)

    def id_place(self, side: str) -> Place:
        return storage.join(self.folder, f"{side}s.parquet"), self.id_checksums[f"{side}s"]

    @property
    def id_types(self) -> dict[str, Literal["integer", "string"]]:
        return {"user": self.user_id_type, "item": self.item_id_type}


@dataclass(frozen=True, kw_only=True)
class HeldOutParts(Entry):
    """Ratings that a split holds out, by part of the dataset."""

    ratings: int
    parts: tuple[FileEntry, ...]

    @classmethod
    def of(cls, parts: Sequence[HeldOutEntry]) -> Self:
        return cls(ratings=sum(part["rows"] for part in parts), parts=tuple(map(FileEntry.read, parts)))


@dataclass(frozen=True, kw_only=True)
class Split(Manifest):
    """Held-out ratings of a dataset.

    `split` : the rule in words. `training` : the numbers of training ratings by part. `lost` : the number of validation
    ratings that the start model was trained on; they are in `trained_on_validation`. `cold` : of a split by date, the
    number of validation ratings whose user or item has no training rating. `given` : of held-out users, the ratings
    that their rows are folded in from.
    """

    kind: ClassVar[str] = "split"

    id: str
    dataset: str
    split: str
    validation: HeldOutParts
    slice: HeldOutParts | None
    training_ratings: int
    duplicates: int
    unknown: int
    training: tuple[int, ...] | None = None
    parts_kept: int = 0
    lost: int = 0
    trained_on_validation: HeldOutParts | None = None
    trained_on_slice: HeldOutParts | None = None
    cold: int = 0
    given: HeldOutParts | None = None

    @property
    def held_out(self) -> dict[str, HeldOutParts]:
        """All held-out ratings, by kind."""
        found = {name: getattr(self, name) for name in HELD_OUT}
        return {name: part for name, part in found.items() if part is not None}

    @property
    def validation_places(self) -> list[Place]:
        return self.places(self.validation.parts)


@dataclass(frozen=True, kw_only=True)
class BlockEntry(Entry):
    """One block of a grid. `mark` : equal for blocks that are the same file; `extremes` : least and greatest rating."""

    checksum: str
    rows: int
    bytes: int
    rating_bytes: int
    sum: float
    squares: float
    about_mean: float
    extremes: tuple[float, ...] | None = None
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class HeldOutShards(Entry):
    """Held-out ratings of a grid, by user shard."""

    ratings: int
    shards: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Grid(Manifest):
    """Training ratings as `shards` x `shards` blocks, row by row, held-out ratings, and blocks of days if wanted.

    `further`, `known` : blocks of pairs that are known without their rating, and their numbers.
    """

    kind: ClassVar[str] = "grid"

    id: str
    dataset: str
    split: str
    shards: int
    ratings: int
    users: int
    items: int
    mean: float
    mean_square: float
    variance: float | None = None
    bytes: int
    held_out: Mapping[str, HeldOutShards]
    rating_bytes: int
    block_format: Sequence[int]
    blocks: tuple[BlockEntry, ...]
    kept: int
    written: int
    counts: bool = False
    days: tuple[BlockEntry, ...] = ()
    further: tuple[BlockEntry, ...] = ()
    known: KnownRecord | None = None

    def held_out_places(self, name: str) -> list[Place]:
        return self.places(self.held_out[name].shards)

    def rows_of(self, side: str) -> int:
        """Return the number of "users" or "items"."""
        return self.users if side == "users" else self.items


@dataclass(frozen=True, kw_only=True)
class Training(Manifest):
    """The history of a training, and the shards of its best epoch.

    `counted` : the unit of `epochs`; `history` : (training RMSE, validation RMSE or None) of each; `start` : validation
    RMSE of the model that training started from, or its NDCG where that decides. The fields from `counted` on are of
    some methods only. `folded` : user shards with rows folded in after training (pipeline/stages/fold_given.py), which
    its own manifest lists. `ranked` : the NDCGs that early stopping used. `common_user` : of row solves, the row that
    all users have in common. `posterior` : of draws; the shards then have a rank of their own.
    """

    kind: ClassVar[str] = "training"

    grid: str
    epochs: int
    best_epoch: int
    history: tuple[tuple[float, Any], ...]
    shards: ShardFiles
    seconds: float
    cpu_target: str
    steps: StepSizes
    start: float | None = None
    counted: str = "epochs"
    reason: str = ""
    passes: tuple[int, ...] = ()
    method: str = ""
    norm: float = 0.0
    singular_values: tuple[float, ...] = ()
    folded: tuple[FileEntry, ...] = ()
    ranked: RankedEpochs | None = None
    common_user: tuple[float, ...] = ()
    posterior: PosteriorRecord | None = None
    times: TimesRecord | None = None
    new_rows: NewRows | None = None

    def rank(self, chosen: int) -> int:
        """Return the rank of the shards, where `chosen` is that of the settings."""
        return self.posterior.rank if self.posterior else chosen

    def compact(self) -> Training:
        """Return it without the fields that only other methods fill."""
        names = [each.name for each in fields(self)]
        of_some = [each for each in fields(self)[names.index("counted") :] if getattr(self, each.name) == each.default]
        return self.without(*(each.name for each in of_some))

    @property
    def run_folder(self) -> str:
        return self.folder.rpartition("/")[0]

    def shard_places(self, side: str) -> list[Place]:
        """Return the places of the shards of "users" or "items", with rows that were folded in or have features."""
        if side == "users" and self.folded:
            return [entry.place(storage.join(self.run_folder, "folded")) for entry in self.folded]
        if self.new_rows and (filled := self.new_rows.filled.get(side)):
            return [entry.place(self.new_rows.folder) for entry in filled]
        return [entry.place(storage.join(self.run_folder, "checkpoints")) for entry in self.shards[side]]

    def kept_places(self, side: str) -> list[list[Place]]:
        """Return, for each shard of "users" or "items", its places in all kept draws of a posterior."""
        checkpoints = storage.join(self.run_folder, "checkpoints")
        kept = self.posterior.kept if self.posterior else ()
        by_draw = [[entry.place(checkpoints) for entry in getattr(draw, side)] for draw in kept]
        return [list(shard) for shard in zip(*by_draw, strict=True)]


@dataclass(frozen=True)
class TrainingData:
    """The dataset, the split and the grid of a model."""

    dataset: Dataset
    split: Split
    grid: Grid

    @property
    def ids(self) -> dict[str, str]:
        return {"dataset": self.dataset.id, "split": self.split.id, "grid": self.grid.id}
