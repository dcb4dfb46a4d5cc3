"""Manifests of what a run makes of a finished model, and of its errors.

Covers: the fields of counts of ratings, rows folded in, baselines, an evaluation, a calibration, a spectrum,
vectors, a reconstruction, predictions, recommendations, an index of items, arrays to map, a ranking and a report.
Does not cover: datasets, splits, grids and trainings (manifests.py), reading and writing (typed_json.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from funkflow.pipeline.root.records import CalibrationFifth, IntervalScore
from funkflow.pipeline.root.typed_json import Entry, FileEntry, Manifest
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import Errors


@dataclass(frozen=True, kw_only=True)
class Folded(Manifest):
    """User shards in which the rows of held-out users are folded in. `folded` : their number; `ratings` : given."""

    kind: ClassVar[str] = "folded"

    users: tuple[FileEntry, ...]
    folded: int
    ratings: int


@dataclass(frozen=True, kw_only=True)
class Baseline(Manifest):
    """Errors of the mean rating and of the bias baseline on the validation ratings."""

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
    """Scores on `ratings` validation ratings of the split `split`; `truth` : of synthetic data only."""

    kind: ClassVar[str] = "evaluation"

    split: str
    ratings: int
    model: Score
    mean: Score
    biases: Score
    truth: Score | None = None


@dataclass(frozen=True, kw_only=True)
class Calibration(Manifest):
    """Of the intervals of `ratings` validation ratings, by randomised PIT (tasks/evaluation/calibration.py).

    `step` : between the values of ratings, 0 for others; `coverage` : part in the central interval of each of `levels`;
    `pits` : counts in bins of equal width; `constants` : the constant deviations of `scores`.
    """

    kind: ClassVar[str] = "calibration"

    id: str
    ratings: int
    step: float
    levels: tuple[float, ...]
    coverage: tuple[float, ...]
    pits: tuple[int, ...]
    by_deviation: tuple[CalibrationFifth, ...]
    by_ratings: tuple[CalibrationFifth, ...]
    scores: tuple[IntervalScore, ...]
    constants: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Spectrum(Manifest):
    """Singular values of the matrix `of`, in `table`, a file beside the folder.

    `grid`, `split`, `ratings` : the validation ratings behind the errors in the table; `rmse`, `mae` : errors at rank
    0. Without validation ratings `grid` is None, `ratings` 0, and the others are missing.
    """

    kind: ClassVar[str] = "spectrum"

    id: str
    of: str
    table: str
    checksums: Mapping[str, str]
    grid: str | None
    ratings: int
    split: str | None = None
    rmse: float | None = None
    mae: float | None = None


@dataclass(frozen=True, kw_only=True)
class Vectors(Manifest):
    """U and V of the matrix `of`: the files of each side, from the folder. `balanced` : U Σ^½ and V Σ^½ instead."""

    kind: ClassVar[str] = "vectors"

    id: str
    of: str
    balanced: bool
    singular_values: Sequence[float]
    users: Sequence[str]
    items: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Manifest):
    """The matrix `of` by its `rank` strongest factors, `users` x `items` in `form`; `bytes` : of its numbers."""

    kind: ClassVar[str] = "reconstruction"

    id: str
    of: str
    rank: int
    clipped: bool
    form: str
    users: int
    items: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class PredictedPart(FileEntry):
    """Predictions in one file; `known` : how many of its pairs have a user and an item of the model."""

    known: int


@dataclass(frozen=True, kw_only=True)
class Predictions(Manifest):
    """Predictions of `pairs` pairs by the model in the folder `model`."""

    kind: ClassVar[str] = "predictions"

    id: str
    pairs: int
    model: str
    parts: tuple[PredictedPart, ...]

    @property
    def unknown(self) -> int:
        """Pairs with a user or an item that the model lacks."""
        return self.pairs - sum(part.known for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class RecommendedPart(FileEntry):
    """Recommendations in one file, and for how many users."""

    users: int


@dataclass(frozen=True, kw_only=True)
class Recommendations(Manifest):
    """The best unseen items, at most `count` for each of `users` users: `rows` in all."""

    kind: ClassVar[str] = "recommendations"

    id: str
    count: int
    users: int
    rows: int
    parts: tuple[RecommendedPart, ...]


@dataclass(frozen=True, kw_only=True)
class SimilarPart(FileEntry):
    """Similar items in one file, and for how many items."""

    items: int


@dataclass(frozen=True, kw_only=True)
class SimilarItems(Manifest):
    """The most similar items, at most `count` for each of `items` items: `rows` in all."""

    kind: ClassVar[str] = "similar"

    id: str
    count: int
    items: int
    rows: int
    parts: tuple[SimilarPart, ...]


@dataclass(frozen=True, kw_only=True)
class ItemIndex(Manifest):
    """An index of `items` vectors of `width` numbers, for programs that search for the greatest inner products.

    `biases` : the last number of a vector is the item's bias, so that a query is a user's factors and then 1; else a
    query is the factors. `form` : of the index, with `lists`, of which a search looks through `probed`. `recall` : part
    of the best items found, by the number of items, on `users` sampled users.
    """

    kind: ClassVar[str] = "item index"

    id: str
    items: int
    width: int
    biases: bool
    form: str
    lists: int
    probed: int
    users: int
    recall: Mapping[str, float]
    checksums: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class MappedFiles(Manifest):
    """The model `id` as arrays that servers map into memory. `rated` : whether the items that users rated are known."""

    kind: ClassVar[str] = "mapped model"

    id: str
    rated: bool
    checksums: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RankingScore(Entry):
    """Means over users; `coverage` of all lists together, `novelty` in bits. Earlier rankings have three of them."""

    precision: float
    recall: float
    ndcg: float
    hit_rate: float | None = None
    mrr: float | None = None
    map: float | None = None
    coverage: float | None = None
    novelty: float | None = None


@dataclass(frozen=True, kw_only=True)
class RankingScoreAt(RankingScore):
    """The measures of the model at `count` items, of the most rated items, and those expected of a random order."""

    count: int
    most_rated: RankingScore
    random: RankingScore | None = None


@dataclass(frozen=True, kw_only=True)
class RankingScores(RankingScoreAt, Manifest):
    """The measures over `users` at `count` items, and `also` at further lengths.

    `threshold` : a rating from here on is relevant, in the unit that the model was trained in.
    """

    kind: ClassVar[str] = "ranking"

    id: str
    threshold: float
    users: int
    also: tuple[RankingScoreAt, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SavedCounts(Manifest):
    """Counts of the ratings of a split, see tasks/evaluation/describe.py: fields as in `CountedRatings`."""

    kind: ClassVar[str] = "counts"

    checksums: Mapping[str, str]
    trained_users: int
    values: Sequence[Sequence[float]] | None
    months: Sequence[Sequence[float]]

    def place(self, side: str) -> Place:
        """Return the file of "users" or "items"."""
        name = f"{side}.npy"
        return files.join(self.folder, name), self.checksums[name]


@dataclass(frozen=True, kw_only=True)
class SavedReport(Manifest):
    """A report; `id` : its model, split, settings and verdict."""

    kind: ClassVar[str] = "report"

    id: str
