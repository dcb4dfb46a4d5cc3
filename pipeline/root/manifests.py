"""What a dataset, a split, a grid or a training says of itself in its manifest.json.

Covers: the fields of each kind, and where the files lie that they name.
Does not cover: reading and writing them (typed_json.py), what makes them (pipeline/stages/), a saved model's model.json
(tasks/model/about.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from funkflow.pipeline.root.typed_json import Entry, FileEntry, Manifest
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files as storage
from funkflow.tasks.training.score import Errors

ShardFiles = Mapping[str, tuple[FileEntry, ...]]
"""Files of the shards of "users" and of "items"; paths from the run's checkpoints."""
HELD_OUT = ("validation", "slice", "trained_on_validation", "trained_on_slice")
"""What of a split is kept from training; the last two only where pipeline/stages/leakage.py parted it."""


@dataclass(frozen=True, kw_only=True)
class Synthetic(Manifest):
    """Raw ratings that were made up; the rest says of what size and by which seed."""

    kind: ClassVar[str] = "synth"

    id: str
    ratings: int


@dataclass(frozen=True, kw_only=True)
class DatasetParent(Entry):
    """The dataset that another grew from; `rows` : whether its ratings were taken over, or only its ids."""

    id: str
    rows: bool


@dataclass(frozen=True, kw_only=True)
class Dataset(Manifest):
    """Ratings by dense id, in parts, and the raw ids of users and items.

    `seen` : inputs file by file, for a dataset that grows from this one. `lineage` : ratings, users and items of all
    datasets that it grew from, and its own. `parts_written`, `parts_kept`, `parsed_bytes` : what making it took.
    """

    kind: ClassVar[str] = "dataset"

    id: str
    inputs: Sequence[Any]
    seen: Mapping[str, Any]
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

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest rating there can be, or where the form sets none, there is."""
        return self.scale or (self.rating_minimum, self.rating_maximum)

    @property
    def generations(self) -> tuple[tuple[int, int, int], ...]:
        """Ratings, users and items of all that it grew from, and its own."""
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
    def id_types(self) -> dict[str, Any]:
        return {"user": self.user_id_type, "item": self.item_id_type}


@dataclass(frozen=True, kw_only=True)
class HeldOutParts(Entry):
    """Ratings that a split holds out, by part of the dataset."""

    ratings: int
    parts: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Split(Manifest):
    """Which ratings are kept from training.

    `split` : in words. `training` : how many ratings each part has left. `lost` : validation ratings that the model
    which training starts from was trained on; they lie in `trained_on_validation`.
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

    @property
    def held_out(self) -> dict[str, HeldOutParts]:
        """All that is kept from training, by its name."""
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
    """Training ratings as `shards` x `shards` blocks, row by row, and the held-out ones that training looks at."""

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

    def held_out_places(self, name: str) -> list[Place]:
        return self.places(self.held_out[name].shards)

    def rows_of(self, side: str) -> int:
        """Return how many "users" or "items" there are."""
        return self.users if side == "users" else self.items


@dataclass(frozen=True, kw_only=True)
class Training(Manifest):
    """The history of a training, and the shards of its best epoch.

    `counted` : the unit of `epochs`; `history` : (training RMSE, validation RMSE or None) of each; `start` : validation
    RMSE of the model that training started from. The fields from `counted` on are of some methods only.
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

    def compact(self) -> Training:
        """Return it without the fields that only other methods fill."""
        names = [each.name for each in fields(self)]
        of_some = [each for each in fields(self)[names.index("counted") :] if getattr(self, each.name) == each.default]
        return self.without(*(each.name for each in of_some))

    @property
    def run_folder(self) -> str:
        return self.folder.rpartition("/")[0]

    def shard_places(self, side: str) -> list[Place]:
        """Return where the shards of "users" or "items" lie."""
        checkpoints = storage.join(self.run_folder, "checkpoints")
        return [entry.place(checkpoints) for entry in self.shards[side]]


@dataclass(frozen=True, kw_only=True)
class Baseline(Manifest):
    """Errors on the validation ratings of what a model must beat."""

    kind: ClassVar[str] = "baseline"

    mean: Errors
    biases: Errors


@dataclass(frozen=True, kw_only=True)
class Score(Entry):
    """Errors on the validation ratings, in rating units."""

    rmse: float
    mae: float


@dataclass(frozen=True, kw_only=True)
class Evaluation(Manifest):
    """Scores on `ratings` validation ratings, which `split` names; `truth` : of synthetic data only."""

    kind: ClassVar[str] = "evaluation"

    split: str
    ratings: int
    model: Score
    mean: Score
    biases: Score
    truth: Score | None = None


@dataclass(frozen=True)
class TrainingData:
    """What a model is trained and measured on."""

    dataset: Dataset
    split: Split
    grid: Grid

    @property
    def ids(self) -> dict[str, str]:
        return {"dataset": self.dataset.id, "split": self.split.id, "grid": self.grid.id}
