"""Promotions under load in short: a server whose model in use moves, sometimes to one that cannot be served.

Covers: chaos/promotions.py. Does not cover: many moves (`make promotions`), one of each kind (test_serve_changes.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.promotions import Promotions


@pytest.mark.long
def test_no_request_fails_and_each_answer_is_of_one_model(tmp_path: Path) -> None:
    promotions = Promotions(tmp_path / "scene", 0, print)
    promotions.run(6)
    assert promotions.complaints == [], promotions.lines
    assert promotions.moved.total() == 6
    assert len(promotions.moved) > 1
