"""The files of a model's draws: rows of users and of items in each draw, and what is known of rows in general.

Covers: writing a part, reading some of its rows, the prior of each side's rows in each draw.
Does not cover: the draws of a training (tasks/training/posterior/), predictions by them (intervals.py).

A row of a file is a row of the model: D times the k factors of a draw and, after them, its bias, in rating units. Users
also have a factor of the noise of their ratings in each draw. Rows are in groups of some megabytes, and a reader takes
only the groups that have its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.draws.about_draws import FOLDERS, SIDES, DrawsAbout
from funkflow.tasks.storage import files, row_groups
from funkflow.tasks.storage.arrow_arrays import as_column, numbers_of

DrawnRows = npt.NDArray[np.float32]
"""Rows in all draws, float32 (n, D, k + 1): factors and, last, the bias."""
DrawnBatch = Mapping[str, npt.NDArray[np.float32]]
"""Rows of a file by column: `draws`, float32 (n, D, k + 1), and for users `noise`, (n, D)."""
Numbers = npt.NDArray[np.float64]
GROUP_BYTES = 4 << 20
MOST_KEPT = 32
"""Groups of a side that stay in memory between batches."""


@dataclass(frozen=True)
class RowPriors:
    """What is known of a row without ratings: mean and variance of each column in each draw, float64 (D, k + 1)."""

    mean: Numbers
    variance: Numbers


@dataclass(frozen=True)
class ColumnSums:
    """Sums over rows, and over their squares, of each column in each draw: float64 (D, k + 1); `rows` : how many."""

    rows: int
    sums: Numbers
    squares: Numbers

    @classmethod
    def of(cls, rows: DrawnRows) -> ColumnSums:
        """Return those of some rows."""
        wide = rows.astype(np.float64)
        return cls(len(rows), wide.sum(axis=0), np.einsum("ndf,ndf->df", wide, wide))

    def __add__(self, other: ColumnSums) -> ColumnSums:
        return ColumnSums(self.rows + other.rows, self.sums + other.sums, self.squares + other.squares)

    def priors(self) -> RowPriors:
        """Return mean and variance of each column."""
        mean = self.sums / max(1, self.rows)
        return RowPriors(mean, np.maximum(self.squares / max(1, self.rows) - mean**2, 0.0))


def rows_of_group(draws: int, rank: int) -> int:
    """Return the rows of a group."""
    return max(1, GROUP_BYTES // (4 * draws * (rank + 1)))


def write_part(url: str, raw_ids: pa.Array, batches: Iterable[DrawnBatch], widths: Mapping[str, int]) -> str:
    """Write a part from batches of rows in order, a group each; return the file's checksum.

    raw_ids (n,); widths : numbers that a row has in each column.
    """
    lists = [(name, pa.list_(pa.float32(), width)) for name, width in widths.items()]
    schema = pa.schema([("raw_id", raw_ids.type), *lists])
    return row_groups.write_row_groups(url, _tables(raw_ids, batches, schema), schema, ["raw_id"])


def write_priors(url: str, user: RowPriors, item: RowPriors) -> str:
    """Write the priors of both sides; return the file's checksum. Columns are side, draw, mean and variance."""
    draws, width = user.mean.shape
    lists = [
        pa.FixedSizeListArray.from_arrays(as_column(np.concatenate([a, b]).ravel()), width)
        for a, b in ((user.mean, item.mean), (user.variance, item.variance))
    ]
    numbers = np.tile(np.arange(draws, dtype=np.int32), 2)
    sides = np.repeat(np.array(SIDES, dtype=object), draws)
    table = pa.table({"side": pa.array(sides), "draw": as_column(numbers), "mean": lists[0], "variance": lists[1]})
    return files.write_table(url, table)


