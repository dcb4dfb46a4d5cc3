"""A cluster that somebody else runs: found in every way there is, checked before work starts, and left as it was.

Covers: real `dask scheduler` and `dask worker` processes. Does not cover: clusters that we start (test_launch.py).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
import yaml
from dask_processes import CHECKOUT, address_of, process_ids, scheduler, worker
from distributed import Client
from program import funkflow
from ungated import UNGATED

from funkflow import run
from funkflow.pipeline.cluster import run_memory
from funkflow.pipeline.cluster.open import open_client, where_to_run
from funkflow.pipeline.cluster.run_memory import RunMemory
from funkflow.pipeline.commands.options import words_for
from funkflow.pipeline.planning.budget import Allowance
from funkflow.pipeline.planning.plan import plan_of
from funkflow.pipeline.progress.metrics_file import events_of
from funkflow.pipeline.root.holder import this_process
from funkflow.pipeline.root.ledger import Ledger
from funkflow.pipeline.settings.sections import ClusterSettings, Settings
from funkflow.tasks.errors import CannotFit, SettingsError, TryAgainLater

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no tests
CONFIGURED = {"DASK_CONFIG": str(CHECKOUT / "conf" / "dask.yaml")}
"""How docs/deploy.md says that workers are started."""
SMALL = ["synth.fraction=0.02", "train.rank=4", "train.epochs=2", UNGATED]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The scheduler file of a cluster of two workers."""
    folder = tmp_path_factory.mktemp("foreign")
    with ExitStack() as stack:
        file = stack.enter_context(scheduler(folder))
        for name in ("one", "two"):
            stack.enter_context(worker(file, name))
        yield file


def test_what_comes_before_what() -> None:
    """Options, then the environment, then the settings, then this machine: every combination."""
    for option, variable, setting in product((False, True), repeat=3):
        content = {"cluster": {"preset": "set"} if setting else {}}
        words = words_for(scheduler="tcp://option") if option else []
        environment = {"DASK_SCHEDULER_ADDRESS": "tcp://variable"} if variable else {}
        found = where_to_run(Settings.build(content, words).cluster, environment)
        expected = [("scheduler", "tcp://option")] * option + [("scheduler", "tcp://variable")] * variable
        assert found == [*expected, *[("preset", "set")] * setting, ("local", "")][0]


def test_options_among_themselves() -> None:
    both = Settings.build({}, words_for(scheduler="tcp://option", cluster="slurm")).cluster
    assert where_to_run(both) == ("scheduler", "tcp://option")
    with pytest.raises(SettingsError, match="keep one of them"):
        words_for(scheduler="tcp://option", scheduler_file="file")
    with pytest.raises(SettingsError, match="scheduler and preset each choose a cluster"):
        Settings.build({"cluster": {"scheduler": "tcp://one", "preset": "local"}})


