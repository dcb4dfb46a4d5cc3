"""A model in memory as NumPy arrays, pandas frames and Arrow tables.

Covers: the three forms, and the table of a side as files and memory have it.
Does not cover: files for other programs (npz_file.py, safetensors_file.py, onnx_graph.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.late import late
from funkflow.tasks.storage.arrow_arrays import as_column

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = late("pandas")


class ModelArrays(NamedTuple):
    """A model as arrays: rating = mean + b_u + b_i + <u, v>. Row j of a side belongs to its j-th raw id.

    Attributes
    ----------
    mean : float
        µ, in rating units; 0 for a model trained without centring.
    user_biases, item_biases : float32 (n,)
    user_factors, item_factors : float32 (n, k)
    user_ids, item_ids : int64 (n,), or object (n,) for ids that are texts
    """

    mean: float
    user_biases: npt.NDArray[np.float32]
    item_biases: npt.NDArray[np.float32]
    user_factors: npt.NDArray[np.float32]
    item_factors: npt.NDArray[np.float32]
    user_ids: npt.NDArray[Any]
    item_ids: npt.NDArray[Any]


class ModelTables(NamedTuple):
    """The two sides of a model as Arrow tables.

    Attributes
    ----------
    users, items : pyarrow.Table
        `raw_id` int64 or string, `bias` float32, `factors` fixed-size list of k float32.
    """

    users: pa.Table
    items: pa.Table


class ModelFrames(NamedTuple):
    """The two sides of a model as pandas frames.

    Attributes
    ----------
    users, items : pandas.DataFrame
        Raw ids are the index, called `user` or `item`; columns `bias`, `factor_0` to `factor_{k-1}`, float32.
    """

    users: pd.DataFrame
    items: pd.DataFrame


class Forms:
    """The forms of a model in memory, for `Model`, which has the arrays."""

    mean: float
    user_biases: npt.NDArray[np.float32]
    item_biases: npt.NDArray[np.float32]
    user_factors: npt.NDArray[np.float32]
    item_factors: npt.NDArray[np.float32]
    user_ids: npt.NDArray[Any]
    item_ids: npt.NDArray[Any]

    def to_numpy(self) -> ModelArrays:
        """Return the model as arrays, which are the model's own: copy them before you change them.

        Returns
        -------
        ModelArrays
            `mean`, biases float32 (n,), factors float32 (n, k), and raw ids (n,), of users and items.
        """
        return ModelArrays(*(getattr(self, name) for name in ModelArrays._fields))

    def to_arrow(self) -> ModelTables:
        """Return users and items as Arrow tables. Numbers are not copied; ids that are texts are.

        Returns
        -------
        ModelTables
            `users` and `items`: columns `raw_id`, `bias` float32, `factors` fixed-size list of k float32.
        """
        return ModelTables(
            factor_table(_id_column(self.user_ids), self.user_biases, self.user_factors),
            factor_table(_id_column(self.item_ids), self.item_biases, self.item_factors),
        )

    def to_pandas(self) -> ModelFrames:
        """Return users and items as pandas frames, with raw ids as index. Factors are not copied.

        Returns
        -------
        ModelFrames
            `users` and `items`: columns `bias`, `factor_0` to `factor_{k-1}`, float32.
        """
        return ModelFrames(
            _frame("user", self.user_ids, self.user_biases, self.user_factors),
            _frame("item", self.item_ids, self.item_biases, self.item_factors),
        )


def factor_table(raw_ids: pa.Array, biases: npt.NDArray[np.float32], factors: npt.NDArray[np.float32]) -> pa.Table:
    """Return one side of a model, or some rows of it, as a table: raw_id, bias, factors as a fixed-size list.

    raw_ids (n,); biases float32 (n,); factors float32 (n, k). Numbers are not copied.
    """
    flat = as_column(np.ascontiguousarray(factors, dtype=np.float32).ravel())
    return pa.table(
        {
            "raw_id": raw_ids,
            "bias": as_column(np.asarray(biases, dtype=np.float32)),
            "factors": pa.FixedSizeListArray.from_arrays(flat, factors.shape[1]),
        }
    )


def _id_column(ids: npt.NDArray[Any]) -> pa.Array:
    return as_column(ids) if np.issubdtype(ids.dtype, np.integer) else pa.array(ids)


def _frame(
    side: str, ids: npt.NDArray[Any], biases: npt.NDArray[np.float32], factors: npt.NDArray[np.float32]
) -> pd.DataFrame:
    names = [f"factor_{number}" for number in range(factors.shape[1])]
    frame = pd.DataFrame(factors, index=pd.Index(ids, name=side), columns=names, copy=False)
    frame.insert(0, "bias", biases)
    return frame
