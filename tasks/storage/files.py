"""Bytes in and out of any fsspec store: whole files, written atomically, with checksums.

Covers: local paths and URLs alike; Parquet tables and JSON; nothing is ever pickled.
Does not cover: arrays (npy.py), what is behind a URL (filesystems.py), what the files mean, or when a folder
counts as published (pipeline/root/store.py).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.redact import masked
from funkflow.tasks.storage.filesystems import filesystem, is_object_store, reaching, streamed

CHECKSUM_BYTES = 16
_BESIDE = re.compile(r".+\.[0-9a-f]{32}\.part")
_SEAL = "seal"


def join(folder: str, *parts: str) -> str:
    """Join a local folder or URL with relative parts, always by '/'."""
    return posixpath.join(folder, *parts)


def checksum(data: bytes | memoryview) -> str:
    """Return a 128-bit BLAKE2b digest in hex: the content address used throughout."""
    return checksum_of([data])


def checksum_of(blocks: Iterable[bytes | memoryview]) -> str:
    """Return the checksum of bytes that come block by block."""
    digest = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def write_bytes(url: str, data: bytes | memoryview) -> None:
    """Write a whole file so that a reader sees all of it or none."""
    with opened_for_writing(url) as file:
        file.write(data)


@contextmanager
def opened_for_writing(url: str) -> Iterator[IO[bytes]]:
    """Yield a file to write in one go; a reader sees all of it or none, and none if the body fails.

    A local file is written beside its place and moved over it; on object stores one PUT is atomic by itself.
    """
    system, path = filesystem(url)
    if is_object_store(system):
        buffer = io.BytesIO()
        yield buffer
        with reaching(url):
            system.pipe_file(path, buffer.getvalue())
        return
    with streamed(url) as file:
        yield file


def cut_off(folder: str) -> list[str]:
    """Return the files under a local folder that a writer left which was killed: none of them counts."""
    return [
        os.path.join(place, name) for place, _, inside in os.walk(folder) for name in inside if _BESIDE.fullmatch(name)
    ]


def read_bytes(url: str, expected_checksum: str | None = None) -> bytes:
    """Read a whole file; with `expected_checksum`, refuse one that does not match."""
    data = bytes_if_there(url)
    if data is None:
        raise DamagedFile(f"{masked(url)}: the file is missing; run again to make it anew")
    if expected_checksum is not None and checksum(data) != expected_checksum:
        raise DamagedFile(
            f"{masked(url)}: {len(data)} bytes do not match checksum {expected_checksum}; "
            "the file is damaged, delete it and run again"
        )
    return data


def bytes_if_there(url: str) -> bytes | None:
    """Read a whole file; None if there is none."""
    system, path = filesystem(url)
    try:
        with reaching(url):
            data: bytes = system.cat_file(path)
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise DamagedFile(f"{masked(url)}: cannot be read ({cause.strerror or cause})") from cause
    return data


def exists(url: str) -> bool:
    """Say whether a file or folder is there."""
    system, path = filesystem(url)
    with reaching(url):
        return bool(system.exists(path))


def size(url: str) -> int:
    """Return the bytes of a file; -1 if it is not there."""
    system, path = filesystem(url)
    try:
        with reaching(url):
            return int(system.size(path))
    except FileNotFoundError:
        return -1


def sizes(folder: str) -> dict[str, int]:
    """Return the bytes (0 for a folder) of all that lies in a folder, by name; nothing if there is no such folder."""
    system, path = filesystem(folder)
    try:
        with reaching(folder):
            entries = sorted(system.ls(path, detail=True), key=lambda entry: str(entry["name"]))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {
        entry["name"].rstrip("/").rsplit("/", 1)[-1]: 0 if entry["type"] == "directory" else int(entry["size"])
        for entry in entries
    }


def sizes_below(folder: str) -> dict[str, int]:
    """Return the bytes of all files in a folder and below, by their paths from there; nothing if it is not there."""
    system, path = filesystem(folder)
    try:
        with reaching(folder):
            found: dict[str, dict[str, Any]] = system.find(path, detail=True)
    except FileNotFoundError:
        return {}
    start = len(path.rstrip("/")) + 1
    return {name[start:]: int(found[name]["size"]) for name in sorted(found)}


def names(folder: str) -> list[str]:
    """Return the names of what lies in a folder, sorted; none for a folder that is not there."""
    return list(sizes(folder))


def tree_bytes(folder: str) -> int:
    """Return the bytes of all files in a folder and in those below it; 0 if there is none."""
    system, path = filesystem(folder)
    with suppress(FileNotFoundError), reaching(folder):
        return int(system.du(path))
    return 0


def remove_tree(url: str) -> None:
    """Remove a folder and all in it, or a file; what is not there is no error."""
    system, path = filesystem(url)
    with suppress(FileNotFoundError), reaching(url):
        system.rm(path, recursive=True)


def write_table(
    url: str,
    table: pa.Table,
    row_group_rows: int | None = None,
    compression: str = "zstd",
    dictionaries: bool | list[str] = True,
) -> str:
    """Write one Parquet file and return its checksum. The same table gives the same bytes.

    `dictionaries` : columns of which repeated values are looked for; True: all.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=row_group_rows, compression=compression, use_dictionary=dictionaries)
    data = memoryview(sink.getvalue())
    write_bytes(url, data)
    return checksum(data)


