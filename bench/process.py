"""Run one program to its end in a process of its own, under a time limit, and take its last line as JSON.

Covers: the environment it gets, ending it with all its children, and one line on why it failed.
Does not cover: what is run (peers/, ours.py), or whether its answer may be believed (verdict.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
"""Peers thread by themselves; a BLAS that does so, too, only stands in their way (implicit warns of it)."""


@dataclass(frozen=True)
class Answer:
    """What a process said, or why it said nothing: exactly one of `content` and `failed` is filled."""

    content: dict[str, Any] = field(default_factory=dict)
    failed: str = ""


def run_module(module: str, *words: object, limit_seconds: float | None = None) -> Answer:
    """Run `python -m MODULE WORDS` and return the JSON of its last line, or why there is none."""
    return run_words([sys.executable, "-m", module, *(str(word) for word in words)], limit_seconds)


def run_words(words: list[str], limit_seconds: float | None = None) -> Answer:
    """Run a command likewise."""
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
        env={**os.environ, **_ENVIRONMENT},
    ) as process:  # fmt: skip
        try:
            out, errors = process.communicate(timeout=limit_seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return Answer(failed=f"timed out after {limit_seconds:g} s")
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        return Answer(failed=_reason(process.returncode, errors))
    try:
        content = json.loads(out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return Answer(failed="its last line is no JSON")
    return Answer(content) if isinstance(content, dict) else Answer(failed="its last line is no JSON object")


def _end(process: subprocess.Popen[str]) -> None:
    """Kill the process and its children: it leads a session of its own, so they share its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _reason(code: int, errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if last.startswith(("ModuleNotFoundError:", "ImportError:")):
        return f"not installed: {last.partition(': ')[2]}"
    return f"exit code {code}: {last}" if last else f"exit code {code}"
