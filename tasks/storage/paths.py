"""Paths as users write them: `~` for a home folder, and relative paths.

Covers: expanding `~` and `~user`, absolute paths, and a HOME for libraries if the user has none.
Does not cover: opening paths and URLs (filesystems.py).
"""

from __future__ import annotations

import os

from funkflow.tasks.errors import SettingsError

NO_HOME = "/nonexistent"
"""The home folder that Debian gives to users without one."""


def expand_home(path: str) -> str:
    """Replace a leading `~` or `~user` of a path by that home folder; return other paths and URLs unchanged.

    Raises
    ------
    SettingsError
        There is no such user, or the user has no home folder.
    """
    if not path.startswith("~"):
        return path
    user, slash, rest = path[1:].partition("/")
    home = os.path.expanduser(f"~{user}")
    is_empty = not user and os.environ.get("HOME") == ""  # it expands to "/"
    if os.path.isabs(home) and home != NO_HOME and not is_empty:
        return home.rstrip("/") + slash + rest or "/"
    reason = f"there is no user {user!r} here" if user else "this user has no home folder, and HOME is not set"
    raise SettingsError(f"{path}: {reason}; write the path out, or ./{path} for a file or folder of that name")


def refuse_other_encoding(name: str) -> None:
    """Raise SettingsError if a file's name is not UTF-8: no run record and no page can hold such a name."""
    try:
        name.encode()
    except UnicodeEncodeError as cause:
        escaped = name.encode("utf-8", "backslashreplace").decode()
        raise SettingsError(f"{escaped}: this name is not UTF-8; rename it, or link to it by another name") from cause


def absolute(path: str) -> str:
    """Return a local path as an absolute one, with `~` expanded; a URL stays as it is."""
    whole = path if "://" in path else os.path.abspath(expand_home(path))
    refuse_other_encoding(whole)
    return whole


def ensure_home() -> None:
    """Set HOME if the user has no home: else Bokeh fails to import, and other libraries create a folder `~`."""
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = NO_HOME