def stream_table(url: str, table: pa.Table, statistics: list[str]) -> None:
    """Write one uncompressed Parquet file of numbers too long to be held once more, and without a checksum.

    `statistics` : columns of which least and greatest values are kept.
    """
    with opened_for_writing(url) as file:
        pq.write_table(table, file, compression="none", use_dictionary=False, write_statistics=statistics)


def read_table(url: str, columns: list[str] | None = None, expected_checksum: str | None = None) -> pa.Table:
    """Read one Parquet file that funkflow wrote."""
    data = read_bytes(url, expected_checksum)
    try:
        # One thread: tasks are what runs side by side here, and Arrow's own pool may outlive the interpreter's end.
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        return file.read(columns=columns, use_threads=False)
    except (pa.ArrowInvalid, OSError) as cause:
        raise DamagedFile(f"{masked(url)}: not a readable Parquet file ({cause}); delete it and run again") from cause


def write_json(url: str, content: Any) -> None:
    """Write JSON with sorted keys, so that equal content gives equal bytes."""
    write_bytes(url, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def read_json(url: str) -> Any:
    """Read JSON; a file that is cut short or not JSON is a DamagedFile."""
    return _parsed(url, read_bytes(url))


def json_if_there(url: str) -> Any:
    """Read JSON, as `read_json` does; None if there is no such file."""
    data = bytes_if_there(url)
    return None if data is None else _parsed(url, data)


def write_sealed(url: str, content: dict[str, Any]) -> None:
    """Write JSON, as `write_json` does, with the checksum of all of it under "seal"."""
    write_json(url, {**content, _SEAL: _seal_of(content)})


def without_seal(url: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return what `write_sealed` was given, from what was read at `url`.

    Raises
    ------
    DamagedFile
        It was changed since it was written.
    """
    inner = {key: value for key, value in content.items() if key != _SEAL}
    if content.get(_SEAL) != _seal_of(inner):
        raise DamagedFile(
            f"{masked(url)}: changed since it was written, its content does not match its seal; "
            "delete its folder and run again"
        )
    return inner


def _seal_of(content: dict[str, Any]) -> str:
    # Read back first: numbers as keys would be in another order as what they are in JSON, texts.
    as_read = json.loads(json.dumps(content))
    return checksum(json.dumps(as_read, sort_keys=True).encode())


def _parsed(url: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as cause:
        raise DamagedFile(f"{masked(url)}: not readable JSON ({cause}); delete its folder and run again") from cause