@pytest.mark.long
def test_a_command_runs_where_the_environment_says_and_leaves_the_cluster_as_it_was(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of deploy/daskjob.yaml, with another root and a small set, as the Dask operator would run it."""
    before = process_ids(foreign)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address_of(foreign))
    job = yaml.safe_load((CHECKOUT / "deploy" / "daskjob.yaml").read_text(encoding="utf-8"))
    ((program, *words),) = (each["args"] for each in job["spec"]["job"]["spec"]["containers"])
    words[words.index("--root") + 1] = str(tmp_path / "root")
    assert program == "funkflow"
    done = funkflow(*words, *(word for each in SMALL for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("root/runs/*/model/model.json"))
    assert process_ids(foreign) == before
    assert len(before) == 3
    predicted = plan_of(Settings.load("demo", SMALL), Allowance(2, 1, 2**40, "")).prediction.worker_bytes
    with Client(address_of(foreign), set_as_default=False) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
    assert 0.7 * predicted < max(each["metrics"]["memory"] for each in workers) < predicted
    shows_what_its_workers_had(tmp_path / "root")


def shows_what_its_workers_had(root: Path) -> None:
    """Find what was measured, beside what was predicted, wherever a run shows it."""
    (run_folder,) = (root / "runs").iterdir()
    result = json.loads((run_folder / "record.json").read_text())["result"]
    worker, peak = result["worker_memory_bytes"], result["peak_memory_bytes"]
    assert 0.7 * result["predicted_worker_memory_bytes"] < worker < result["predicted_worker_memory_bytes"]
    assert 1.5 * worker < peak < result["predicted_memory_bytes"]
    assert min(result["memory_bytes"][stage] for stage in ("ingest", "train")) > worker
    metrics = next(Ledger(str(root)).records())["metrics"]
    told = {event["event"]: event for event in events_of(str(run_folder)) or ()}
    assert told["RunBegan"]["predicted_bytes"] == result["predicted_memory_bytes"]
    assert told["MemoryMeasured"]["peak_bytes"] > 0.9 * peak
    facts = json.loads((run_folder / "report" / "facts.json").read_text())["memory"]
    assert facts["worker_bytes"] > 0.9 * worker
    for name in ("predicted_memory_bytes", "worker_memory_bytes", "predicted_worker_memory_bytes"):
        assert metrics[name] == result[name]
    assert facts["predicted_worker_bytes"] == result["predicted_worker_memory_bytes"]


@pytest.mark.parametrize("way", ["scheduler", "scheduler_file"])
def test_a_run_by_address_or_file_is_done_by_the_foreign_workers(foreign: Path, tmp_path: Path, way: str) -> None:
    before = process_ids(foreign)
    named = {"scheduler": address_of(foreign), "scheduler_file": str(foreign)}[way]
    result = run("demo", [*SMALL, *words_for(**{way: named}), f"root={tmp_path}/root"], until="ingest")
    assert Path(result.paths["dataset"], "manifest.json").exists()
    assert process_ids(foreign) == before


HOLDS_BYTES = 300 * 2**20


def hold_for_a_moment(count: int) -> None:
    """Fill memory and give it back, between two questions."""
    bytearray(b"x") * count


def test_workers_elsewhere_are_asked_for_their_peaks(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what they had while nobody looked, and for each stage anew.

    Processes of this machine are not looked at: those of other tests may be children of this one.
    """
    none = dict.fromkeys(("peak_bytes", "worker_peak_bytes", "untaken_bytes"), 0)
    nobody: Any = SimpleNamespace(**none, is_worker=False, take_peak=lambda: 0)
    with open_client(ClusterSettings(scheduler_file=str(foreign))) as client:
        one, other = sorted(client.scheduler_info(n_workers=-1)["workers"])
        memory = RunMemory(nobody)
        monkeypatch.setattr(run_memory, "this_process", lambda: {"machine": "elsewhere", "process": 1})
        memory.ask(client)
        assert memory.worker_peak_bytes == 0
        client.run(hold_for_a_moment, HOLDS_BYTES, workers=[one])
        first = memory.take_stage()
        assert HOLDS_BYTES < memory.worker_peak_bytes < first == memory.peak_bytes
        assert memory.take_stage() < first - 0.9 * HOLDS_BYTES
        client.run(hold_for_a_moment, HOLDS_BYTES // 2, workers=[other])
        assert memory.take_stage() < memory.peak_bytes == first


def test_workers_that_this_process_started_are_not_counted_twice(foreign: Path) -> None:
    with open_client(ClusterSettings(scheduler_file=str(foreign))) as client:
        for machine, process, counted in ((this_process()["machine"], os.getpid(), 0), ("elsewhere", os.getpid(), 2)):
            answers = client.run(run_memory._resident_peak, False, machine, process)
            assert sum(peak > 0 for peak in answers.values()) == counted


def test_too_few_workers_in_time_is_try_again_later(foreign: Path) -> None:
    settings = ClusterSettings(scheduler=address_of(foreign), workers=3, wait_seconds=1)
    with pytest.raises(TryAgainLater, match=r"no scheduler with 3 workers within 1 s.*2/3"), open_client(settings):
        pass


@pytest.mark.parametrize(("content", "reason"), [(None, "no such file"), ('{"address', "not readable")])
def test_a_scheduler_file_that_never_comes_does_not_hang(tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "never.json"
    if content is not None:
        file.write_text(content)
    settings = ClusterSettings(scheduler_file=str(file), wait_seconds=0.3)
    with pytest.raises(TryAgainLater, match=f"within 0.3 s .{reason}"), open_client(settings):
        pass


def test_a_worker_with_another_funkflow_is_refused_by_name(foreign: Path, tmp_path: Path) -> None:
    """Its version is the same, but one line of its code is not."""
    for package in ("conf", "funkflow", "pipeline", "tasks"):
        subprocess.run(["cp", "-a", str(CHECKOUT / package), str(tmp_path)], check=True)
    with open(tmp_path / "tasks" / "grid" / "default_rule.py", "a", encoding="utf-8") as file:
        file.write("# another line\n")
    with (
        worker(foreign, "other-code", str(tmp_path)) as address,
        pytest.raises(SettingsError, match=f"worker {address}: runs another funkflow") as caught,
        open_client(ClusterSettings(scheduler_file=str(foreign))),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_worker_with_another_numpy_is_refused_by_name(foreign: Path, tmp_path: Path) -> None:
    about = tmp_path / "numpy-0.0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    with (
        worker(foreign, "other-numpy", f"{tmp_path}:{CHECKOUT}") as address,
        pytest.raises(SettingsError, match=f"worker {address}: numpy 0.0.1 there and .* here; install the same"),
        open_client(ClusterSettings(scheduler_file=str(foreign))),
    ):
        pass


@pytest.mark.parametrize(
    ("memory_limit", "told", "environment"),
    [
        ("390MiB", r"292.50 MiB; .*--memory-limit.*DASK_CONFIG", {}),
        ("350MiB", r"315.00 MiB; .*--memory-limit", CONFIGURED),
    ],
    ids=["paused at 80 %", "never paused"],
)
def test_a_worker_whose_memory_is_too_small_is_refused_before_any_stage_of_it(
    foreign: Path, tmp_path: Path, memory_limit: str, told: str, environment: dict[str, str]
) -> None:
    """One of three, as small as a worker is before it has data: what all get is too much for it."""
    words = [*SMALL, *words_for(scheduler_file=str(foreign)), f"root={tmp_path}/root"]
    with (
        worker(foreign, "small", memory_limit=memory_limit, **environment),
        pytest.raises(CannotFit, match=rf"^a worker of this run needs about \S+ MiB .* has {told}"),
    ):
        run("demo", words)
    assert not list(tmp_path.glob("root/*/*/*")), "not even the synthetic set was begun"


@pytest.mark.long
def test_workers_that_cannot_read_the_root_are_refused_by_name(foreign: Path) -> None:
    """A process's own memory, for a folder that only this machine has."""
    with pytest.raises(SettingsError) as caught:
        run("demo", [*SMALL, *words_for(scheduler_file=str(foreign)), "root=memory://probed"])
    first = sorted(address for address in process_ids(foreign) if address != "scheduler")[0]
    assert str(caught.value).startswith(f"worker {first} on host {socket.gethostname()} cannot read memory://probed")
    assert "the file is missing" in str(caught.value)
