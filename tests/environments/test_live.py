"""The live page and the metrics, with real clusters and a real browser while runs train.

Covers: the page in Dask's navigation, points that come as they are told, a reload, a killed worker, two runs, metrics
by Prometheus's own parser, a scheduler that somebody else runs, and one without a dashboard.
Does not cover: what is made of events (test_live_story.py), how the page looks (test_live_page.py).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from browser import browser as browser
from browser import column, watched
from dask_processes import CHECKOUT, address_of, process, scheduler, worker
from distributed import Client, LocalCluster
from playwright.sync_api import Browser
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from ungated import UNGATED_SECTION

from funkflow import RunResult, Settings, run
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed, StageStarted
from funkflow.pipeline.progress.live.plugin import NAME, LivePlugin
from funkflow.pipeline.progress.live.sending import page_address

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a scheduler knows no tests
FIGURES = ("funkflow-run", "funkflow-summary", "funkflow-learning", "funkflow-rate", "funkflow-grid",
           "funkflow-memory", "funkflow-lines")  # fmt: skip
EPOCHS = 12
STEADY = {"epochs": EPOCHS, "patience": EPOCHS, "checkpoint_epochs": 4}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster that stays when a run is over, with two workers, of which one may be killed."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit="2 GiB"
    ) as made:
        yield made


class Held:
    """A listener that stops the run after an epoch until it is let go, so that a page can be looked at meanwhile."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, EpochFinished) and event.epoch == self._epoch:
            self.reached.set()
            assert self.go_on.wait(120)


class Running:
    """A run in a thread. `result` waits for its end."""

    def __init__(self, settings: Settings, held: Held) -> None:
        self._made: list[RunResult] = []
        self._thread = threading.Thread(target=lambda: self._made.append(run(settings, listeners=[held])))
        self._thread.start()

    def result(self) -> RunResult:
        self._thread.join(180)
        return self._made[0]


def settings(root: Path, address: str, **train: Any) -> Settings:
    return Settings.build(
        {
            "root": str(root),
            "synth": {"shape": "demo", "fraction": 0.03},
            "train": {"rank": 4} | (train if "method" in train else STEADY | train),
            "grid": {"shards": 4},
            "gate": UNGATED_SECTION,
            "cluster": {"scheduler": address, "workers": 1},
        }
    )


def test_the_page_follows_a_run_through_a_reload_and_the_loss_of_a_worker(
    cluster: LocalCluster, browser: Browser, tmp_path: Path
) -> None:
    held = Held(epoch=6)
    going = Running(settings(tmp_path, cluster.scheduler_address), held)
    try:
        assert held.reached.wait(120)
        with watched(browser) as seen:
            page = seen.page
            page.goto(cluster.dashboard_link)  # Dask's own page, with ours in its navigation
            page.get_by_role("link", name="Funkflow").click()
            there = "() => Bokeh.documents[0]?.get_model_by_name('funkflow-epochs')?.data.epoch.length >= 6"
            page.wait_for_function(there)
            assert page.evaluate("names => names.filter(n => !Bokeh.documents[0].get_model_by_name(n))", FIGURES) == []
            page.reload()
            page.wait_for_function(there)
            assert column(page, "funkflow-epochs", "epoch") == [1, 2, 3, 4, 5, 6]
            victim = sorted(cluster.workers.values(), key=lambda nanny: nanny.pid)[0].pid
            os.kill(victim, signal.SIGKILL)
            held.go_on.set()
            result = going.result()
            page.wait_for_function(
                "n => Bokeh.documents[0].get_model_by_name('funkflow-epochs').data.epoch.length == n", arg=EPOCHS
            )
            page.wait_for_function(
                "() => Bokeh.documents[0].get_model_by_name('funkflow-lines').text.includes('was lost')"
            )
            names = ("epoch", "training_rmse", "stopping_rmse")
            shown = {name: column(page, "funkflow-epochs", name) for name in names}
            assert seen.errors == []
    finally:
        held.go_on.set()
    lines = [json.loads(line) for line in Path(result.paths["run"], "metrics.jsonl").read_text().splitlines()]
    told = {line["epoch"]: line for line in lines if line["event"] == "EpochFinished"}
    assert shown == {name: [told[epoch][name] for epoch in sorted(told)] for name in shown}
    kinds = {line["event"] for line in lines}
    assert kinds >= {"RunBegan", "BaselinesMeasured", "CheckpointWritten", "MemoryMeasured", "WorkerLost", "RunEnded"}


