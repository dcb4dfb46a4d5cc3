"""What a root has, by a few facts of each manifest: so that a run reads those that it needs, and not all of them.

Covers: `index/datasets.json` and `index/grids.json`, which are made good each time they are asked.
Does not cover: what is chosen by these facts (pipeline/datasets/parent.py, pipeline/stages/grid.py), or manifests
themselves (store.py).

An index is a copy, and may be deleted. A folder that it does not know is looked into, one that is gone is left out, so
whoever removes or adds a folder need not know of it. Facts hold for good: an id is a hash of what a folder is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from funkflow.pipeline.root.store import FORMAT_VERSION, Store, manifest_of, notes
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files

Facts = dict[str, Any]


def facts_of_all(store: Store, kind: str, facts_of: Callable[[dict[str, Any]], Facts]) -> dict[str, Facts]:
    """Return the facts of all folders of a kind, by their ids, in the order of these.

    Only for who holds the root.

    Parameters
    ----------
    kind : "dataset" or "grid".
    facts_of : makes them from a manifest: what JSON can hold, and nothing that may change.
    """
    url = files.join(store.root, "index", f"{kind}s.json")
    known: dict[str, Facts] = notes(url, "facts")
    found: dict[str, Facts] = {}
    for name in files.names(files.join(store.root, f"{kind}s")):
        if name in known:
            found[name] = known[name]
            continue
        with suppress(DamagedFile):  # what cannot be read is of no use to anybody
            manifest = manifest_of(files.join(store.root, f"{kind}s", name), kind)
            if manifest is not None:
                found[name] = facts_of(manifest)
    if found != known:
        files.write_json(url, {"format_version": FORMAT_VERSION, "facts": found})
    return found
