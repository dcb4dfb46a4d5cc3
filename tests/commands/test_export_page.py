"""The Python of docs/export.md runs, on a model of its own.

Covers: the blocks of that page. Does not cover: its commands (test_export_command.py).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_models import small_model

from funkflow.pipeline.models.saved_forms import write_form

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_blocks_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(BLOCKS) == 2
    small_model().save(str(tmp_path / "model"))
    write_form(str(tmp_path / "model"), "onnx", str(tmp_path / "model.onnx"))
    monkeypatch.chdir(tmp_path)
    text = "\n".join(BLOCKS)
    exec(re.sub(r'"data/runs/\w+/model"', '"model"', text).replace("260", "7"), {})
