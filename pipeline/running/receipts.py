"""Receipts: the inputs and outputs of a finished execution, so that an equal one has nothing to do.

Covers: the comparison of inputs (by path, size and time, or an object store's tag), of results (by manifests and
sizes), of settings and code; the file of a receipt; and the inputs alone, to find new ones.
Does not cover: the lock and the ledger (execution.py), contents, which stages compare by checksum.

    <root>/receipts/<id>.json           id = hash of settings, last stage, funkflow's code, erased ids
    <root>/receipts/<id>.inputs.json    id = hash of settings and last stage

Any difference only means that the stages run, and each of them reuses by content what exists.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from funkflow.pipeline.root.code_version import code
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.store import FORMAT_VERSION, Store, content_id
from funkflow.pipeline.settings.effective import on_synthetic
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import IDLE_SECTIONS, Settings
from funkflow.tasks.errors import BadInput, DamagedFile
from funkflow.tasks.parsing.sources.sources import (
    StoredFile,
    checksum_all,
    checksum_ranges,
    find_companions,
    find_sources,
)
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files
from funkflow.tasks.storage.file_versions import is_settled

_UNSETTLED_BYTES = 256 * 2**20
"""Files written just before they were read are compared by content, up to so many bytes: a quarter second."""
_KNOWN_BY_CONTENT = ("manifest.json", "model.json")
_OF_ITS_TIME: dict[str, Any] = {"seconds": {}, "memory_bytes": {}, "peak_memory_bytes": 0, "worker_memory_bytes": 0}
_SECTIONS_OF_STAGES = ("ranking", "recommend", "predict", "report")
_OF_PATHS = {"predictions": "predictions", "recommendations": "recommendations"}


@dataclass(frozen=True)
class Receipt:
    """A receipt that still holds: the result, the summary of each stage, and the numbers of files."""

    result: RunResult
    stages: list[tuple[str, str]]
    inputs: int
    outputs: int


def receipt_url(store: Store, settings: Settings, request: Request) -> str:
    """Return the URL of the receipt of these settings up to a stage, whatever the cluster and later stages.

    The erased ids are part of its id, as results with other erased ids differ.
    """
    receipt_id = content_id(
        what="receipt",
        settings=settings.model_dump(mode="json", exclude=_without_effect(request)),
        until=request.until,
        code=code(),
        forgotten=files.checksum(files.bytes_if_there(store.forgotten) or b""),
    )
    return files.join(store.root, "receipts", f"{receipt_id}.json")


def _without_effect(request: Request) -> set[str]:
    """Return the sections without effect on the request: those of stages that it does not reach."""
    return {*IDLE_SECTIONS, *(name for name in _SECTIONS_OF_STAGES if not request.reaches(name))}


def inputs_url(store: Store, settings: Settings, request: Request) -> str:
    """Return the URL of the inputs that these settings have read up to a stage, with any code."""
    inputs_id = content_id(
        what="inputs", settings=settings.model_dump(mode="json", exclude=set(IDLE_SECTIONS)), until=request.until
    )
    return files.join(store.root, "receipts", f"{inputs_id}.inputs.json")


def files_read(settings: Settings, request: Request) -> list[StoredFile]:
    """List every file that the requested stages read, with its current version.

    settings : with the synthetic set, if any, among the ratings.
    """
    if not request.reaches("ingest"):
        return []
    sources = find_sources(settings.ingest.ratings, settings.split.file)
    entries = [
        *settings.ingest.deletions,
        *settings.ingest.files_of_known_pairs,
        settings.ingest.titles or find_companions(sources).get("titles", ""),
        settings.ingest.item_features,
        settings.ingest.user_features,
        settings.split.file,
        settings.predict.pairs if request.reaches("predict") else "",
    ]
    sources += find_sources([entry for entry in entries if entry]) if any(entries) else []
    return [stored for source in sources for stored in source.files]


class InputsRead:
    """The files that an execution is about to read, for the receipt."""

    def __init__(self, settings: Settings, request: Request) -> None:
        self._settings, self._request = settings, request
        self._before: list[StoredFile] = []
        self._sums: dict[str, str] = {}
        self.is_known = False
        with suppress(BadInput):  # the stage that misses a file reports it best
            self._before = files_read(settings, request)
            began = time.time_ns()
            unsettled = [each for each in self._before if not is_settled(each.version, each.changed_ns, began)]
            if all(each.version for each in self._before) and _bytes(unsettled) <= _UNSETTLED_BYTES:
                self._sums = {each.url: _sum(each) for each in unsettled}
                self.is_known = True

    def entries(self) -> list[list[Any]] | None:
        """Return the entries of the receipt; None if a file changed meanwhile, or a change could go unnoticed."""
        if not self.is_known or files_read(self._settings, self._request) != self._before:
            return None
        return [
            [files.checksum(each.url.encode()), each.name, each.bytes, each.version, self._sums.get(each.url)]
            for each in self._before
        ]


def write_inputs(url: str, inputs: InputsRead) -> None:
    """Write the inputs of an execution that ended well, unless they changed meanwhile."""
    entries = inputs.entries()
    if entries is not None:
        files.write_sealed(url, {"format_version": FORMAT_VERSION, "inputs": entries})


def inputs_if_nothing_came(url: str, store: Store, settings: Settings, request: Request) -> int | None:
    """Return the number of input files if none changed since these settings read them; else None."""
    try:
        content = files.json_if_there(url)
        if content is None or content.get("format_version") != FORMAT_VERSION:
            return None
        now = files_read(_with_synthetic(settings, store), request)
        return len(now) if _same_inputs(files.without_seal(url, content)["inputs"], now) else None
    except (AttributeError, BadInput, DamagedFile):
        return None


def write_receipt(
    url: str, store: Store, result: RunResult, stages: Sequence[tuple[str, str]], inputs: InputsRead
) -> None:
    """Write the receipt of an execution that ended well, unless its inputs changed meanwhile."""
    entries = inputs.entries()
    paths = {name: _below(store.root, path) for name, path in result.paths.items()}
    if entries is None or any(masked(path) != path for path in paths.values()):
        return
    outputs = dict(_outputs(store, result))
    known = [path for path in outputs if posixpath.basename(path) in _KNOWN_BY_CONTENT]
    content = {
        "format_version": FORMAT_VERSION,
        "inputs": entries,
        "outputs": outputs,
        "checksums": {path: files.checksum(files.read_bytes(files.join(store.root, path))) for path in known},
        "stages": [list(each) for each in stages],
        "result": {
            **result.to_dict(),
            "paths": list(paths.items()),
            **_OF_ITS_TIME,
        },
    }
    files.write_sealed(url, content)


def answer(url: str, store: Store, settings: Settings, request: Request) -> Receipt | None:
    """Return the receipt if it still holds; None if there is, or may be, something to do."""
    try:
        content = files.json_if_there(url)
        if content is None or content.get("format_version") != FORMAT_VERSION:
            return None
        content = files.without_seal(url, content)
        now = files_read(_with_synthetic(settings, store), request)
        if not _same_inputs(content["inputs"], now):
            return None
    except (AttributeError, BadInput, DamagedFile):
        return None
    if not _are_whole(store.root, content["outputs"]):
        return None
    if any(_checksum(store.root, path) != checksum for path, checksum in content["checksums"].items()):
        return None
    paths = {name: files.join(store.root, path) for name, path in content["result"]["paths"]}
    result = RunResult(**{**content["result"], "paths": paths})
    stages = [(stage, summary) for stage, summary in content["stages"]]
    return Receipt(result, stages, len(now), len(content["outputs"]))


def _with_synthetic(settings: Settings, store: Store) -> Settings:
    return on_synthetic(settings, settings.synth.folder_under(store.root)) if settings.synth else settings


def _same_inputs(entries: list[list[Any]], now: list[StoredFile]) -> bool:
    found = [[files.checksum(each.url.encode()), each.name, each.bytes, each.version] for each in now]
    if found != [entry[:-1] for entry in entries]:
        return False
    return all(entry[-1] is None or entry[-1] == _sum(each) for entry, each in zip(entries, now, strict=True))


def _outputs(store: Store, result: RunResult) -> Iterable[tuple[str, int]]:
    """Yield the files that the execution wrote or reused, by their paths from the root, with their bytes."""
    for name in ("raw", "dataset", "split", "grid"):
        if name in result.paths:
            yield from _sizes_below(store.root, result.paths[name])
    if "grid" in result.paths:
        manifest = files.read_json(files.join(result.paths["grid"], "manifest.json"))
        for path, size in manifest["files"].items():
            whole = posixpath.normpath(posixpath.join(_below(store.root, result.paths["grid"]), path))
            yield whole, size
    if "run" in result.paths:
        run = _below(store.root, result.paths["run"])
        for path, size in _sizes_below(store.root, result.paths["run"]):
            # Files directly in a run's folder describe the run; stages write into their own folders.
            folder, *inside = path.removeprefix(f"{run}/").split("/")
            kept = next((key for key, name in _OF_PATHS.items() if folder.startswith(name)), "")
            if inside and (not kept or _below(store.root, result.paths.get(kept, "")) == f"{run}/{folder}"):
                yield path, size


def _sizes_below(root: str, folder: str) -> Iterable[tuple[str, int]]:
    for path, size in files.sizes_below(folder).items():
        yield _below(root, files.join(folder, path)), size


def _are_whole(root: str, outputs: dict[str, int]) -> bool:
    folders: dict[str, dict[str, int]] = {}
    for path, size in outputs.items():
        folders.setdefault(posixpath.dirname(path), {})[posixpath.basename(path)] = size
    for folder, expected in folders.items():
        there = files.sizes(files.join(root, folder))
        if any(there.get(name) != size for name, size in expected.items()):
            return False
    return True


def _checksum(root: str, path: str) -> str | None:
    try:
        data = files.bytes_if_there(files.join(root, path))
    except DamagedFile:
        return None
    return None if data is None else files.checksum(data)


def _below(root: str, path: str) -> str:
    return path.removeprefix(f"{root.rstrip('/')}/")


def _sum(stored: StoredFile) -> str:
    return files.checksum("".join(checksum_all(checksum_ranges(stored))).encode())


def _bytes(stored: Iterable[StoredFile]) -> int:
    return sum(each.bytes for each in stored)
