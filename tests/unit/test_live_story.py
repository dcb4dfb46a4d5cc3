"""What is known of a run from its events, in whatever order and however often these come.

Covers: stories, several of them, and the state of a grid from the keys of its tasks.
Does not cover: the scheduler, the page and the metrics (test_live.py).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.pipeline.progress import events
from funkflow.pipeline.progress.events import (
    CheckpointWritten,
    EpochFinished,
    Event,
    RunEnded,
    StageStarted,
    WorkerLost,
)
from funkflow.pipeline.progress.headlines import AtWork, Snapshot
from funkflow.pipeline.progress.live.blocks import BlockGrid, Meeting, Visit, visit_of
from funkflow.pipeline.progress.live.panels import keys, state_panel
from funkflow.pipeline.progress.story import Stories, Story
from funkflow.pipeline.progress.words import age, rough_duration


def message(event: Event, time: float, run: str = "one") -> dict[str, Any]:
    return {"event": type(event).__name__, "run": run, "time": time, **asdict(event)}


def epoch(number: int, stopping: float | None = 0.9) -> EpochFinished:
    return EpochFinished(number, 20, 1.0 / number, stopping, 1e6, best=True)


def test_the_greatest_ndcg_is_the_best_where_there_is_one() -> None:
    """In the story, on the page and in the headlines of a terminal; the RMSE in training still falls."""
    story = Story("run")
    story.take(StageStarted("train", 4), 1.0)
    for number, ndcg in ((1, 0.2), (2, 0.31), (3, 0.3)):
        told = EpochFinished(number, 4, 2.0 / number, None, 1e6, best=number < 3, stopping_ndcg=ndcg, places=10)
        story.take(told, 1.0 + number)
    assert story.best is not None
    assert story.best.epoch == 2
    assert "best validation NDCG@10" in state_panel(story, 5.0, [])
    assert "validation, NDCG@10, right axis" in keys(story)
    first = Snapshot(AtWork("train"), story, 5.0).lines()[0]
    assert first == "validation NDCG@10 0.3000, best 0.3100 at 2; training RMSE 0.6667"


@given(st.permutations(range(1, 8)), st.lists(st.integers(1, 7), max_size=5))
def test_epochs_that_come_late_or_twice_are_in_order_and_counted_once(order: list[int], again: list[int]) -> None:
    story = Story("one")
    for number in [*order, *again]:
        story.take(epoch(number), float(number))
    assert [each.epoch for each in story.history] == list(range(1, 8))
    assert [each.time for each in story.history] == [float(number) for number in range(1, 8)]


def test_what_it_tells_of_a_run_on_its_way_and_at_its_end() -> None:
    story = Story("one")
    story.take(StageStarted("train", 20), 100.0)
    story.facts = {"run_id": "abc", "epochs": 20, "ratings": 50}
    for number, stopping in ((1, 0.95), (2, 0.90), (3, 0.92)):
        story.take(epoch(number, stopping), 100.0 + 2 * number)
    assert story.best is not None
    assert story.best.epoch == 2
    assert story.seconds_left() == pytest.approx(2.0 * 17)
    assert story.ratings_seen == 150
    assert (story.counted, story.most) == ("epoch", 20)
    story.take(CheckpointWritten(2, 0.5), 106.0)
    story.take(WorkerLost("tcp://a", "worker tcp://a was lost"), 106.5)
    story.take(RunEnded("abc", "failed", None, 7.0, "Diverged: epoch 4"), 107.0)
    assert story.checkpoints == {2: 0.5}
    assert story.seconds_left() is None
    assert (story.name, story.state, story.workers_lost) == ("abc", "failed", 1)
    assert [kind for _, kind, _ in story.lines] == ["checkpoint", "worker lost", "error"]


def test_kinds_that_are_not_known_do_no_harm() -> None:
    stories = Stories()
    stories.take({"event": "SomethingNew", "run": "one", "time": 3.0, "what": "ever"})
    stories.take({**message(epoch(1), 4.0), "new": "field"})
    (story,) = stories.newest_first()
    assert (story.began, story.heard, len(story.history)) == (3.0, 4.0, 1)


def test_runs_are_told_apart_and_the_oldest_are_forgotten() -> None:
    stories = Stories(most=3)
    for number in range(5):
        stories.take(message(epoch(number + 1), float(number), run=f"run {number}"))
    stories.take(message(epoch(9), 9.0, run="run 2"))
    assert [story.run for story in stories.newest_first()] == ["run 4", "run 3", "run 2"]
    assert [each.epoch for each in stories.newest_first()[2].history] == [3, 9]


def test_every_kind_of_event_is_taken_in_by_a_story() -> None:
    """A kind that is added to pipeline/progress/events.py has to be thought of here."""
    from funkflow.pipeline.progress.story import _TAKE  # what it knows is no part of what it offers

    assert set(_TAKE) == set(get_args(events.Event))


def test_a_grid_follows_its_tasks_from_worker_to_worker() -> None:
    first, second = (visit_of(f"descend-0123abcd-0007-00{turn}-000-00{turn}of2") for turn in (0, 1))
    assert first is not None
    assert second is not None
    assert first == Visit("0123abcd", (7,), 0, 0, 2)
    grid = BlockGrid()
    grid.begun(first, "tcp://a")
    assert in_work(grid) == [(0, 0)]
    grid.given_back(first)
    assert in_work(grid) == []
    grid.begun(first, "tcp://b")
    grid.ended(first, "tcp://b", 0.25)
    grid.begun(second, "tcp://b")
    done = grid.meetings[0, 0]
    assert done == Meeting((7,), "tcp://b", working=False, seconds=0.25)
    assert (grid.round, grid.meetings[0, 1].working) == ((7,), True)
    alone = visit_of("descend-0123abcd-0011-000-000-000of1")
    assert alone is not None
    kept = grid.copy()
    grid.begun(alone, "tcp://c")  # a worker left, and the grid was handed out anew
    assert grid.meetings == {(0, 0): Meeting((), "tcp://c", working=True)}
    grid.given_back(second)  # of the grid as it was cut before
    assert in_work(grid) == [(0, 0)]
    assert (in_work(kept), kept.shares) == ([(0, 1)], 2)


def test_later_passes_of_a_feature_and_later_features_are_later_rounds() -> None:
    keys = [f"passes-0123abcd-{number}-0003-001-000of2" for number in ("000.00009", "000.00010", "001.00001")]
    rounds = [visit.round for visit in map(visit_of, keys) if visit]
    assert rounds == sorted(rounds) == [(0, 9), (0, 10), (1, 1)]


def test_ratings_are_counted_by_passes_and_only_once() -> None:
    """A feature takes several passes; of epochs that come at once, the first is told with the passes of all."""
    story = Story("one")
    story.facts = {"ratings": 50}
    features = [
        EpochFinished(number, 2, 1.0, 0.9, 1e6, True, "feature", passes) for number, passes in ((1, 30), (2, 20))
    ]
    for number, feature in enumerate([*features, features[0]]):
        story.take(feature, float(number))
    assert (story.ratings_seen, story.counted, story.most) == (2500, "feature", 2)


def test_the_time_left_is_steady_though_epochs_come_in_bursts_of_uneven_length() -> None:
    """Sixteen epochs at once, which take 1.3 s and 2.9 s by turns, with a checkpoint of 1 s now and then."""
    story, now = Story("one"), 1000.0
    story.take(StageStarted("train", 6000), now)
    left: list[tuple[float, float]] = []
    for burst in range(100):
        now += (1.3, 2.9)[burst // 4 % 2] + (burst % 7 == 0)
        for number in range(burst * 16 + 1, burst * 16 + 17):
            story.take(EpochFinished(number, 6000, 1.0, 0.9, 1e6, best=True), now)
        seconds = story.seconds_left()
        assert seconds is not None
        left.append((now, now + seconds))
    settled = [end for when, end in left if when > 1060.0]  # when it would end, by each of them
    assert max(settled) - min(settled) < 0.15 * 820


def test_checkpoints_are_one_line_and_leave_room_for_the_rest() -> None:
    story = Story("one")
    story.take(WorkerLost("tcp://a", "worker tcp://a was lost"), 1.0)
    for number in range(1, 1501):
        story.take(CheckpointWritten(number, 0.5), float(number))
    assert list(story.lines) == [
        (1.0, "worker lost", "worker tcp://a was lost"),
        (1500.0, "checkpoint", "after epoch 1,500, written in 0.50 s; 1,500 so far"),
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "less than 1 s"), (12.4, "12 s"), (60, "1 min"), (83, "1 min 23 s"), (299, "4 min 59 s"), (562, "9 min"),
     (3600, "1 h"), (5400, "1 h 30 min"), (40_000, "11 h"), (90_000, "1 day 1 h"), (190_000, "2 days 4 h"),
     (2e6, "23 days")],
)  # fmt: skip
def test_durations_are_words(seconds: float, said: str) -> None:
    assert rough_duration(seconds) == said
    assert age(seconds) == ("just now" if seconds < 1 else f"{said} ago")


def in_work(grid: BlockGrid) -> list[tuple[int, int]]:
    return [place for place, meeting in grid.meetings.items() if meeting.working]


@pytest.mark.parametrize("key", ["score-0123abcd-0001-000", "descend-test-0001-000-000-000of1", "descend-0123abcd-1",
                                 "item-slopes-0123abcd-00001-0000-000-000of1"])  # fmt: skip
def test_other_keys_are_none_of_its_business(key: str) -> None:
    assert visit_of(key) is None
