"""A two-tower scoring graph in ONNX: rows of users and items in, scores out.

Covers: the graph, and its numbers inside the file or beside it. onnx is an optional extra.
Does not cover: the columns (columns.py), which scores are clipped (pipeline/models/saved_forms.py).

    user (N,) int64 ─ rows of factors and biases ┐
                                                  ├─ mean + b_u + b_i + <u, v> ─ clip ─ score (N,) float32
    item (N,) int64 ─ rows of factors and biases ┘

Row -1 is a user or an item that the model does not have: each table ends with a row of zeros, and ONNX counts negative
rows from the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funkflow.tasks.late import required
from funkflow.tasks.model.forms.columns import Column
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import streamed
from funkflow.tasks.transform import Transform

INLINE_BYTES = 2**28
"""Numbers of more bytes lie beside the graph. Writing the others takes up to three times as much memory, and no file of
protobuf can have more than 2 GiB."""
_ALIGNMENT = 2**16
"""Of a table beside the graph, so that readers can map it into memory."""
_OPSET, _IR = 17, 8


@dataclass(frozen=True)
class Scoring:
    """The formula of a score. `clip` : its bounds, on the scale of training; None: it is not clipped."""

    mean: float
    clip: tuple[float, float] | None
    transform: Transform


def require_onnx() -> Any:
    """Return the package onnx; raise SettingsError if it is not installed."""
    return required("onnx", "--form onnx", "onnx")


def write_onnx(url: str, columns: Sequence[Column], of: Scoring, metadata: Mapping[str, str]) -> None:
    """Write the graph over the tables user_factors, item_factors, user_biases and item_biases.

    Tables of more than INLINE_BYTES together go to `<url>.data`. The graph is written last: without it, nothing
    beside it is a model.
    """
    onnx = require_onnx()
    tables = [column.with_zero_row() for column in columns]
    files.remove_tree(url)
    beside = f"{url}.data"
    if sum(table.bytes for table in tables) > INLINE_BYTES:
        tensors = _write_beside(onnx, beside, tables)
    else:
        files.remove_tree(beside)
        tensors = [_tensor(onnx, table, raw_data=b"".join(table.pieces())) for table in tables]
    helper = onnx.helper
    number, row = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    graph = helper.make_graph(
        _nodes(helper, of), "score",
        [helper.make_tensor_value_info(side, row, ["N"]) for side in ("user", "item")],
        [helper.make_tensor_value_info("score", number, ["N"])],
        [*tensors, *_constants(onnx, of)],
    )  # fmt: skip
    model = helper.make_model(
        graph, producer_name="funkflow", opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR
    )
    helper.set_model_props(model, dict(metadata))
    files.write_bytes(url, model.SerializeToString(deterministic=True))


def _nodes(helper: Any, of: Scoring) -> list[Any]:
    """Return the nodes in order; the last one's output is the score."""
    steps: list[tuple[str, list[str], str]] = [
        *(("Gather", [f"{side}_{table}", side], f"{side}_row_{table}")
          for side in ("user", "item") for table in ("factors", "biases")),
        ("Mul", ["user_row_factors", "item_row_factors"], "products"),
        ("ReduceSum", ["products", "last_axis"], "product"),
        ("Add", ["user_row_biases", "mean"], "with_user"),
        ("Add", ["with_user", "item_row_biases"], "with_item"),
        ("Add", ["with_item", "product"], "scored"),
    ]  # fmt: skip
    if of.clip is not None:
        steps.append(("Clip", ["scored", "least", "greatest"], "clipped"))
    if of.transform == "log1p":
        steps += [("Exp", [steps[-1][2]], "one_more"), ("Sub", ["one_more", "one"], "rating")]
    steps[-1] = (*steps[-1][:2], "score")
    options = {"ReduceSum": {"keepdims": 0}}
    return [helper.make_node(kind, given, [made], **options.get(kind, {})) for kind, given, made in steps]


def _constants(onnx: Any, of: Scoring) -> list[Any]:
    values: dict[str, Any] = {"mean": np.float32(of.mean), "last_axis": np.array([1], np.int64)}
    if of.clip is not None:
        values |= {"least": np.float32(of.clip[0]), "greatest": np.float32(of.clip[1])}
    if of.transform == "log1p":
        values["one"] = np.float32(1)
    return [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def _write_beside(onnx: Any, url: str, tables: Sequence[Column]) -> list[Any]:
    """Write the tables into one file beside the graph, each at an aligned place; return what refers to them."""
    tensors, place = [], 0
    with streamed(url) as file:
        for table in tables:
            padding = -place % _ALIGNMENT
            file.write(bytes(padding))
            place += padding
            for piece in table.pieces():
                file.write(piece)
            where = {"location": url.rsplit("/", 1)[-1], "offset": place, "length": table.bytes}
            tensor = _tensor(onnx, table, data_location=onnx.TensorProto.EXTERNAL)
            for key, value in where.items():
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            place += table.bytes
    return tensors


def _tensor(onnx: Any, table: Column, **content: Any) -> Any:
    return onnx.TensorProto(name=table.name, data_type=onnx.TensorProto.FLOAT, dims=table.shape, **content)
