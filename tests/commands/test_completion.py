"""Completion by the Tab key: bash asks the program, which answers without importing what it need not.

Covers: the lines of `--show-completion` in a real bash, answers for commands, options and their values, and what an
answer loads.
Does not cover: writing those lines to a shell's own file (--install-completion, which is Typer's), other shells.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from loaded import heavy_of
from program import CHECKOUT

from funkflow.pipeline.commands.names import COMMANDS


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an executable `funkflow`, as pip makes one."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "funkflow"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m funkflow "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return folder


def test_bash_completes_what_is_typed(program: Path) -> None:
    """The lines are for the shell that asks, so bash itself does, and then completes as at the Tab key."""
    typed = "COMP_WORDS=({}); COMP_CWORD={}; _funkflow_completion funkflow; echo ${{COMPREPLY[*]}}; "
    asked = typed.format("funkflow re", 1) + typed.format("funkflow run --cl", 2)
    lines = f'eval "$(funkflow --show-completion)"; complete -p funkflow; {asked}'
    done = subprocess.run(
        ["bash", "--norc", "-c", lines], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PATH": f"{program}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "complete -o default -F _funkflow_completion funkflow",
        " ".join(name for name in COMMANDS if name.startswith("re")),
        "--cluster",
    ], done.stderr


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("re", [name for name in COMMANDS if name.startswith("re")]),
        ("run --cl", ["--cluster"]),
        ("run demo --goal ra", ["ratings", "ranking"]),
        ("runs s", ["show"]),
    ],
)
def test_an_answer_loads_nothing_heavy(words: str, answers: list[str]) -> None:
    """Typer checks options with pydantic."""
    typed = ["funkflow", *words.split()]
    variables = {
        "_FUNKFLOW_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(typed),
        "COMP_CWORD": str(len(typed) - 1),
    }
    loaded, said = heavy_of(**variables)
    assert said.split() == answers
    assert loaded <= {"pydantic"}
