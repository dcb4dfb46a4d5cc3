"""Metrics for Prometheus, which Dask serves at /metrics of the scheduler and of each worker.

Covers: gauges and counters of runs, computed from their stories at each request; a worker's histogram of blocks.
Does not cover: the stories (pipeline/progress/story.py), serving (Dask), an example of a dashboard (conf/grafana/).

Names follow Prometheus: base units, `_total` for counters. The scheduler's series have run ids as labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import Histogram
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from funkflow.pipeline.progress.drawing import Drawing
from funkflow.pipeline.progress.outcome import DONE, FAILED, INTERRUPTED, REFUSED, RUNNING
from funkflow.pipeline.progress.story import Stories, Story

STATES = (RUNNING, DONE, FAILED, REFUSED, INTERRUPTED)

BLOCK_SECONDS = Histogram(
    "funkflow_block_seconds",
    "Seconds for one pass over a block's ratings on this worker",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
)
"""Observed by the tasks of an epoch, on the worker that runs them."""


class StorySource(Protocol):
    """An object with stories."""

    stories: Stories


class _Runs(Collector):
    """The series of all runs that a scheduler remembers."""

    def __init__(self) -> None:
        self.sources: tuple[StorySource, ...] = ()
        self._drawing = Drawing("the metrics of runs")

    def collect(self) -> Iterator[Metric]:
        families: list[Metric] = []
        with self._drawing:  # an error must not hide Dask's own metrics
            families += self._families()
        yield from families

    def _families(self) -> Iterator[Metric]:
        stories = [story for source in self.sources for story in source.stories.newest_first()]
        for name, words, value in _GAUGES:
            gauge = GaugeMetricFamily(f"funkflow_{name}", words, labels=["run"])
            _fill(gauge, stories, value)
            yield gauge
        for name, words, value in _COUNTERS:
            counter = CounterMetricFamily(f"funkflow_{name}", words, labels=["run"])
            _fill(counter, stories, value)
            yield counter
        state = GaugeMetricFamily("funkflow_run_state", "1 for the current state of a run", labels=["run", "state"])
        for story in {story.name: story for story in reversed(stories)}.values():
            for each in STATES:
                state.add_metric([story.name, each], float(story.state == each))
        yield state


def _fill(family: GaugeMetricFamily | CounterMetricFamily, stories: list[Story], value: _Value) -> None:
    names: set[str] = set()
    for story in stories:  # of two executions of one run, the newer one comes first, and counts
        number = value(story)
        if number is not None and story.name not in names:
            family.add_metric([story.name], float(number))
        names.add(story.name)


_Value = Callable[[Story], float | None]


def _last(name: str) -> _Value:
    return lambda story: getattr(story.history[-1], name) if story.epochs else None


_GAUGES: tuple[tuple[str, str, _Value], ...] = (
    ("epoch", "Newest finished epoch", _last("epoch")),
    ("training_rmse", "RMSE of the newest epoch on the training ratings, in rating units", _last("training_rmse")),
    ("held_out_rmse", "RMSE of the newest epoch on the early-stopping ratings", _last("stopping_rmse")),
    ("held_out_ndcg", "NDCG of the newest epoch on the early-stopping ratings", _last("stopping_ndcg")),
    ("validation_rmse", "RMSE of the finished model on the validation ratings", lambda story: story.rmse),
    ("biases_rmse", "RMSE of the bias baseline on the validation ratings", lambda s: s.baselines.get("biases_rmse")),
    ("mean_rmse", "RMSE of the mean rating on the validation ratings", lambda s: s.baselines.get("mean_rmse")),
    ("ratings_per_second", "Ratings per second, mean of this attempt", _last("ratings_per_second")),
    ("checkpoint_seconds", "Seconds to write the newest checkpoint", lambda s: _newest(s.checkpoints)),
    ("memory_peak_bytes", "Peak memory of the client's machine and all workers", lambda s: s.peak_bytes or None),
    ("memory_predicted_bytes", "Predicted peak memory", lambda s: s.facts.get("predicted_bytes") or None),
    ("quarantined_rows", "Quarantined input rows", lambda s: s.quarantined),
)
_COUNTERS: tuple[tuple[str, str, _Value], ...] = (
    ("ratings", "Ratings processed by finished epochs", lambda story: story.ratings_seen),
    ("checkpoints", "Checkpoints written", lambda story: len(story.checkpoints)),
    ("workers_lost", "Workers lost", lambda story: story.workers_lost),
)

_RUNS = _Runs()


def add_source(source: StorySource) -> None:
    """Add these stories to the metrics of the process."""
    if not _RUNS.sources:
        REGISTRY.register(_RUNS)
    _RUNS.sources += (source,)


def remove_source(source: StorySource) -> None:
    """Remove these stories from the metrics of the process."""
    if source in _RUNS.sources:
        _RUNS.sources = tuple(each for each in _RUNS.sources if each is not source)
        if not _RUNS.sources:
            REGISTRY.unregister(_RUNS)


def _newest(by_epoch: dict[int, float]) -> float | None:
    return by_epoch[max(by_epoch)] if by_epoch else None
