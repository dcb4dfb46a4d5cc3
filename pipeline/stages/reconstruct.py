"""Reconstruct: the whole matrix A_ρ of a saved model, written piece by piece as Parquet or Zarr.

Covers: cutting the rows to pieces, one task each; the refusal if the disk is too small; resuming an earlier attempt.
Does not cover: the products (tasks/model/low_rank.py), the same without writing (pipeline/models/lazy_array.py), single
cells, rows and columns (`Model.reconstruct`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.canonical_graph import rotations_of, saved_rotations, spectrum_id
from funkflow.pipeline.planning.budget import available_disk_bytes
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.progress.words import format_bytes
from funkflow.pipeline.root.model_manifests import Reconstruction
from funkflow.pipeline.root.store import SCRATCH, content_id, sweep
from funkflow.tasks.errors import CannotFit, SettingsError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.canonical import Rotations, check_rank
from funkflow.tasks.model.low_rank import ItemSide
from funkflow.tasks.model.parts import ModelPart, ModelParts
from funkflow.tasks.model.pieces import ITEM_BYTES, Cut, cut_rows, multiplied_out, read_item_side, rows_of
from funkflow.tasks.storage import files, zarr_arrays

_STAGE = "reconstruct"

PIECE_BYTES = 32 * 2**20
"""The default size of the ratings that one task makes."""

Form = Literal["parquet", "zarr"]


@dataclass(frozen=True)
class ReconstructOptions:
    """The matrix to write, and its form.

    Attributes
    ----------
    form : "parquet": `reconstruction.parquet`, a row for each user: its raw id, and its float32 ratings as a list in
        the order of `items.parquet`. "zarr": `reconstruction.zarr`, a group of `ratings` (users, items), `user` and
        `item`.
    rank : ρ, the number of the strongest factors that count; None: all.
    clip : clip to the model's scale.
    piece_bytes : ratings that one task makes, in bytes; a task needs some three times that.
    """

    form: Form = "parquet"
    rank: int | None = None
    clip: bool = True
    piece_bytes: int = PIECE_BYTES

    def require_package(self) -> None:
        """Raise SettingsError if the form needs a package that is not installed."""
        if self.form == "zarr":
            zarr_arrays.require_zarr()


@dataclass(frozen=True)
class Target:
    """The destination of the pieces: a folder, a form, the number of rows of a piece and of items of a row."""

    folder: str
    form: Form
    rows: int
    items: int

    def paths(self, cut: Cut) -> list[str]:
        """Return the files of a piece, from the folder."""
        if self.form == "parquet":
            return [f"reconstruction.parquet/part.{cut.number:06d}.parquet"]
        names = zarr_arrays.files_of_rows(cut.start, self.rows, self.items, ITEM_BYTES)
        return [f"reconstruction.zarr/{name}" for name in names]

    @property
    def zarr(self) -> str:
        return files.join(self.folder, "reconstruction.zarr")


@dataclass(frozen=True)
class _Product:
    """The product to write: a model by its `rank` strongest factors. `rotations` : None if all factors count."""

    parts: ModelParts
    rank: int
    clipped: bool
    rotations: Rotations | None


def reconstruct(
    context: Context,
    model_folder: str,
    folder: str,
    options: ReconstructOptions = ReconstructOptions(),
) -> Reconstruction:
    """Write A_ρ for all users and items into `folder`; pieces that are there are kept.

    Raises
    ------
    BadInput
        The model has fewer factors than `rank`.
    SettingsError
        `folder` holds something else, or Zarr is not installed.
    CannotFit
        The rest does not fit on the disk.
    """
    started = time.monotonic()
    about = read_about(model_folder)
    parts, kept = ModelParts.of(model_folder, about), check_rank(options.rank, int(about["rank"]))
    form = options.form
    options.require_package()
    clipped = options.clip and parts.scale is not None
    items = sum(parts.item_counts)
    rows = rows_of(options.piece_bytes, items)
    target = Target(folder, form, rows, items)
    wanted = content_id(
        what="reconstruction", spectrum=spectrum_id(about, False), rank=kept, clipped=clipped, form=form, rows=rows
    )
    manifest = Reconstruction.published(folder)
    reused = manifest is not None and manifest.id == wanted
    if manifest is None or not reused:
        cuts = cut_rows(parts.user_counts, rows)
        product = _Product(parts, kept, clipped, saved_rotations(model_folder, about) if kept < parts.rank else None)
        todo = _remaining(context, target, cuts, wanted)
        manifest = _write(context, product, target, cuts, todo, wanted=wanted)
    seconds = time.monotonic() - started
    size = format_bytes(manifest.bytes)
    context.notify(StageFinished(_STAGE, seconds, f"{size} of ratings in {folder}", reused))
    return manifest


def _remaining(context: Context, target: Target, cuts: list[Cut], wanted: str) -> list[Cut]:
    """Return the missing pieces; notify of their size, and refuse what the disk cannot hold."""
    scratch = files.join(target.folder, SCRATCH)
    plan = files.join(scratch, "plan.json")
    if files.exists(plan) and files.read_json(plan) == wanted:
        done = set(files.names(scratch))
        found = [cut for cut in cuts if _marker(cut) in done and _is_complete(target, cut)]
    elif set(files.names(target.folder)) - {SCRATCH}:
        raise SettingsError(
            f"{target.folder}: holds files other than this reconstruction; name another folder, or delete this one"
        )
    else:
        found = []
    kept = {cut.number for cut in found}
    todo = [cut for cut in cuts if cut.number not in kept]
    total, needed = (sum(cut.rows for cut in some) * target.items * ITEM_BYTES for some in (cuts, todo))
    free = available_disk_bytes(target.folder)
    if free is not None and needed > free:
        raise CannotFit(
            f"{target.folder}: the reconstruction needs {format_bytes(needed)} of disk, and {format_bytes(free)} is "
            "free; free some, name another folder, or reconstruct fewer rows or columns"
        )
    there = "" if free is None else f"; {format_bytes(free)} is free"
    before = f" ({len(kept):,} already written)" if kept else ""
    context.notify(Noticed(f"{format_bytes(total)} in {len(cuts):,} pieces{before} to {target.folder}{there}"))
    files.write_json(plan, wanted)
    return todo


def _write(
    context: Context, product: _Product, target: Target, cuts: list[Cut], todo: list[Cut], wanted: str
) -> Reconstruction:
    context.check_fits(_STAGE)
    context.notify(StageStarted(_STAGE, len(todo)))
    parts = product.parts
    if product.rank < parts.rank and product.rotations is None:
        product = replace(product, rotations=rotations_of(context, _STAGE, parts))
    item_ids = np.concatenate([_ids(*place) for place in parts.items])
    if target.form == "parquet":
        files.write_table(files.join(target.folder, "items.parquet"), pa.table({"raw_id": pa.array(item_ids)}))
    elif len(todo) == len(cuts):
        user_ids = np.concatenate([_ids(*place) for place in parts.users])
        zarr_arrays.make_arrays(target.zarr, user_ids, item_ids, target.rows, np.float32)
    run_all(context, _STAGE, "write-piece", write_piece, _piece_jobs(context, product, target, todo))
    own = ["items.parquet"] if target.form == "parquet" else ["reconstruction.zarr/zarr.json"]
    pieces = [path for cut in cuts for path in target.paths(cut)]
    cells = sum(parts.user_counts) * target.items
    manifest = Reconstruction(
        folder=target.folder, id=wanted, of="µ + b_u + b_i + U Vᵀ", rank=product.rank, clipped=product.clipped,
        form=target.form, users=sum(parts.user_counts), items=target.items, bytes=cells * ITEM_BYTES,
    ).publish([*own, *pieces])  # fmt: skip
    files.remove_tree(files.join(target.folder, SCRATCH))
    sweep(target.folder)
    return manifest


def _piece_jobs(context: Context, product: _Product, target: Target, todo: list[Cut]) -> Iterator[tuple[Any, ...]]:
    """Yield a job for each piece. A part is loaded once for its pieces, which are consecutive, and then released."""
    name = f"{context.attempt}-{time.monotonic_ns()}"
    submit, parts = context.client.submit, product.parts
    side = submit(
        read_item_side, parts, product.rotations, product.rank, product.clipped, key=f"item-side-{name}", pure=False
    )
    loaded: dict[int, Any] = {}
    for cut in todo:
        needed = [part for part, _, _ in cut.slices]
        loaded = {
            part: loaded.get(part) or submit(parts.user_part, part, key=f"load-users-{name}-{part}", pure=False)
            for part in needed
        }
        yield target, cut, side, *loaded.values()


def write_piece(target: Target, cut: Cut, side: ItemSide, *loaded: ModelPart) -> None:
    """Write one piece, and then its marker."""
    raw_ids, block = multiplied_out(cut, side, loaded)
    if target.form == "zarr":
        zarr_arrays.write_zarr_rows(target.zarr, cut.start, block)
    else:
        lists = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), target.items)
        table = pa.table({"raw_id": pa.array(raw_ids), "ratings": lists})
        # Predictions are close to random: the least and greatest of each list would take longer than all the rest.
        files.stream_table(files.join(target.folder, target.paths(cut)[0]), table, statistics=["raw_id"])
    files.write_json(files.join(target.folder, SCRATCH, _marker(cut)), _sizes(target, cut))


def _ids(url: str, checksum: str) -> npt.NDArray[Any]:
    return np.asarray(files.read_table(url, ["raw_id"], expected_checksum=checksum)["raw_id"].to_numpy())


def _marker(cut: Cut) -> str:
    return f"{cut.number:06d}.json"


def _sizes(target: Target, cut: Cut) -> dict[str, int]:
    return {path: files.size(files.join(target.folder, path)) for path in target.paths(cut)}


def _is_complete(target: Target, cut: Cut) -> bool:
    """Return whether the files of a piece still have the sizes in its marker."""
    return bool(_sizes(target, cut) == files.read_json(files.join(target.folder, SCRATCH, _marker(cut))))
