"""What scoring a saved model is predicted to take, for its spectrum, the gate and the report.

Covers: scoring_need of pipeline/planning/method_memory.py, beside what was measured, and its refusal. Does not cover:
other needs (test_plan.py).
"""

from __future__ import annotations

import pytest

from funkflow.pipeline.planning.budget import Size, Workload, predict_bytes
from funkflow.pipeline.planning.plan import plan_of
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import CannotFit


def test_scoring_a_model_takes_a_part_of_its_users_and_all_items() -> None:
    """So more shards need less; and it is refused by itself where it needs more than training, as for many threads."""

    def needed(users: int = 10**6, items: int = 20_000, rank: int = 64, shards: int = 4, threads: int = 2) -> int:
        size = Size(10**8, users, items, raw_bytes=0, held_out=10**7)
        return predict_bytes(Workload(size, rank, shards, 1, threads), 64 * 2**20, 4_000_000).scoring_bytes

    a_part = 10**6 // 4 * 4 * 64
    assert needed() > 2 * a_part + 20_000 * 4 * 64
    assert needed(threads=4) - needed() > 2 * a_part
    assert needed(users=2 * 10**6) - needed() > 2 * a_part
    assert needed(items=40_000) - needed() > 20_000 * 4 * 64
    assert needed(rank=128) - needed() > 2 * a_part
    assert needed(shards=16) < needed() - a_part
    words = ["train.rank=256", "grid.shards=4", "cluster.threads=64", "ranking.count=0", "cluster.blocks=streamed"]
    netflix = {"synth": {"shape": "netflix"}, "ingest": {"chunk_bytes": 2**20, "partition_ratings": 200_000}}
    prediction = plan_of(Settings.build(netflix, words)).prediction
    assert prediction.total_bytes == prediction.scoring_bytes
    plan = plan_of(Settings.build(netflix, [*words, f"cluster.memory={0.9 * prediction.scoring_bytes:.0f}"]))
    with pytest.raises(CannotFit, match=r"memory for scoring the model, part by part and has .*raise grid\.shards"):
        plan.refuse()


def test_scoring_as_measured() -> None:
    """At 3 M ratings, rank 256, and 5 M, rank 128, synthetic, one worker of two threads: 825 and 759 MiB at most."""
    for ratings, users, items, rank, held_out, measured in (
        (2_713_121, 29_048, 8_813, 256, 301_294, 825), (4_520_720, 43_711, 9_761, 128, 503_305, 759)
    ):  # fmt: skip
        size = Size(ratings, users, items, 0, held_out=held_out)
        predicted = predict_bytes(Workload(size, rank, 4, 1, 2), 64 * 2**20, 4_000_000).scoring_bytes
        assert measured <= predicted / 2**20 < 1.2 * measured
