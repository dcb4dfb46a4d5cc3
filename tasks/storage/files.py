"""Read and write whole files in any fsspec store, atomically and with checksums.

Covers: local paths and URLs; Parquet tables and JSON. Nothing is ever pickled.
Does not cover: arrays (npy.py), file systems (filesystems.py), the meaning of files, or publishing folders
(pipeline/root/store.py).
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
from typing import IO, TYPE_CHECKING, Any

from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked
from funkflow.tasks.storage.filesystems import filesystem, is_object_store, reaching, streamed

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:  # most commands read and write JSON alone
    pa, pq = late("pyarrow"), late("pyarrow.parquet")

CHECKSUM_BYTES = 16
_PART_FILE = re.compile(r".+\.[0-9a-f]{32}\.part")
_SEAL = "seal"

JsonObject = dict[str, Any]
"""A JSON object, as files hold it."""


def join(folder: str, *parts: str) -> str:
    """Join a local folder or URL with relative parts, always by '/'."""
    return posixpath.join(folder, *parts)


def checksum(data: bytes | memoryview) -> str:
    """Return a 128-bit BLAKE2b digest in hex: the content address of all files."""
    return checksum_of([data])


def checksum_of(blocks: Iterable[bytes | memoryview]) -> str:
    """Return the checksum of bytes in blocks."""
    digest = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def write_bytes(url: str, data: bytes | memoryview) -> None:
    """Write a whole file; a reader sees all of it or none."""
    with opened_for_writing(url) as file:
        file.write(data)


@contextmanager
def opened_for_writing(url: str) -> Iterator[IO[bytes]]:
    """Yield a file to write; a reader sees all of it or none, and none if the body fails.

    Local files are written beside their final path and then moved; object stores take one PUT, which is atomic.
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


def unfinished_files(folder: str) -> list[str]:
    """Return the unfinished files that killed writers left under a local folder."""
    return [
        os.path.join(place, name)
        for place, _, inside in os.walk(folder)
        for name in inside
        if _PART_FILE.fullmatch(name)
    ]


def read_bytes(url: str, expected_checksum: str | None = None) -> bytes:
    """Read a whole file; refuse it if `expected_checksum` does not match."""
    data = bytes_if_there(url)
    if data is None:
        raise DamagedFile(f"{masked(url)}: the file is missing; run again to make it again")
    if expected_checksum is not None and checksum(data) != expected_checksum:
        raise DamagedFile(
            f"{masked(url)}: {len(data)} bytes do not match checksum {expected_checksum}; "
            "the file is damaged, delete it and run again"
        )
    return data


def bytes_if_there(url: str) -> bytes | None:
    """Read a whole file; return None if it does not exist."""
    system, path = filesystem(url)
    try:
        with reaching(url):
            data: bytes = system.cat_file(path)
    except FileNotFoundError:
        return None
    except NotADirectoryError as cause:
        raise SettingsError(f"{masked(url.rpartition('/')[0])}: is a file, or in one; name a folder") from cause
    except OSError as cause:
        raise DamagedFile(f"{masked(url)}: cannot be read ({cause.strerror or cause})") from cause
    return data


def exists(url: str) -> bool:
    """Return whether a file or folder exists."""
    system, path = filesystem(url)
    with reaching(url):
        return bool(system.exists(path))


def size(url: str) -> int:
    """Return the size of a file in bytes; -1 if it does not exist."""
    system, path = filesystem(url)
    try:
        with reaching(url):
            return int(system.size(path))
    except FileNotFoundError:
        return -1


def sizes(folder: str) -> dict[str, int]:
    """Return the sizes in bytes (0 for folders) of a folder's entries, by name; {} if it does not exist."""
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
    """Return the sizes in bytes of all files below a folder, by relative path; {} if it does not exist."""
    system, path = filesystem(folder)
    try:
        with reaching(folder):
            found: dict[str, dict[str, Any]] = system.find(path, detail=True)
    except FileNotFoundError:
        return {}
    start = len(path.rstrip("/")) + 1
    return {name[start:]: int(found[name]["size"]) for name in sorted(found)}


def names(folder: str) -> list[str]:
    """Return the sorted names of a folder's entries; [] if it does not exist."""
    return list(sizes(folder))


