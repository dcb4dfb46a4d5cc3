"""Numeric arrays in npy files, whole or slice by slice, with checksums and without pickle.

Covers: writing, reading and mapping them, and reading some of their rows.
Does not cover: the meaning of the numbers, or other files (files.py).
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import opened

_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<|][fiub][1248])', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9, ]*)\), \} *\n",
    re.DOTALL,
)
_LONGEST_HEADER = 4096


def write_array(url: str, array: npt.NDArray[Any]) -> str:
    """Write one array as npy and return the file's checksum."""
    return write_slices(url, [array], array.shape, array.dtype)


def write_slices(
    url: str, slices: Iterable[npt.NDArray[Any]], shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32
) -> str:
    """Write one array of `shape` as npy from slices of its rows in order; return the file's checksum."""
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    digest = hashlib.blake2b(header.getvalue(), digest_size=files.CHECKSUM_BYTES)
    with files.opened_for_writing(url) as file:
        file.write(header.getvalue())
        for rows in slices:
            data = np.ascontiguousarray(rows, dtype).reshape(-1).view(np.uint8).data
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def read_array(url: str, expected_checksum: str | None = None) -> npt.NDArray[Any]:
    """Read one npy array that `write_array` wrote, read-only; refuse all else, above all pickles.

    NumPy's reader parses the header with `ast.literal_eval`. In threads on CPython 3.11 this sometimes fails with
    "SystemError: AST constructor recursion depth mismatch" (python/cpython#106905), so we parse our one header format.
    """
    data = files.read_bytes(url, expected_checksum)
    dtype, shape, start = _understand(url, data, len(data))
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def checked_shape(url: str, expected_checksum: str) -> tuple[int, ...]:
    """Return the shape of an array before `read_rows` reads it; refuse a file that does not match its checksum."""
    data = files.read_bytes(url, expected_checksum)
    return _understand(url, data, len(data))[1]


def read_rows(url: str, start: int, stop: int) -> npt.NDArray[Any]:
    """Read some rows of an array that `write_array` wrote, and no other bytes; the numbers are not checked."""
    with opened(url) as file:
        dtype, shape, first = _understand(url, file.read(_LONGEST_HEADER), files.size(url))
        row = math.prod(shape[1:]) * dtype.itemsize
        file.seek(first + start * row)
        rows = min(stop, shape[0]) - start
        return np.frombuffer(file.read(rows * row), dtype).reshape(rows, *shape[1:])


def map_array(path: str) -> npt.NDArray[Any]:
    """Return a local npy array that `write_array` wrote, mapped into memory, read-only: a page is read when it is used.

    All processes that map a file share its pages. They stay as they were when another file takes its name.

    Raises
    ------
    DamagedFile
        The file is missing, is no such array, or was cut short. The numbers are not checked.
    """
    try:
        with open(path, "rb") as file:
            dtype, shape, start = _understand(path, file.read(_LONGEST_HEADER), os.fstat(file.fileno()).st_size)
            return _mapped(file, dtype, start, shape)
    except OSError as cause:
        raise DamagedFile(f"{path}: cannot be read ({cause.strerror or cause})") from cause


def map_numbers(path: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a local file of numbers without a header as `map_array` does, (n,)."""
    try:
        with open(path, "rb") as file:
            numbers = os.fstat(file.fileno()).st_size // np.dtype(dtype).itemsize
            return _mapped(file, np.dtype(dtype), 0, (numbers,)) if numbers else np.empty(0, dtype)
    except OSError as cause:
        raise DamagedFile(f"{path}: cannot be read ({cause.strerror or cause})") from cause


def _mapped(file: IO[bytes], dtype: np.dtype[Any], start: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if hasattr(os, "posix_fadvise"):  # the system begins to read now, and not at the first use of each page
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    return np.asarray(np.memmap(file, dtype, "r", start, shape))


def _understand(url: str, data: bytes, size: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return dtype and shape of an npy file of `size` bytes that begins with `data`, and where its numbers begin."""
    header = _NPY_HEADER.match(data)
    if header is None:
        raise DamagedFile(f"{masked(url)}: not an npy file of numbers in C order; delete it and run again")
    shape = tuple(int(size) for size in header["shape"].split(b",") if size.strip())
    dtype = np.dtype(header["dtype"].decode())
    if size - header.end() != math.prod(shape) * dtype.itemsize:
        raise DamagedFile(
            f"{masked(url)}: {size} bytes are not those of an array of shape {shape}; delete it and run again"
        )
    return dtype, shape, header.end()
