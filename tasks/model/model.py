"""The trained model for other programs: load, save, predict. Imports no Dask.

Covers: the open form on disk (`model.json` beside two Parquet tables), and predictions for any raw ids.
Does not cover: training (tasks/training/sgd.py), or export shard by shard from a cluster (pipeline/stages/export.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.digits import rounded
from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.model.about import About, PartEntry, part_files, read_about, scale_of, write_about
from funkflow.tasks.model.algebra import Algebra
from funkflow.tasks.model.canonical import refuse_complex_arrays
from funkflow.tasks.model.draws.intervals import Intervals
from funkflow.tasks.model.forms.in_memory import Forms, factor_table
from funkflow.tasks.model.html_tables import html_facts
from funkflow.tasks.model.items import Recommender
from funkflow.tasks.model.parts import factor_columns
from funkflow.tasks.model.score_rows import PairScores
from funkflow.tasks.redact import masked_content
from funkflow.tasks.storage import files
from funkflow.tasks.transform import NAMES, Transform, as_ratings

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = late("pandas")


@dataclass(frozen=True, repr=False)
class Model(PairScores, Recommender, Algebra, Intervals, Forms):
    """A factor model: rating = mean + b_u + b_i + <u, v>, clipped to the scale.

    With ingest.transform = "log1p" the formula gives log(1 + rating), and `predict` transforms it back.

    Attributes
    ----------
    mean : float
        µ, in rating units; 0 for a model trained without centring.
    scale : (float, float) or None
        Bounds of predictions, on the scale of training.
    user_ids, item_ids : array (n,) of int64 or object
        Raw ids; row j of the biases and factors belongs to the j-th id.
    user_biases, item_biases : float32 (n,)
    user_factors, item_factors : float32 (n, k)
    about : dict
        The content of `model.json`: settings, run, RMSE and its split.
    folder : str
        Folder of the files; empty for a model made in memory.
    """

    mean: float
    scale: tuple[float, float] | None
    user_ids: npt.NDArray[Any]
    item_ids: npt.NDArray[Any]
    user_biases: npt.NDArray[np.float32]
    item_biases: npt.NDArray[np.float32]
    user_factors: npt.NDArray[np.float32]
    item_factors: npt.NDArray[np.float32]
    about: About = field(default_factory=About)
    folder: str = ""

    def __post_init__(self) -> None:
        refuse_complex_arrays(
            user_factors=self.user_factors, item_factors=self.item_factors,
            user_biases=self.user_biases, item_biases=self.item_biases,
        )  # fmt: skip
        object.__setattr__(self, "_user_rows", pd.Index(self.user_ids))
        object.__setattr__(self, "_item_rows", pd.Index(self.item_ids))

    @property
    def rank(self) -> int:
        """K, the number of factors."""
        return int(self.item_factors.shape[1])

    @property
    def transform(self) -> Transform:
        """Transform of the ratings in training; with "log1p" all numbers are of log(1 + rating)."""
        return self.about.get("transform", "none")

    def knows(self, users: Any, items: Any) -> npt.NDArray[np.bool_]:
        """Return for each (user, item) pair whether the model has both, bool (n,).

        Parameters
        ----------
        users, items : array-like (n,) of raw ids.
        """
        user_rows, item_rows = self._rows_of_pairs(users, items)
        return (user_rows >= 0) & (item_rows >= 0)

    def known_rows(self, ids: Any, side: Literal["users", "items"]) -> npt.NDArray[np.intp] | slice:
        """Return the rows of raw ids, int (n,).

        Parameters
        ----------
        ids : array-like (n,) of raw ids; None: all rows, as a slice.
        side : the kind of the ids.

        Raises
        ------
        BadInput
            The model does not have an id, or ids are of the other kind.
        """
        if ids is None:
            return slice(None)
        known, index = self._ids_of(side)
        given = _as_index(ids, known, side)
        rows: npt.NDArray[np.intp] = index.get_indexer(given)
        if (rows < 0).any():
            raise BadInput(
                f"{side[:-1]} {given[int(np.argmax(rows < 0))]}: this id is not in the model; leave it out, "
                "or give an id as the ratings have it"
            )
        return rows

    def found_rows(self, ids: Any, side: Literal["users", "items"]) -> npt.NDArray[np.intp]:
        """Return the rows of raw ids, int (n,); -1 for ids that the model does not have.

        Parameters
        ----------
        ids : array-like (n,) of raw ids.
        side : the kind of the ids.
        """
        known, index = self._ids_of(side)
        found: npt.NDArray[np.intp] = index.get_indexer(_as_index(ids, known, side))
        return found

    def _ids_of(self, side: str) -> tuple[npt.NDArray[Any], pd.Index]:
        """Return the raw ids of "users" or "items", and their index."""
        return (self.user_ids, self._user_rows) if side == "users" else (self.item_ids, self._item_rows)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        of = "" if self.transform == "none" else f" of {NAMES[self.transform]}"
        measured = (
            f", RMSE{of} {rounded(self.about['rmse'])} on {self.about['split']}" if self.about.get("rmse") else ""
        )
        return f"Model(rank {self.rank}, {len(self.user_ids):,} users x {len(self.item_ids):,} items{measured})"

    def _repr_html_(self) -> str:
        about = masked_content(self.about)
        facts = [("rank", f"{self.rank}"), ("users", f"{len(self.user_ids):,}"), ("items", f"{len(self.item_ids):,}")]
        if self.scale is not None:
            least, greatest = as_ratings(np.array(self.scale), self.transform)
            facts.append(("scale", f"{least:g} to {greatest:g}"))
        if about.get("rmse"):
            of = "RMSE" if self.transform == "none" else f"RMSE of {NAMES[self.transform]}"
            facts.append((of, f"{rounded(about['rmse'])} on {about.get('split')}"))
        facts += [(name.replace("_", " "), str(about[name])) for name in ("run_id", "epochs") if about.get(name)]
        return html_facts("Model", facts)

    def save(self, folder: str, part_rows: int | None = None) -> None:
        """Write the open form under `folder`; `model.json` last, so that a half-written model does not load.

        The draws of a posterior, effects of time and the prior of new rows stay with the model that training exported.

        Parameters
        ----------
        folder : local folder or fsspec URL.
        part_rows : rows of a part at most; None: one part a side.
        """
        parts = {
            side: _write_parts(files.join(folder, f"{side}_factors.parquet"), columns, part_rows)
            for side, columns in {
                "user": (self.user_ids, self.user_biases, self.user_factors),
                "item": (self.item_ids, self.item_biases, self.item_factors),
            }.items()
        }
        id_types = {"user": _id_kind(self.user_ids), "item": _id_kind(self.item_ids)}
        about: About = {**self.about, "id_types": id_types}
        for name in ("draws", "times", "new_rows"):
            about.pop(name, None)  # type: ignore[misc]
        write_about(folder, self.mean, self.scale, rank=self.rank, parts=parts, about=about)

    @classmethod
    def load(cls, folder: str, users: bool = True) -> Model:
        """Read a saved model.

        Parameters
        ----------
        folder : local folder or fsspec URL.
        users : whether to read the users, too; without them the model serves items, and new users who are folded in.

        Raises
        ------
        DamagedFile
            A file is missing, does not match its checksum, or is of another format version.
        """
        about = read_about(folder)
        user_ids, user_biases, user_factors = _read_side(folder, "user", about, all_rows=users)
        item_ids, item_biases, item_factors = _read_side(folder, "item", about)
        return cls(
            mean=float(about["mean"]), scale=scale_of(about), user_ids=user_ids, item_ids=item_ids,
            user_biases=user_biases, item_biases=item_biases,
            user_factors=user_factors, item_factors=item_factors, about=about, folder=folder,
        )  # fmt: skip


def write_factor_table(
    url: str, raw_ids: npt.NDArray[Any] | pa.Array, biases: npt.NDArray[np.float32], factors: npt.NDArray[np.float32],
    more: Mapping[str, pa.Array] | None = None,
) -> PartEntry:  # fmt: skip
    """Write one part of a factor table: raw_id, bias, factors as a fixed-size list of float32.

    raw_ids (n,); biases float32 (n,); factors float32 (n, k); more : other columns, of effects of time.
    Returns the entry of the part in `model.json`.
    """
    table = factor_table(pa.array(raw_ids), biases, factors)
    for name, column in (more or {}).items():
        table = table.append_column(name, column)
    # Factors are almost random: compression would cost more than the rest of the export.
    checksum = files.write_table(url, table, compression="none", dictionaries=["raw_id"])
    return {"path": url.rsplit("/", 1)[1], "rows": table.num_rows, "bytes": files.size(url), "checksum": checksum}


def _write_parts(place: str, columns: tuple[npt.NDArray[Any], ...], part_rows: int | None) -> list[PartEntry]:
    ids, biases, factors = columns
    rows = max(1, len(ids))
    starts = range(0, rows, part_rows or rows)
    return [
        write_factor_table(
            files.join(place, f"part.{number:05d}.parquet"),
            ids[start : start + starts.step],
            biases[start : start + starts.step],
            factors[start : start + starts.step],
        )
        for number, start in enumerate(starts)
    ]


def _read_side(
    folder: str, side: str, about: About, all_rows: bool = True
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Read all rows of a side, or none of them: the first part gives the type of the raw ids."""
    places = part_files(folder, side, about)[: None if all_rows else 1]
    tables = [files.read_table(url, expected_checksum=checksum) for url, checksum in places]
    return factor_columns(pa.concat_tables(tables).slice(0, None if all_rows else 0), int(about["rank"]))


def _id_kind(ids: npt.NDArray[Any]) -> Literal["integer", "string"]:
    return "integer" if np.issubdtype(ids.dtype, np.integer) else "string"


def _as_index(ids: Any, model_ids: npt.NDArray[Any], role: str) -> Any:
    """Return an index of ids; refuse ids of the other kind, since "7" would silently be a missing id."""
    given = np.atleast_1d(np.asarray(ids))
    if given.ndim > 1:
        raise BadInput(f"predict: {role} have shape {given.shape}; give a list or a one-dimensional array")
    is_text = given.dtype.kind in "US" or (given.dtype.kind == "O" and any(isinstance(each, str) for each in given))
    if len(given) and is_text != (_id_kind(model_ids) == "string"):
        kinds = ("text", "numbers") if is_text else ("numbers", "text")
        raise BadInput(
            f"predict: {role} such as {str(given[0])!r} are {kinds[0]}, but this model's ids are {kinds[1]}; "
            "convert them"
        )
    return pd.Index(given)
