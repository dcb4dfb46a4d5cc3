"""The table of docs/own-ratings.md says which settings go with which method.

Covers: each cell of the table, against what settings accept and refuse.
Does not cover: what the settings do.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from funkflow import Settings
from funkflow.pipeline.settings.methods import METHODS
from funkflow.tasks.errors import SettingsError

PAGE = Path(__file__).parents[2] / "docs" / "own-ratings.md"
VALUES = {
    "train.implicit": "items",
    "ingest.known_pairs": "views.csv",
    "train.time": "user_days",
    "ingest.item_features": "items.csv",
    "ingest.user_features": "users.csv",
    "train.members": 3,
    "train.keep_draws": 7,
}


def cells() -> list[tuple[str, str, bool]]:
    """Return each setting with each method, and whether the table has them go together."""
    text = PAGE.read_text(encoding="utf-8").split("What goes with which", 1)[1]
    header, _, *rows = [line.strip("|").split("|") for line in text.split("\n\n")[1].splitlines()]
    named = [each.strip().strip("`") for each in header[1:]]
    others = sorted(METHODS.keys() - set(named))
    found = []
    for first, *answers in rows:
        for column, answer in zip(named, answers, strict=True):
            methods = others if column == "others" else [column]
            found += [
                (setting, method, bool(answer.strip()))
                for setting in re.findall(r"`([a-z._]+)`", first)
                for method in methods
            ]
    return found


@pytest.mark.parametrize(("setting", "method", "together"), cells())
def test_settings_are_taken_or_refused_as_the_table_says(setting: str, method: str, together: bool) -> None:
    section, name = setting.split(".")
    content: dict[str, dict[str, object]] = {"ingest": {"ratings": "r.csv"}, "train": {"method": method}}
    content[section][name] = VALUES[setting]
    if together:
        Settings.build(content).train.refuse_idle_settings()
        return
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.build(content).train.refuse_idle_settings()
    assert "\n" not in str(refused.value)


def test_the_table_has_all_of_them() -> None:
    assert {setting for setting, *_ in cells()} == set(VALUES)
