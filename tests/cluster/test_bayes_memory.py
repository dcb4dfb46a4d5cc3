"""A run that samples a posterior takes no more memory than was predicted for it.

Covers: pipeline/planning/posterior_memory.py against a measured run. Does not cover: its terms
(tests/unit/test_posterior_needs.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ungated import UNGATED

from funkflow import run


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.parametrize("chains", [1, 6])
def test_the_largest_worker_stays_below_its_prediction(tmp_path: Path, chains: int) -> None:
    sampled = ["train.method=bayes", f"train.bayes.chains={chains}", "train.bayes.burn_in=1", "train.bayes.draws=6"]
    words = ["train.rank=32", "train.epochs=2", "cluster.workers=1", "cluster.threads=2", UNGATED, f"root={tmp_path}"]
    result = run("demo", [*sampled, *words])
    assert 0.4 * result.predicted_worker_memory_bytes < result.worker_memory_bytes
    assert result.worker_memory_bytes < result.predicted_worker_memory_bytes
