"""LIBMF (Chin et al. 2015): block-parallel SGD in C++, the nearest relative of ours and the one to be measured by.

Covers: running the compiled driver on a task. Does not cover: compiling it (libmf_build.py), or timing inside it
(libmf_driver.cpp).

Step 0.1 and 26 x 26 blocks are LIBMF's own defaults; on the small set 52 and 104 blocks a side were slower. L2 is
the form's (bench/forms.py), so that LIBMF is at its best on each.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from bench.peers.contract import Task, answer
from bench.peers.libmf_build import build

_HUNG, _TRIES = 75, 8
"""The driver's exit code when LIBMF hangs at its end (see there), and how often it is asked; tiny sets need it."""


def train(task: Task) -> dict[str, Any]:
    """Train, or only read the text, and return what the driver prints."""
    words = {
        "--train": task.text if task.read_only or task.from_text else task.folder / "training.bin",
        "--l2": task.l2,
    }
    if task.read_only:
        words |= {"--read-only": 1}
    else:
        words |= {
            "--validation": task.folder / "probe.bin",
            "--rank": task.rank,
            "--iterations": task.iterations,
            "--threads": task.threads,
        }
    command = [str(build()), *(str(word) for option in words.items() for word in option)]
    for _ in range(_TRIES):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != _HUNG:
            break
    if done.returncode:
        raise SystemExit(done.stderr.strip() or f"libmf_driver ended with {done.returncode}")
    content: dict[str, Any] = json.loads(done.stdout)
    return content


if __name__ == "__main__":
    answer(train)
