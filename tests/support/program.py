"""The command as tests give it: a process of its own, whose environment, exit code and words count.

Covers: running it to its end, as a fork of one that has imported everything (chaos/forked.py).
Does not cover: what must start as users have it: memory (test_cli.py), terminals (test_terminal.py), a wheel far from
the checkout (test_packaging.py), what is imported (test_up_to_date.py), Ctrl-C (test_cli.py).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ungated import UNGATED

from chaos import forked

CHECKOUT = Path(__file__).parents[2]
_LIMIT_SECONDS = 240


def overrides(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


SMALL = overrides("synth.fraction=0.02", "train.rank=4", "train.epochs=3", UNGATED)
"""A run that takes seconds."""


def funkflow(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these words, as a fork."""
    return _run(words, environment)


def funkflow_anew(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as users start it, at three times the cost."""
    return _run(words, environment, anew=True)


def _run(words: tuple[str, ...], environment: dict[str, str], anew: bool = False) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200", **environment}
    return forked.run(["funkflow", *words], variables, _LIMIT_SECONDS, anew=anew)
