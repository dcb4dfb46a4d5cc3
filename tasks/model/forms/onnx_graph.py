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

import io
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
    model = _graph(onnx, of)
    onnx.helper.set_model_props(model, dict(metadata))
    files.remove_tree(url)
    beside = f"{url}.data"
    files.remove_tree(beside)
    # Each table goes straight into the model: a list of tensors would be copied twice on its way.
    if sum(table.bytes for table in tables) > INLINE_BYTES:
        _add_beside(onnx, model.graph, tables, beside)
    else:
        _add_inside(onnx, model.graph, tables)
    files.write_bytes(url, model.SerializeToString(deterministic=True))


def _graph(onnx: Any, of: Scoring) -> Any:
    """Return the model without its tables."""
    helper, number, row = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    inputs = [helper.make_tensor_value_info(side, row, ["N"]) for side in ("user", "item")]
    outputs = [helper.make_tensor_value_info("score", number, ["N"])]
    graph = helper.make_graph(_nodes(helper, of), "score", inputs, outputs, _constants(onnx, of))
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, producer_name="funkflow", opset_imports=[opset], ir_version=_IR)


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


def _add_inside(onnx: Any, graph: Any, tables: Sequence[Column]) -> None:
    """Put the tables into the graph."""
    for table in tables:
        numbers = io.BytesIO()
        for piece in table.pieces():
            numbers.write(piece)
        _add(onnx, graph, table).raw_data = numbers.getvalue()


def _add_beside(onnx: Any, graph: Any, tables: Sequence[Column], url: str) -> None:
    """Write the tables into one file beside the graph, each at an aligned place; refer to them in the graph."""
    place = 0
    with streamed(url) as file:
        for table in tables:
            padding = -place % _ALIGNMENT
            file.write(bytes(padding))
            place += padding
            for piece in table.pieces():
                file.write(piece)
            tensor = _add(onnx, graph, table)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            where = {"location": url.rsplit("/", 1)[-1], "offset": place, "length": table.bytes}
            for key, value in where.items():
                tensor.external_data.add(key=key, value=str(value))
            place += table.bytes


def _add(onnx: Any, graph: Any, table: Column) -> Any:
    """Return the table's tensor in the graph, without its numbers."""
    return graph.initializer.add(name=table.name, data_type=onnx.TensorProto.FLOAT, dims=table.shape)
