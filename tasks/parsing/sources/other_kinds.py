"""Unsupported or misnamed files: recognise their kind by suffix and first bytes, and give a remedy.

Covers: spreadsheets, other archives, tables of other programs, JSON in one array; packed files without suffix.
Does not cover: supported files (tasks/parsing/format/formats.py, codecs.py, archives.py).
"""

from __future__ import annotations

import re

from funkflow.tasks.errors import BadInput

_AS_CSV = "save it as CSV"
_AS_PARQUET = "write its table as Parquet or CSV"
_UNPACK = "unpack it and name the files in it"
_BY_NAME = (
    ((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "a spreadsheet", _AS_CSV),
    ((".7z", ".rar", ".lz4", ".lzma", ".lzo", ".lz", ".br", ".snappy", ".z"), "packed in another way", _UNPACK),
    ((".feather", ".arrow", ".ipc", ".orc", ".avro"), "a table in another form", _AS_PARQUET),
    ((".h5", ".hdf5", ".hdf", ".npy", ".npz", ".mat", ".pkl", ".pickle", ".joblib"), "a file of arrays", _AS_PARQUET),
    ((".db", ".sqlite", ".sqlite3", ".duckdb", ".mdb", ".accdb", ".sql"), "a database", _AS_CSV),
    ((".rds", ".rda", ".rdata", ".sas7bdat", ".sav", ".dta"), "a table of a statistics program", _AS_CSV),
)  # fmt: skip
_BY_BYTES = tuple(
    (re.compile(magic), what, remedy)
    for magic, what, remedy in (
        (rb"\x1f\x8b", "gzip", "name it .gz"),
        (rb"BZh[1-9]1AY&SY", "bzip2", "name it .bz2"),
        (rb"\xfd7zXZ\x00", "xz", "name it .xz"),
        (rb"\x28\xb5\x2f\xfd", "Zstandard", "name it .zst"),
        (rb"PAR1\x15", "Parquet", "name it .parquet"),
        (rb"PK\x03\x04", "a zip archive or a spreadsheet", "name it .zip, or save the spreadsheet as CSV"),
        (rb"\xd0\xcf\x11\xe0", "a spreadsheet of an old kind", _AS_CSV),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
        (rb"Rar!\x1a", "a RAR archive", _UNPACK),
        (rb"ARROW1\x00", "an Arrow file", _AS_PARQUET),
        (rb"FEA1\x00", "a Feather file", _AS_PARQUET),
        (rb"Obj\x01", "an Avro file", _AS_PARQUET),
        (rb"\x89HDF", "an HDF5 file", _AS_PARQUET),
        (rb"SQLite format 3\x00", "a database of SQLite", _AS_CSV),
    )
)
_JSON_ARRAY = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*[\[{]")
_PYTHON = re.compile(rb"\s*\{\s*'")
_AS_JSON = (
    "convert it by python -c 'import ast, json, sys; [print(json.dumps(ast.literal_eval(x))) for x in sys.stdin]' "
    "<FILE >FILE.jsonl"
)


def named_kind(name: str) -> str:
    """Return the unsupported kind of a file of this name, and a remedy; "" for a supported kind."""
    for suffixes, what, remedy in _BY_NAME:
        if name.lower().endswith(suffixes):
            return f"this is {what}, which is not read; {remedy}"
    return ""


def kind_of_bytes(head: bytes) -> str:
    """Return the kind of a file with these first bytes, and a remedy; "" for text."""
    for magic, what, remedy in _BY_BYTES:
        if magic.match(head):
            return f"this is not text but {what}; {remedy}"
    if _JSON_ARRAY.match(head):
        return "this is JSON in one array; write one object a line, for instance by jq -c '.[]', and name it .jsonl"
    if _PYTHON.match(head):
        return f"this is Python's notation and not JSON; {_AS_JSON}"
    return ""


def refuse_named(name: str) -> None:
    """Raise BadInput for a file whose name has the suffix of an unsupported kind."""
    if kind := named_kind(name):
        raise BadInput(f"{name}: {kind}")


def refuse_bytes(head: bytes, name: str) -> None:
    """Raise BadInput for a supposed text file with the first bytes of another kind."""
    if kind := kind_of_bytes(head):
        raise BadInput(f"{name}: {kind}")