SHORT: dict[str, dict[str, Any]] = {
    "sgd": {"epochs": 3, "patience": 3}, "funk": {"epochs": 10, "rank": 2}, "batch": {"batch": {"steps": 3}},
}  # fmt: skip


@pytest.mark.long
def test_finished_runs_of_each_method_stay_and_are_told_apart(cluster: LocalCluster, tmp_path: Path) -> None:
    with Client(cluster, set_as_default=False) as client:
        before = {story["run"] for story in client.run_on_scheduler(_stories)}
        results = {
            method: run(settings(tmp_path / method, cluster.scheduler_address, method=method, **train))
            for method, train in SHORT.items()
        }
        told = client.run_on_scheduler(_stories)
    new = {story["method"]: story for story in reversed(told) if story["run"] not in before}
    assert {method: story["name"] for method, story in new.items()} == {
        method: result.run_id for method, result in results.items()
    }
    for method, story in new.items():
        assert (story["state"], story["rmse"], story["working"]) == ("done", results[method].rmse, 0)
        assert (story["shares"] in (1, 2)) or (method, story["shares"]) == ("batch", 4)
        assert story["meetings"] == story["shares"] ** 2  # who worked on each block is known
    passes = {method: story["passes"] for method, story in new.items()}
    assert (passes["sgd"], passes["funk"]) == (results["sgd"].epochs, results["funk"].epochs) == (3, 20)
    assert passes["batch"] >= results["batch"].epochs == 3  # some steps are looked for
    assert {method: (story["counted"], story["most"]) for method, story in new.items()} == {
        "sgd": ("epoch", (3, 3)), "funk": ("feature", (2, 2)), "batch": ("step", (3, 3)),
    }  # fmt: skip


def _stories(dask_scheduler: Any) -> list[dict[str, Any]]:
    plugin = dask_scheduler.plugins.get(NAME)
    return [
        {
            "run": story.run, "name": story.name, "state": story.state, "rmse": story.rmse,
            "method": story.facts["method"], "counted": story.counted,
            "most": (story.most, story.facts["epochs"]),
            "passes": story.ratings_seen // story.facts["ratings"],
            "shares": (grid := plugin.grid_of(story)).shares, "meetings": len(grid.meetings),
            "working": sum(each.working for each in grid.meetings.values()),
        }
        for story in (plugin.stories.newest_first() if plugin else [])
    ]  # fmt: skip


def test_metrics_of_scheduler_and_workers_read_as_prometheus_reads_them(cluster: LocalCluster, tmp_path: Path) -> None:
    result = run(settings(tmp_path, cluster.scheduler_address, epochs=3))
    found, mine = _metrics(cluster, result)
    assert mine["funkflow_epoch"] == [3.0]
    assert mine["funkflow_validation_rmse"] == [result.rmse]
    assert mine["funkflow_biases_rmse"] == [result.evaluation["biases"]["rmse"]]
    assert mine["funkflow_checkpoints"] == [1.0]
    state = found["funkflow_run_state"].samples
    assert [s.labels["state"] for s in state if s.labels["run"] == result.run_id and s.value] == ["done"]
    for expression in _drawn():
        names = set(_names(expression))
        assert names, expression
        assert names <= {*found, *(f"{name}_total" for name in found)} | BLOCKS
    with Client(cluster, set_as_default=False) as client:
        ports = client.run(lambda dask_worker: dask_worker.http_server.port).values()
        counts = [_blocks_counted(port) for port in ports]
    assert sum(counts) >= 3 * 16  # each of the 4 × 4 blocks once in an epoch


def test_the_ndcg_of_a_ranking_is_a_metric_that_a_panel_draws(cluster: LocalCluster, tmp_path: Path) -> None:
    heard: list[Event] = []
    train = {"goal": "ranking", "epochs": 2}
    result = run(settings(tmp_path, cluster.scheduler_address, **train), listeners=[heard.append])
    last = [each.stopping_ndcg for each in heard if isinstance(each, EpochFinished)][-1]
    _, mine = _metrics(cluster, result)
    assert mine["funkflow_held_out_ndcg"] == [last]
    assert mine["funkflow_held_out_rmse"] == []
    drawn = {name for expression in _drawn() for name in _names(expression)}
    assert {"funkflow_held_out_ndcg", "funkflow_held_out_rmse"} <= drawn


