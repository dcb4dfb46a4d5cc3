"""A module at its first use.

Covers: tasks/late.py. Does not cover: which modules are imported so (test_start.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from funkflow.tasks.late import late


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "written_late.py").write_text("value = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "written_late", raising=False)
    return "written_late"


def test_a_module_is_imported_when_an_attribute_is_read(written: str) -> None:
    module = late(written)
    assert written not in sys.modules
    assert module.value == 1
    assert written in sys.modules


def test_an_attribute_is_that_of_the_moment(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = late(written)
    assert module.value == 1
    monkeypatch.setattr(sys.modules[written], "value", 2)
    assert module.value == 2


def test_what_is_not_there_is_missing_at_its_use(written: str) -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = late(written).nothing
    absent = late("no_such_module_anywhere")
    with pytest.raises(ModuleNotFoundError):
        _ = absent.value
