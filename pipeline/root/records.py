"""Records in manifests and in checkpoints: the origin of a dataset, and how a model was trained.

Covers: the parent of a dataset and its inputs, the NDCG of each epoch, pairs known without their rating, the draws of a
posterior with what was kept of them, and how well their intervals hold.
Does not cover: the manifests (manifests.py, model_manifests.py), checkpoints (pipeline/training/checkpoint.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypedDict

from funkflow.pipeline.root.typed_json import Entry, FileEntry, Manifest

ShardFiles = Mapping[str, tuple[FileEntry, ...]]
"""Files of the shards of "users" and of "items"; paths from the run's checkpoints."""


@dataclass(frozen=True, kw_only=True)
class DatasetParent(Entry):
    """The parent of a dataset. `rows` : whether its ratings were taken over, or only its ids."""

    id: str
    rows: bool


class InputsRecord(TypedDict):
    """The inputs of a dataset: settings, files of ratings and of deletions (`SeenFile`), and marks of erased ids."""

    settings: Mapping[str, object]
    ratings: Sequence[Sequence[object]]
    deletions: Sequence[Sequence[object]]
    forgotten: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class RankedEpochs(Entry):
    """The NDCG of each epoch, at so many `places`, over `users` with a relevant held-out rating."""

    places: int
    users: int
    ndcg: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class KnownRecord(Entry):
    """How many pairs are known without their rating, and how many validation ratings have one of these.

    unknown : rows of files whose user or item the dataset lacks; trained : rows whose pair has a training rating.
    """

    pairs: int
    of_validation: int
    unknown: int
    trained: int


@dataclass(frozen=True, kw_only=True)
class KeptDraw(Entry):
    """A draw whose rows are kept; `noise_precision` : 1 over the noise variance of scaled ratings."""

    chain: int
    sweep: int
    noise_precision: float
    users: tuple[FileEntry, ...]
    items: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class TimesRecord(Entry):
    """The mean effects of time: their names, the first days of bins but the first, and the files of all shards."""

    effects: tuple[str, ...]
    edges: tuple[int, ...]
    users: tuple[FileEntry, ...]
    items: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class NewRows(Manifest):
    """Rows that no rating has trained, in the units of training.

    sides : of the prior of rows that come later, files of mean and covariance of users and of items; second : of its
    second factors, by item shard, if there are any; noise : variance of ratings. A ranking has no prior. filled : of
    "users" and "items" with features, shards in which rows without ratings are those that features say.
    """

    kind: ClassVar[str] = "new-rows"

    noise: float
    sides: tuple[FileEntry, ...]
    second: tuple[FileEntry, ...]
    filled: Mapping[str, tuple[FileEntry, ...]]


@dataclass(frozen=True, kw_only=True)
class RankOfMean(Entry):
    """The mean of draws cut to a rank: its validation RMSE, and the RMS of its distance from the mean of all there."""

    rank: int
    rmse: float
    away: float


@dataclass(frozen=True, kw_only=True)
class Histogram(Entry):
    """How many values lie below the first edge, between two, and from the last one on."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PosteriorRecord(Entry):
    """The draws of a posterior, and the model made of their mean.

    `rank` : of that model; `noise_deviation` : of ratings about predictions, in rating units;
    `rmse` : validation RMSE of the mean of all predictions, at no rank; `ranks` : of that mean at some ranks;
    `merged` : relative length of what merging draws cut off; `r_hat` : median, 95 % quantile and maximum over some
    predictions; `effective` : their effective numbers of draws, median and minimum; `by_r_hat`, `by_effective` : how
    many of these predictions have which, None where nothing was traced.
    """

    burn_in: int
    draws: int
    chains: int
    rank: int
    noise_deviation: float
    rmse: float | None
    ranks: tuple[RankOfMean, ...]
    merged: float
    r_hat: tuple[float, ...]
    effective: tuple[float, ...]
    kept: tuple[KeptDraw, ...]
    by_r_hat: Histogram | None = None
    by_effective: Histogram | None = None


@dataclass(frozen=True, kw_only=True)
class CalibrationFifth(Entry):
    """A fifth of the validation ratings, from `low` to `high` of what orders them.

    `coverage` : part in the interval of each level; `deviation` : root mean square of those predicted; `rmse` : of the
    means of the distributions.
    """

    low: float
    high: float
    ratings: int
    coverage: tuple[float, ...]
    deviation: float
    rmse: float


@dataclass(frozen=True, kw_only=True)
class IntervalScore(Entry):
    """Mean interval scores at a level: by the draws, and of the same means with a constant deviation.

    `constant` : fitted to the training ratings; `best_constant` : to the validation ratings themselves.
    """

    level: float
    model: float
    constant: float
    best_constant: float
