"""Every block of code in the manual: its language is named, its words are right, and it runs.

Covers: commands, Python, TOML and YAML of all pages. Each command is read as the program reads it; those of some pages
are run on every change, those of the others by `make long`.
Does not cover: links (test_docs.py), pages with tests of their own (ELSEWHERE in manual_blocks.py).
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from manual_blocks import ELSEWHERE, LANGUAGES, NOT_RUN, SHELLS, Block, blocks
from manual_scene import Scene, set_up
from program import funkflow
from typer.main import get_group

from funkflow.pipeline.cli import program
from funkflow.pipeline.settings.sections import Settings

CHECKOUT = Path(__file__).parents[2]
BLOCKS = blocks()
SOON = ("api", "index", "report")
"""Pages that run in seconds."""
NEED_FAISS = ("models-in-use", "own-ratings")


READERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "python": ast.parse,
    "toml": lambda text: Settings.build(tomllib.loads(text)),
    "yaml": yaml.safe_load,
}


def of(*languages: str) -> list[Any]:
    return [pytest.param(each, id=f"{each.page}-{each.line}") for each in BLOCKS if each.language in languages]


def test_every_block_names_its_language_and_why_it_is_not_run() -> None:
    odd = [
        f"{each.page}:{each.line}"
        for each in BLOCKS
        if each.language not in LANGUAGES or each.word not in {"", *NOT_RUN}
    ]
    assert odd == []
    assert {each.word for each in BLOCKS} - {""} == set(NOT_RUN)


@pytest.mark.parametrize("block", of(*SHELLS))
def test_every_command_is_one_that_the_program_takes(block: Block) -> None:
    """Unknown options and values fail as a UsageError; other programs stand only where the block says so."""
    for words in block.commands:
        while "=" in words[0]:  # a variable for this command
            words = words[1:]
        if words[0] == "funkflow":
            _read(words[1:])
        elif words[:2] == ["pip", "install"]:
            extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
            assert set(words[2].partition("[")[2].strip("]").split(",")) <= {"", *extras}
        elif words[0] == "make":
            assert f"\n{words[1]}: " in (CHECKOUT / "Makefile").read_text("utf-8")
        elif words[1:2] == ["-m"]:
            assert find_spec(words[2])
        else:
            assert block.word in NOT_RUN, words


def _read(words: Sequence[str]) -> None:
    name, *rest = words
    command: Any = get_group(program(name)).commands[name]
    while rest and rest[0] in getattr(command, "commands", {}):
        name, *rest = rest
        command = command.commands[name]
    command.make_context(name, list(rest)).close()


@pytest.mark.parametrize("block", of("toml", "yaml", "json", "python"))
def test_every_block_of_its_language_can_be_read(block: Block) -> None:
    """TOML is settings."""
    READERS[block.language](block.content)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("manual")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return set_up(folder)


def pages_to_run() -> list[Any]:
    runs = {each.page for each in BLOCKS if not each.word and each.language in (*SHELLS, "python")} - ELSEWHERE.keys()
    return [pytest.param(page, marks=() if page in SOON else pytest.mark.long) for page in sorted(runs)]


@pytest.mark.parametrize("page", pages_to_run())
def test_every_block_of_a_page_runs(scene: Scene, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands one after another, then its Python in one session, in a copy of the scene."""
    if page in NEED_FAISS:
        pytest.importorskip("faiss")
    folder = tmp_path / "copy"
    shutil.copytree(scene.folder, folder)
    monkeypatch.chdir(folder)
    of_page = [each for each in BLOCKS if each.page == page and not each.word]
    for block in of_page:
        for words in block.commands:
            if words[0] == "funkflow":
                done = funkflow(*scene.typed(words[1:]), BROWSER="true %s")
                assert done.returncode == 0, (words, done.stderr)
    script = "\n".join(each.content for each in of_page if each.language == "python")
    if script:
        _run_python(script.replace("data/runs/RUN/", f"data/runs/{scene.ids['bc1353eb']}/"))


def _run_python(script: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