def _metrics(cluster: LocalCluster, result: RunResult) -> tuple[dict[str, Metric], dict[str, list[float]]]:
    """Return the scheduler's families by name, and the values of a run in ours."""
    host = cluster.dashboard_link.removesuffix("/status")
    found = {family.name: family for family in text_string_to_metric_families(_get(f"{host}/metrics"))}
    return found, {
        name: [each.value for each in family.samples if each.labels.get("run") == result.run_id]
        for name, family in found.items()
        if name.startswith("funkflow_")
    }


def _drawn() -> list[str]:
    """Return the expressions of all panels of the dashboard."""
    panels = json.loads((CHECKOUT / "conf/grafana/funkflow.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


BLOCKS = {"funkflow_block_seconds_bucket", "funkflow_block_seconds_sum", "funkflow_block_seconds_count"}


def _names(expression: str) -> list[str]:
    return [word for word in "".join(c if c.isalnum() or c == "_" else " " for c in expression).split()
            if word.startswith("funkflow_")]  # fmt: skip


def _blocks_counted(port: int) -> float:
    families = text_string_to_metric_families(_get(f"http://127.0.0.1:{port}/metrics"))
    samples = [each for family in families for each in family.samples]
    return sum(each.value for each in samples if each.name == "funkflow_block_seconds_count")


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


@pytest.mark.long
def test_a_scheduler_of_somebody_else_has_the_page_from_its_first_run_on(tmp_path: Path) -> None:
    with scheduler(tmp_path) as file, worker(file, "one"):
        heard: list[Event] = []
        run(settings(tmp_path / "root", address_of(file), epochs=1), listeners=[heard.append])
        with Client(address_of(file), set_as_default=False) as client:
            assert 'href="funkflow"' in _get(client.dashboard_link)
            address = page_address(client)
            assert "Funkflow" in _get(address)
            client.register_plugin(LivePlugin())  # once more: what is known stays
            assert [story["state"] for story in client.run_on_scheduler(_stories)] == ["done"]
    assert Noticed(f"live page: {address}") in heard
    stages = [event.stage for event in heard if isinstance(event, StageStarted)]
    assert stages.index("baseline") < stages.index("train")


@pytest.mark.long
def test_by_a_preload_the_page_is_there_before_any_run_and_jupyterlab_lists_it(tmp_path: Path) -> None:
    with (
        _scheduler(
            tmp_path, "--dashboard-address", "127.0.0.1:0", "--preload", "funkflow.pipeline.progress.live.routes"
        ) as file,
        Client(scheduler_file=str(file), set_as_default=False, timeout=60) as client,
    ):
        host = page_address(client).removesuffix("/funkflow")
        assert "/individual-funkflow" in _get(f"{host}/individual-plots.json")
        assert 'href="funkflow"' in _get(f"{host}/workers")
        assert "Funkflow" in _get(f"{host}/funkflow")
        assert client.run_on_scheduler(_stories) == []


@pytest.mark.long
def test_without_a_dashboard_a_run_goes_on_and_names_no_page(tmp_path: Path) -> None:
    with _scheduler(tmp_path, "--no-dashboard") as file, worker(file, "one"):
        heard: list[Event] = []
        run(settings(tmp_path / "root", address_of(file), epochs=1), listeners=[heard.append])
        with Client(address_of(file), set_as_default=False) as client:
            assert [story["state"] for story in client.run_on_scheduler(_stories)] == ["done"]
    assert [event for event in heard if isinstance(event, Noticed) and "page" in event.message] == []


@contextmanager
def _scheduler(folder: Path, *words: str) -> Iterator[Path]:
    """Run a scheduler with words of its own; yield the file that it writes its address to, once it is there."""
    file = folder / "scheduler.json"
    command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0"]
    with process([*command, "--scheduler-file", str(file), *words], folder / "log", PYTHONPATH=str(CHECKOUT)):
        with Client(scheduler_file=str(file), set_as_default=False, timeout=60):
            pass
        yield file
