"""Whether somebody else has an account on this machine: the rule, case by case.

Covers: pipeline/cluster/accounts.py. Does not cover: what is done about it (test_tls.py).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from funkflow.pipeline.cluster.accounts import other_account

ME = 1000
SYSTEM = [("root", 0, "/bin/bash"), ("daemon", 1, "/usr/sbin/nologin"), ("nobody", 65534, "/bin/sh")]
Look = Callable[..., str]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Look:
    """Look at a machine with these accounts, besides those of the system, and these folders of homes."""

    def looked(
        *accounts: tuple[str, int, str], definitions: str = "UID_MIN\t1000\n", homes: str = "", me: int = ME
    ) -> str:
        listed = [pwd.struct_passwd((name, "x", number, number, "", f"/home/{name}", shell))
                  for name, number, shell in (*SYSTEM, *accounts)]  # fmt: skip
        monkeypatch.setattr(pwd, "getpwall", lambda: listed)
        (tmp_path / "login.defs").write_text(definitions)
        return other_account(tmp_path / "login.defs", [homes or str(tmp_path / "none")], me)

    return looked


@pytest.mark.parametrize(
    ("accounts", "found"),
    [
        ([], ""),
        ([("me", ME, "/bin/bash")], ""),
        ([("me", ME, "/bin/bash"), ("ann", 1001, "/bin/zsh")], "account ann"),
        ([("ann", 1001, "")], "account ann"),
        ([("ann", 70_000_001, "/bin/bash")], "account ann"),
        ([("slurm", 64030, "/usr/sbin/nologin"), ("web", 1002, "/bin/false")], ""),
        ([("postgres", 110, "/bin/bash")], ""),
    ],
)
def test_accounts_that_people_can_log_in_with(look: Look, accounts: list[tuple[str, int, str]], found: str) -> None:
    assert look(*accounts) == found


def test_root_in_a_container_is_alone_and_beside_an_account_is_not(look: Look) -> None:
    assert look(me=0) == ""
    assert look(("ubuntu", 1000, "/bin/bash"), me=0) == "account ubuntu"


def test_where_the_numbers_of_people_begin(look: Look) -> None:
    assert look(("ann", 600, "/bin/bash")) == ""
    assert look(("ann", 600, "/bin/bash"), definitions="# people\nUID_MIN 500\nUID_MAX 60000\n") == "account ann"
    assert look(("ann", 600, "/bin/bash"), definitions="no number") == ""


def test_a_home_beside_ours_tells_of_an_account_that_is_not_listed(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test can make folders of its own account only, so the one who looks is another."""
    monkeypatch.setitem(globals(), "SYSTEM", [])
    owner, homes = os.getuid(), tmp_path / "homes"
    homes.mkdir()
    (homes / "a-file").write_text("")
    numbers = f"UID_MIN {owner}"
    assert look(definitions=numbers, homes=str(homes), me=owner + 1) == ""
    (homes / "ann").mkdir()
    assert look(definitions=numbers, homes=str(homes), me=owner + 1) == f"folder {homes}/ann"
    assert look(definitions=numbers, homes=str(homes), me=owner) == ""
    assert look(definitions=f"UID_MIN {owner + 1}", homes=str(homes), me=owner + 1) == ""
