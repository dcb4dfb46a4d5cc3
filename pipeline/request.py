"""Which stages there are, in the order of a run.

Covers: their names, for who need not know what they do. Does not cover: the stages themselves (flow.py, stages/).
"""

from __future__ import annotations

STAGES = (
    "synth", "ingest", "split", "grid", "train", "evaluate", "export", "spectrum", "ranking", "recommend", "predict",
)  # fmt: skip