@dataclass
class DrawnSide:
    """The rows of one side in a saved model's draws.

    `places` : URL and bytes of each part; `column` : of the parts. Its lists have D times rank + 1 numbers.
    """

    places: Sequence[tuple[str, int]]
    draws: int
    rank: int
    priors: RowPriors
    column: str = "draws"
    _starts: npt.NDArray[np.int64] | None = None
    _groups: list[tuple[int, int]] = field(default_factory=list)
    _kept: dict[int, DrawnRows] = field(default_factory=dict)

    def groups_of(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return the group of each row, int64 (n,); -1 for row -1."""
        return np.asarray(np.searchsorted(self._group_starts(), rows, side="right") - 1, np.int64)

    def take(self, rows: npt.NDArray[np.integer]) -> DrawnRows:
        """Return some rows; those of row -1 are 0.

        Raises
        ------
        DamagedFile
            A file is missing, or has another length.
        """
        taken = np.zeros((len(rows), self.draws, self.rank + 1), np.float32)
        starts, groups = self._group_starts(), self.groups_of(rows)
        for group in np.unique(groups[groups >= 0]).tolist():
            own = np.flatnonzero(groups == group)
            taken[own] = self._group(group)[rows[own] - starts[group]]
        return taken

    def in_groups(self) -> Iterator[DrawnRows]:
        """Yield all rows in order, a group at a time, and keep none."""
        for group in range(len(self._group_starts())):
            yield self._read(group)

    def _read(self, group: int) -> DrawnRows:
        part, number = self._groups[group]
        (table,) = row_groups.read_row_groups(self.places[part][0], [number], [self.column])
        numbers = numbers_of(pc.list_flatten(table[self.column]))
        return numbers.reshape(table.num_rows, self.draws, self.rank + 1)

    def _group(self, group: int) -> DrawnRows:
        found = self._kept.pop(group, None)
        if found is None:
            found = self._read(group)
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[group] = found  # now the newest
        return found

    def _group_starts(self) -> npt.NDArray[np.int64]:
        if self._starts is None:
            counts = [row_groups.group_rows(*place) for place in self.places]
            self._groups = [(part, group) for part, of_part in enumerate(counts) for group in range(len(of_part))]
            self._starts = np.cumsum([0, *(rows for of_part in counts for rows in of_part)], dtype=np.int64)[:-1]
        return self._starts


@dataclass(frozen=True)
class Draws:
    """The draws beside a saved model.

    `noise` : float64 (D,), deviations of ratings about predictions. Two factors multiply their squares: `factors` (b,),
    by bins of predicted ratings between `edges` (b - 1,), float64; and of each user, in the columns of `user_noise`.
    """

    users: DrawnSide
    items: DrawnSide
    mean: float
    noise: Numbers
    edges: Numbers = field(default_factory=lambda: np.empty(0))
    factors: Numbers = field(default_factory=lambda: np.ones(1))
    user_noise: DrawnSide | None = None

    @classmethod
    def of(cls, folder: str, about: Any, user: str) -> Draws:
        """Return the draws of the model in `folder` from its `model.json`; it reads rows at their first use.

        Parameters
        ----------
        user : the method or setting that needs them, for the message.

        Raises
        ------
        BadInput
            The model has no draws.
        """
        found: DrawsAbout | None = about.get("draws")
        if found is None or not folder:
            raise BadInput(
                f'{user}: this model has no draws of a posterior; train one with train.method = "bayes" and '
                "train.keep_draws above 0"
            )
        priors = _read_priors(files.join(folder, found["priors"]["path"]), found["priors"]["checksum"], found["count"])
        user_side, item_side = (
            DrawnSide(
                [(files.join(folder, FOLDERS[side], part["path"]), part["bytes"]) for part in found["parts"][side]],
                found["count"], found["rank"], priors[side],
            )
            for side in SIDES
        )  # fmt: skip
        by_rating = found.get("noise_by_rating", {"edges": [], "factors": [1.0]})
        edges, factors = (np.array(each, np.float64) for each in (by_rating["edges"], by_rating["factors"]))
        user_noise = None
        if found.get("noise_by_user"):
            user_noise = DrawnSide(user_side.places, found["count"], 0, user_side.priors, "noise")
        return cls(user_side, item_side, float(about["mean"]), np.array(found["noise"]), edges, factors, user_noise)

    def noise_variances(self, means: Numbers, users: npt.NDArray[np.integer]) -> Numbers:
        """Return the variance of a rating about its prediction in each draw, float64 (n, D).

        means : float64 (n, D), predictions in each draw; their mean decides the bin.
        users : (n,), their rows; -1 for one whose noise is not known, which then is the usual one.
        """
        bins = np.searchsorted(self.edges, means.mean(axis=1), side="right")
        found = self.noise**2 * self.factors[bins, None]
        if self.user_noise is not None:
            found *= np.where(users[:, None] < 0, 1.0, self.user_noise.take(users)[..., 0])
        return np.asarray(found)

    def of_one_user(self, row: npt.NDArray[np.float32]) -> Draws:
        """Return the draws with one user, in row 0, in place of all: float32 (D, k + 1)."""
        side = self.users
        held = DrawnSide(
            (), side.draws, side.rank, side.priors, _starts=np.zeros(1, np.int64), _groups=[(0, 0)],
            _kept={0: row[None]},
        )  # fmt: skip
        return replace(self, users=held, user_noise=None)


class WithDraws:
    """A model that may have draws beside it."""

    about: Any
    folder: str

    @cached_property
    def _draws(self) -> Draws:
        return Draws.of(self.folder, self.about, "draws")

    def draws_for(self, user: str) -> Draws:
        """Return the draws beside the model, opened once.

        Parameters
        ----------
        user : the method or setting that needs them, for the message.

        Raises
        ------
        BadInput
            The model has no draws.
        """
        return self._draws if "draws" in self.about and self.folder else Draws.of("", {}, user)


def _tables(raw_ids: pa.Array, batches: Iterable[DrawnBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    start = 0
    for batch in batches:
        lists = [
            pa.FixedSizeListArray.from_arrays(
                as_column(np.ascontiguousarray(batch[column.name]).ravel()), type=column.type
            )
            for column in list(schema)[1:]
        ]
        yield pa.Table.from_arrays([raw_ids.slice(start, len(lists[0])), *lists], schema=schema)
        start += len(lists[0])


def _read_priors(url: str, checksum: str, draws: int) -> dict[str, RowPriors]:
    table = files.read_table(url, expected_checksum=checksum)
    mean, variance = (numbers_of(pc.list_flatten(table[name])).reshape(2, draws, -1) for name in ("mean", "variance"))
    return {side: RowPriors(mean[number], variance[number]) for number, side in enumerate(SIDES)}
