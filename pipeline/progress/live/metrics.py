"""Metrics for Prometheus, at /metrics of the scheduler and of each worker: Dask serves whatever its process registers.

Covers: gauges and counters of runs, read from their stories when they are asked for; a worker's histogram of blocks.
Does not cover: what is known of runs (pipeline/progress/story.py), serving them (Dask), an example of a dashboard
(conf/grafana/).

Names follow Prometheus: base units, `_total` for what only grows. The scheduler's series are labelled with run ids.
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
    "Seconds that this worker took to go through the ratings of a block once",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
)
"""Observed by the tasks of an epoch, on the worker that runs them."""


class Told(Protocol):
    """Who has the stories."""

    stories: Stories


class _Runs(Collector):
    """The series of all runs that a scheduler knows of; they go when it forgets them."""

    def __init__(self) -> None:
        self.sources: tuple[Told, ...] = ()
        self._drawing = Drawing("the metrics of runs")

    def collect(self) -> Iterator[Metric]:
        families: list[Metric] = []
        with self._drawing:  # Dask's own metrics are served along with these
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
        state = GaugeMetricFamily("funkflow_run_state", "1 for the state that a run is in", labels=["run", "state"])
        for story in {story.name: story for story in reversed(stories)}.values():
            for each in STATES:
                state.add_metric([story.name, each], float(story.state == each))
        yield state


def _fill(family: GaugeMetricFamily | CounterMetricFamily, stories: list[Story], value: _Value) -> None:
    named: set[str] = set()
    for story in stories:  # two executions of one run have one name: the newer one comes first, and counts
        found = value(story)
        if found is not None and story.name not in named:
            family.add_metric([story.name], float(found))
        named.add(story.name)


_Value = Callable[[Story], float | None]


def _last(name: str) -> _Value:
    return lambda story: getattr(story.history[-1], name) if story.epochs else None


_GAUGES: tuple[tuple[str, str, _Value], ...] = (
    ("epoch", "Newest epoch that is finished", _last("epoch")),
    ("training_rmse", "RMSE of the newest epoch on the training ratings, in rating units", _last("training_rmse")),
    ("held_out_rmse", "RMSE of the newest epoch on the ratings that training stops on", _last("stopping_rmse")),
    ("validation_rmse", "RMSE of the finished model on the validation ratings", lambda story: story.rmse),
    ("biases_rmse", "RMSE of biases alone on the validation ratings", lambda s: s.baselines.get("biases_rmse")),
    ("mean_rmse", "RMSE of the mean rating on the validation ratings", lambda s: s.baselines.get("mean_rmse")),
    ("ratings_per_second", "Ratings a second over the epochs of this attempt", _last("ratings_per_second")),
    ("checkpoint_seconds", "Seconds that the newest checkpoint took", lambda s: _newest(s.checkpoints)),
    (
        "memory_peak_bytes",
        "Peak of the client's machine and of all workers",
        lambda s: s.peak_bytes or None,
    ),
    ("memory_predicted_bytes", "Memory that was predicted", lambda s: s.facts.get("predicted_bytes") or None),
    ("quarantined_rows", "Rows of the input that lie apart", lambda s: s.quarantined),
)
_COUNTERS: tuple[tuple[str, str, _Value], ...] = (
    ("ratings", "Ratings that the finished epochs went over", lambda story: story.ratings_seen),
    ("checkpoints", "Checkpoints written", lambda story: len(story.checkpoints)),
    ("workers_lost", "Workers lost", lambda story: story.workers_lost),
)

_RUNS = _Runs()


def read_from(source: Told) -> None:
    """Have the process's metrics tell of these stories, too."""
    if not _RUNS.sources:
        REGISTRY.register(_RUNS)
    _RUNS.sources += (source,)


def forget(source: Told) -> None:
    """Have them tell of these stories no more."""
    if source in _RUNS.sources:
        _RUNS.sources = tuple(each for each in _RUNS.sources if each is not source)
        if not _RUNS.sources:
            REGISTRY.unregister(_RUNS)


def _newest(by_epoch: dict[int, float]) -> float | None:
    return by_epoch[max(by_epoch)] if by_epoch else None
