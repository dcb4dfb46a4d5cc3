"""The setting of runs that are so small, or so short, that their models may end above the biases.

Covers: a word for `--set`, and a section. Does not cover: what the gate refuses (test_gate.py, test_usefulness.py).
"""

from __future__ import annotations

UNGATED = "gate.beats_biases=false"
UNGATED_SECTION: dict[str, object] = {"beats_biases": False}