def tree_bytes(folder: str) -> int:
    """Return the total size in bytes of all files below a folder; 0 if it does not exist."""
    system, path = filesystem(folder)
    with suppress(FileNotFoundError), reaching(folder):
        return int(system.du(path))
    return 0


def remove_tree(url: str) -> None:
    """Remove a file, or a folder with its contents; do nothing if it does not exist."""
    system, path = filesystem(url)
    with suppress(FileNotFoundError), reaching(url):
        system.rm(path, recursive=True)


def write_table(
    url: str,
    table: pa.Table,
    row_group_rows: int | None = None,
    compression: str = "zstd",
    dictionaries: bool | list[str] = True,
    encodings: dict[str, str] | None = None,
) -> str:
    """Write one Parquet file and return its checksum. The same table gives the same bytes.

    `dictionaries` : columns to encode with dictionaries; True: all. `encodings` : Parquet's encodings of other columns.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, row_group_size=row_group_rows, compression=compression, use_dictionary=dictionaries,
        column_encoding=encodings,
    )  # fmt: skip
    data = memoryview(sink.getvalue())
    write_bytes(url, data)
    return checksum(data)


def stream_table(url: str, table: pa.Table, statistics: list[str]) -> None:
    """Write numbers as one Parquet file, without compression, checksum or a second copy in memory.

    `statistics` : columns whose minima and maxima the file stores.
    """
    with opened_for_writing(url) as file:
        pq.write_table(table, file, compression="none", use_dictionary=False, write_statistics=statistics)


def read_table(url: str, columns: list[str] | None = None, expected_checksum: str | None = None) -> pa.Table:
    """Read one Parquet file that funkflow wrote."""
    with _opened_table(url, expected_checksum) as file:
        # One thread: tasks already run in parallel, and Arrow's pool may outlive the interpreter.
        return file.read(columns=columns, use_threads=False)


def read_batches(url: str, columns: list[str], expected_checksum: str, rows: int) -> Iterator[pa.Table]:
    """Yield one Parquet file in tables of `rows` rows, the last one shorter, decoded one by one."""
    with _opened_table(url, expected_checksum) as file:
        for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


@contextmanager
def _opened_table(url: str, expected_checksum: str | None) -> Iterator[pq.ParquetFile]:
    data = read_bytes(url, expected_checksum)
    with decoding(url):
        yield pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)


@contextmanager
def decoding(url: str) -> Iterator[None]:
    """Raise DamagedFile where the body cannot decode the Parquet file."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as cause:
        raise DamagedFile(f"{masked(url)}: not a readable Parquet file ({cause}); delete it and run again") from cause


def write_json(url: str, content: Any) -> None:
    """Write JSON with sorted keys, so that equal content gives equal bytes."""
    write_bytes(url, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def read_json(url: str) -> Any:
    """Read JSON; raise DamagedFile if the file is truncated or not JSON."""
    return _parse_json(url, read_bytes(url))


def json_if_there(url: str) -> Any:
    """Read JSON as `read_json` does; return None if the file does not exist."""
    data = bytes_if_there(url)
    return None if data is None else _parse_json(url, data)


def write_sealed(url: str, content: JsonObject) -> None:
    """Write JSON as `write_json` does, and add the checksum of its content as "seal"."""
    write_json(url, {**content, _SEAL: _compute_seal(content)})


def without_seal(url: str, content: JsonObject) -> JsonObject:
    """Return the content, read at `url`, without the seal of `write_sealed`.

    Raises
    ------
    DamagedFile
        The content has changed since it was written.
    """
    inner = {key: value for key, value in content.items() if key != _SEAL}
    if content.get(_SEAL) != _compute_seal(inner):
        raise DamagedFile(
            f"{masked(url)}: changed since it was written, its content does not match its seal; "
            "delete its folder and run again"
        )
    return inner


def _compute_seal(content: JsonObject) -> str:
    # Round-trip first: JSON turns integer keys into text, which sorts in another order.
    as_read = json.loads(json.dumps(content))
    return checksum(json.dumps(as_read, sort_keys=True).encode())


def _parse_json(url: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as cause:
        raise DamagedFile(f"{masked(url)}: not readable JSON ({cause}); delete its folder and run again") from cause
