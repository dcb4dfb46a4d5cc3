"""An index of the datasets and of the grids under a root: a few facts of each, so that a run reads few manifests.

Covers: `index/datasets.json` and `index/grids.json`, which each look-up brings up to date.
Does not cover: the choice by these facts (pipeline/datasets/parent.py, pipeline/stages/grid.py), the manifests
(manifests.py).

An index is a copy, and may be deleted. A look-up reads the manifests of new folders and drops folders that are gone, so
nobody else has to update it. Facts stay true: an id is a hash of the content of its folder.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from funkflow.pipeline.root.store import FORMAT_VERSION, Store, notes
from funkflow.pipeline.root.typed_json import Manifest
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files

_Kind = TypeVar("_Kind", bound=Manifest)
_Facts = TypeVar("_Facts")


def facts_of_all(store: Store, kind: type[_Kind], facts_of: Callable[[_Kind], _Facts]) -> dict[str, _Facts]:
    """Return the facts of all folders of a kind, sorted by their ids; the caller must hold the root.

    Parameters
    ----------
    kind : `Dataset` or `Grid`.
    facts_of : makes facts from a manifest: JSON that never changes.
    """
    url = files.join(store.root, "index", f"{kind.kind}s.json")
    known: dict[str, _Facts] = notes(url, "facts")
    found: dict[str, _Facts] = {}
    for name in files.names(files.join(store.root, f"{kind.kind}s")):
        if name in known:
            found[name] = known[name]
            continue
        with suppress(DamagedFile):  # an unreadable folder is of no use
            manifest = kind.unchecked(files.join(store.root, f"{kind.kind}s", name))
            if manifest is not None:
                found[name] = facts_of(manifest)
    if found != known:
        files.write_json(url, {"format_version": FORMAT_VERSION, "facts": found})
    return found
