"""Accounts of other people on this machine, who can reach its loopback.

Covers: the rule, by the user database and the folders beside our home.
Does not cover: protection from them (security.py).

An account belongs to somebody else if its number is at least `UID_MIN` of /etc/login.defs, is not ours and not that of
`nobody`, and either

- the user database lists it with a login shell, or
- it owns a folder beside our home, or in /home: the database often lacks accounts of a network.

A container with root alone has none.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

_DEFINITIONS = Path("/etc/login.defs")
_USUAL_FIRST = 1000
_NOBODY = 65534
_NO_LOGIN = ("nologin", "false")


def other_account(definitions: Path = _DEFINITIONS, homes: Sequence[str] = (), me: int | None = None) -> str:
    """Return a sign of another account: "account ann" or "folder /home/ann"; empty if there is none.

    Parameters
    ----------
    definitions : the file with UID_MIN, if any.
    homes : folders of home folders; empty: that of our own, and /home.
    me : our number; None: that of this process.
    """
    me, first = os.getuid() if me is None else me, _first_number(definitions)
    for account in pwd.getpwall():
        if _is_other(account.pw_uid, me, first) and os.path.basename(account.pw_shell) not in _NO_LOGIN:
            return f"account {account.pw_name}"
    for folder in homes or _folders_of_homes():
        for path, owner in _owners(folder):
            if _is_other(owner, me, first):
                return f"folder {path}"
    return ""


def _is_other(number: int, me: int, first: int) -> bool:
    return number >= first and number not in (me, _NOBODY)


def _first_number(definitions: Path) -> int:
    with suppress(OSError, UnicodeDecodeError):
        found = re.search(r"^\s*UID_MIN\s+(\d+)", definitions.read_text(encoding="utf-8"), re.MULTILINE)
        return int(found[1]) if found else _USUAL_FIRST
    return _USUAL_FIRST


def _folders_of_homes() -> set[str]:
    return {os.path.dirname(os.path.abspath(os.path.expanduser("~"))), "/home"} - {"/"}


def _owners(folder: str) -> Iterable[tuple[str, int]]:
    """Yield folders and their owners one by one, as a look at a folder may mount it."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False).st_uid
