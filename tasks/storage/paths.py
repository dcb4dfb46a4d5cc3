"""Paths as people write them: `~` for a home folder, and relative ones.

Covers: expanding `~` and `~user`, whole paths, and a HOME for libraries that ask for one where the user has none.
Does not cover: what is behind a path or URL (filesystems.py).
"""

from __future__ import annotations

import os

from funkflow.tasks.errors import SettingsError

NO_HOME = "/nonexistent"
"""The home of users that have none, as Debian has it."""


def expanded(path: str) -> str:
    """Return a path or URL with a leading `~` or `~user` replaced by that home folder; all others as they are.

    Raises
    ------
    SettingsError
        There is no such user, or no home folder is known.
    """
    if not path.startswith("~"):
        return path
    user, slash, rest = path[1:].partition("/")
    home = os.path.expanduser(f"~{user}")
    is_empty = not user and os.environ.get("HOME") == ""  # which expands to the root of all folders
    if os.path.isabs(home) and home != NO_HOME and not is_empty:
        return home.rstrip("/") + slash + rest or "/"
    reason = f"there is no user {user!r} here" if user else "this user has no home folder, and HOME is not set"
    raise SettingsError(f"{path}: {reason}; write the path out, or ./{path} for a file or folder of that name")


def refuse_other_encoding(name: str) -> None:
    """Raise SettingsError where a file's name is not UTF-8: no record of a run, nor a page about it, could hold it."""
    try:
        name.encode()
    except UnicodeEncodeError as cause:
        shown = name.encode("utf-8", "backslashreplace").decode()
        raise SettingsError(f"{shown}: this name is not UTF-8; rename it, or link to it by another name") from cause


def absolute(path: str) -> str:
    """Return a local path from the top, with `~` expanded; a URL as it is."""
    whole = path if "://" in path else os.path.abspath(expanded(path))
    refuse_other_encoding(whole)
    return whole


def ensure_home() -> None:
    """Set HOME where no home is known, else Bokeh refuses to be imported, and others make a folder called ~."""
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = NO_HOME
