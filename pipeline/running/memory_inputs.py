"""Ratings, validation ratings and features given in memory: written below the root, and named in the settings.

Covers: the words that stand for them in settings until then, writing on the workers what lies there, the folder by
content, and messages that name the argument in place of a file that nobody has seen.
Does not cover: what a table is, and its bytes (tasks/parsing/sources/tables.py), the root (execution.py: it is held).

    <root>/inputs/<id>/part-00000.parquet ...    id = hash of the checksums of all parts
    <root>/inputs/<id>/manifest.json             the last write
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask.base import compute
from dask.delayed import delayed
from distributed import Client

from funkflow.pipeline.cluster.errors import as_readable_errors
from funkflow.pipeline.cluster.software import refuse_other_software
from funkflow.pipeline.cluster.workers import refuse_blind_workers
from funkflow.pipeline.root.store import Store, content_id, nothing_half_written, publish, published
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.parsing.sources.tables import (
    PART_ROWS,
    PartFile,
    is_dask,
    part_url,
    refuse_other_kinds,
    write_partition,
    write_parts,
)
from funkflow.tasks.storage.filesystems import share

RATINGS, VALIDATION = "ratings=", "validation="
FEATURES = {"item_features=": "item_features", "user_features=": "user_features"}
"""Arguments, and their settings in [ingest]."""
_KIND = "inputs"


@dataclass
class MemoryInputs:
    """The tables of a run, by argument. `client` : writes the partitions of a Dask DataFrame; None: Dask's choice."""

    tables: Mapping[str, Any]
    client: Client | None = None
    _folders: dict[str, str] = field(default_factory=dict)
    """The argument of each folder that was written."""

    def written(self, settings: Settings, store: Store) -> Settings:
        """Write the tables; return the settings with their folders.

        Raises
        ------
        SettingsError
            One of them cannot be read as a table, or a worker cannot read the root.
        """
        named: dict[str, dict[str, Any]] = {"ingest": {}, "split": {}}
        ingest = named["ingest"]
        for name, table in self.tables.items():
            folder = _write(table, name, store, self.client)
            self._folders.setdefault(folder, name)
            if name == VALIDATION:
                named["split"]["file"] = folder
            else:
                ingest[FEATURES.get(name, "ratings")] = (folder,) if name == RATINGS else folder
        return settings.model_copy(
            update={part: getattr(settings, part).model_copy(update=new) for part, new in named.items() if new}
        )

    def renamed(self, words: str) -> str:
        """Return a message with arguments, and the numbers of their rows from 1, in place of files."""
        for folder, name in self._folders.items():
            in_order = not is_dask(self.tables[name])
            pattern = re.compile(re.escape(folder) + r"(?:/part-(\d{5})\.parquet(?::(\d+))?(?=(: no column)?))?")
            words = pattern.sub(lambda found, name=name, on=in_order: _place(found, name, on), words)  # type: ignore[misc]
        return words


def is_in_memory(given: Any, name: str) -> bool:
    """Return whether this is a table, and no path or list of paths; raise SettingsError for anything else."""
    if isinstance(given, (str, os.PathLike)):
        return False
    if isinstance(given, (list, tuple)) and all(isinstance(each, (str, os.PathLike)) for each in given):
        return False
    refuse_other_kinds(given, name)
    return True


def _place(found: re.Match[str], name: str, in_order: bool) -> str:
    part, row, no_column = found.groups()
    if part is None or no_column:
        return name
    if in_order:
        return f"{name} row {int(part) * PART_ROWS + int(row):,}" if row else name
    return f"{name} partition {int(part)}{f' row {int(row):,}' if row else ''}"


def _write(table: Any, name: str, store: Store, client: Client | None) -> str:
    """Write a table, if its files are not there; return their folder."""
    scratch = store.scratch(f"inputs-{uuid.uuid4().hex[:8]}")
    with nothing_half_written(temporary=(scratch,)):
        if is_dask(table):
            parts = _write_partitions(table, name, store, scratch, client)
        else:
            parts = write_parts(table, scratch, name)
        return _publish(parts, store)


def _publish(parts: Sequence[PartFile], store: Store) -> str:
    """Move files to the folder of their content, unless it is there."""
    parts_id = content_id(what=_KIND, parts=[part.checksum for part in parts])
    folder = store.inputs(parts_id)
    if published(folder, _KIND) is None:
        targets = [part_url(folder, number) for number in range(len(parts))]
        for part, target in zip(parts, targets, strict=True):
            share(part.url, target)
        names = [target.rpartition("/")[2] for target in targets]
        publish(folder, _KIND, id=parts_id, rows=sum(part.rows for part in parts), files=names)
    return folder


def _write_partitions(frame: Any, name: str, store: Store, scratch: str, client: Client | None) -> list[PartFile]:
    """Have each partition written where it is; only names, numbers of rows and checksums come here."""
    writer = delayed(write_partition, pure=False)
    jobs = [writer(each, part_url(scratch, number), name) for number, each in enumerate(frame.to_delayed())]
    with as_readable_errors(store.root):
        if client is None:
            parts = list(compute(*jobs))
        else:
            refuse_other_software(client)
            refuse_blind_workers(client, store.root)
            parts = client.gather(client.compute(jobs))
    return [part for part in parts if part.rows] or parts[:1]
