"""What scoring a saved model is predicted to take, and what whole runs of few ratings are, beside what was measured.

Covers: scoring_need of pipeline/planning/method_memory.py, and its refusal; what processes take without data
(pipeline/planning/budget.py). Does not cover: other needs (test_plan.py).
"""

from __future__ import annotations

from typing import Any

import pytest

from funkflow.pipeline.models.canonical_graph import predict_canonical_bytes
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
    assert needed(items=2 * 10**6) - needed(items=10**6) > 10**6 * 4 * 64
    assert needed(rank=128) - needed() > 2 * a_part
    assert needed(shards=16) < needed() - a_part
    words = ["train.rank=256", "grid.shards=4", "cluster.threads=64", "ranking.count=0", "cluster.blocks=streamed"]
    netflix = {"synth": {"shape": "netflix"}, "ingest": {"chunk_bytes": 2**20, "partition_ratings": 200_000}}
    prediction = plan_of(Settings.build(netflix, words)).prediction
    assert prediction.total_bytes == prediction.scoring_bytes
    plan = plan_of(Settings.build(netflix, [*words, f"cluster.memory={0.9 * prediction.scoring_bytes:.0f}"]))
    with pytest.raises(CannotFit, match=r"memory for scoring the model, part by part and has .*raise grid\.shards"):
        plan.refuse()


@pytest.mark.parametrize(
    ("shards", "threads", "vectors", "measured"),
    [(16, 1, False, 399), (4, 1, False, 494), (4, 2, False, 769), (16, 1, True, 451), (4, 2, True, 1076)],
)
def test_a_spectrum_takes_a_part_of_a_side_as_measured(shards: int, threads: int, vectors: bool, measured: int) -> None:
    """The resident size of a worker in MiB, 1 M x 1 M, rank 64; more items alone need no more if parts are as large."""
    about: Any = {"rank": 64, "parts": {side: [{"rows": 10**6 // shards}] * shards for side in ("user", "item")}}
    predicted = predict_canonical_bytes(about, 0, vectors, 2, threads)[1] / 2**20
    assert measured <= predicted < 1.25 * measured
    about["parts"]["item"] *= 4
    about["parts"]["user"] *= 4
    assert predict_canonical_bytes(about, 0, vectors, 2, threads)[1] / 2**20 == pytest.approx(predicted)


def test_scoring_as_measured() -> None:
    """At 3 M ratings, rank 256, and 5 M, rank 128, synthetic, one worker of two threads: 822 and 759 MiB at most."""
    for ratings, users, items, rank, held_out, measured in (
        (2_972_163, 29_048, 8_813, 256, 42_252, 822), (4_520_720, 43_711, 9_761, 128, 503_305, 759)
    ):  # fmt: skip
        size = Size(ratings, users, items, 0, held_out=held_out)
        predicted = predict_bytes(Workload(size, rank, 4, 1, 2), 64 * 2**20, 4_000_000).scoring_bytes
        assert measured <= predicted / 2**20 < 1.2 * measured


SETS = {"100k": (943, 1_682), "latest-small": (671, 9_066), "tweetings": (16_554, 10_506)}
"""Users and items of MovieLens 100K, an edition of latest-small, and 100,000 ratings of MovieTweetings."""


@pytest.mark.parametrize(
    ("name", "method", "measured", "worker"),
    [
        ("100k", "sgd", (496, 527), 348),
        ("100k", "als", (495, 557), 372),
        ("latest-small", "sgd", (542, 577), 382),
        ("latest-small", "als", (552, 617), 423),
        ("tweetings", "sgd", (552, 552), 362),
        ("tweetings", "als", (633, 633), 437),
    ],
)
def test_what_processes_take_by_themselves_as_measured(
    name: str, method: str, measured: tuple[int, int], worker: int
) -> None:
    """Runs of 100,000 ratings, rank 64, one worker of two threads: MiB with kernels from the cache, and compiled.

    Every page is counted once, as if no other process of the machine mapped it; `worker` : the resident size.
    """
    users, items = SETS[name]
    size = Size(90_000, users, items, raw_bytes=2_000_000, held_out=10_000)
    predicted = predict_bytes(Workload(size, 64, 4, 1, 2), 64 * 2**20, 4_000_000, method)
    assert max(measured) <= predicted.total_bytes / 2**20 <= 1.25 * min(measured)
    assert worker <= predicted.worker_bytes / 2**20 <= 1.25 * worker
