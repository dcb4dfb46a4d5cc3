"""A saved model as one file for other programs: npz, safetensors or ONNX.

Covers: the columns of the file, read from the parts of the model block by block, and its metadata.
Does not cover: the files (tasks/model/forms/), the model's own form (tasks/model/model.py), an index of its items
(item_index.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.pipeline.root.disk_errors import as_disk_errors
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.about import SIDES, About, Place, SideName, part_files, read_about, scale_of
from funkflow.tasks.model.forms import columns, npz_file, onnx_graph, safetensors_file
from funkflow.tasks.model.forms.columns import Column
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import numbers_of
from funkflow.tasks.storage.filesystems import filesystem
from funkflow.tasks.versions import ALGORITHM_VERSION

FormName = Literal["npz", "safetensors", "onnx"]
_BLOCK_ROWS = 65_536
_IDS = ".ids.npz"


@dataclass(frozen=True)
class _Side:
    """One side of a saved model, whose columns are read block by block."""

    name: SideName
    places: Sequence[Place]
    rows: int
    rank: int
    has_texts: bool

    def columns(self) -> list[Column]:
        """Return biases float32 (n,) and factors float32 (n, k)."""
        number = np.dtype(np.float32)
        return [
            Column(f"{self.name}_biases", number, (self.rows,), lambda: map(numbers_of, self._blocks("bias"))),
            Column(f"{self.name}_factors", number, (self.rows, self.rank), self._factors),
        ]

    def ids(self) -> Column:
        """Return the raw ids (n,): int64, or Unicode of one width."""
        name = f"{self.name}_ids"
        if self.has_texts:
            return columns.of_one_width(name, self.rows, self._raw_ids)
        return Column(name, np.dtype(np.int64), (self.rows,), lambda: map(numbers_of, self._raw_ids()))

    def ids_without_width(self) -> list[Column]:
        """Return the raw ids as int64 (n,), or as UTF-8 with offsets."""
        return list(columns.as_utf8(f"{self.name}_ids", self.rows, self._raw_ids)) if self.has_texts else [self.ids()]

    def _blocks(self, column: str) -> Iterator[pa.ChunkedArray]:
        for url, checksum in self.places:
            for table in files.read_batches(url, [column], checksum, _BLOCK_ROWS):
                yield table[column]

    def _raw_ids(self) -> Iterator[pa.ChunkedArray]:
        return self._blocks("raw_id")

    def _factors(self) -> Iterator[npt.NDArray[np.float32]]:
        return (numbers_of(pc.list_flatten(block)).reshape(-1, self.rank) for block in self._blocks("factors"))


def write_form(model_folder: str, form: FormName, out: str) -> dict[str, Any]:
    """Write the model in `model_folder` as the file `out`, which appears once it is whole; return its metadata.

    An ONNX file has the raw ids beside it, in `<out>.ids.npz`.

    Raises
    ------
    SettingsError
        `out` is a folder or cannot be written, there is no model, or a package is missing.
    """
    if form == "onnx":
        onnx_graph.require_onnx()
    about = read_about(model_folder)
    system, path = filesystem(out)
    if system.isdir(path):
        raise SettingsError(f"--out {out}: is a folder; name a file")
    sides = [_side(model_folder, side, about) for side in SIDES]
    numbers = [column for side in sides for column in side.columns()]
    content = _metadata(about, sides)
    as_texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}
    as_json = columns.single_value("metadata", json.dumps(content))
    ids = [side.ids() for side in sides] if form != "safetensors" else []
    with as_disk_errors(out):
        if form == "npz":
            npz_file.write_npz(out, [columns.single_value("mean", content["mean"]), *numbers, *ids, as_json])
        elif form == "safetensors":
            with_ids = [*numbers, *(column for side in sides for column in side.ids_without_width())]
            safetensors_file.write_safetensors(out, with_ids, as_texts)
        else:
            npz_file.write_npz(f"{out}{_IDS}", [*ids, as_json])
            clip = scale_of(about) if content["clip"] else None
            onnx_graph.write_onnx(
                out, numbers, onnx_graph.Scoring(content["mean"], clip, content["transform"]), as_texts
            )
    return content


def _side(folder: str, name: SideName, about: About) -> _Side:
    rows = sum(part["rows"] for part in about["parts"][name])
    return _Side(name, part_files(folder, name, about), rows, about["rank"], about["id_types"][name] == "string")


def _metadata(about: About, sides: Sequence[_Side]) -> dict[str, Any]:
    """Return the facts that a reader needs for scores, and where the model comes from.

    `clip` : whether scores are clipped to `scale`, which the scores of a ranking are not.
    """
    goal = about.get("goal", "ratings")
    return {
        "kind": "funkflow model",
        "funkflow": metadata.version("funkflow"),
        "algorithm": ALGORITHM_VERSION,
        "run_id": about.get("run_id", ""),
        "goal": goal,
        "mean": float(about["mean"]),
        "scale": about["scale"],
        "clip": about["scale"] is not None and goal == "ratings",
        "transform": about.get("transform", "none"),
        "rank": about["rank"],
        **{f"{side.name}s": side.rows for side in sides},
    }
