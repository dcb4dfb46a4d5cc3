"""A root in an object store, against a real S3 API: every stage, the same bytes as on a disk, and few requests.

Covers: all stages and methods of training, reconstruction, a saved model by its URL, interruption, what is asked of the
store while training runs, and stores that cannot be used.
Does not cover: stores that fail now and then, and other kinds of stores than S3 (memory:// in test_sources.py).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
import zarr
from distributed import Client
from program import funkflow
from ungated import UNGATED_SECTION

from chaos.object_store import ObjectStore, Request
from funkflow import Model, run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.results.comparison.runs import compare_methods
from funkflow.pipeline.root.lock import hold_root
from funkflow.pipeline.root.manifests import TrainingData
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.stages.baseline import baseline
from funkflow.pipeline.stages.evaluate import evaluate
from funkflow.pipeline.stages.export import export
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.stages.ingest import ingest
from funkflow.pipeline.stages.predict import PairsFile, predict
from funkflow.pipeline.stages.ranking import ranking
from funkflow.pipeline.stages.recommend import recommend
from funkflow.pipeline.stages.reconstruct import ReconstructOptions, reconstruct
from funkflow.pipeline.stages.spectrum import spectrum
from funkflow.pipeline.stages.split import split
from funkflow.pipeline.stages.synthesise import synthesise
from funkflow.pipeline.training.job import TrainingJob
from funkflow.tasks.errors import DamagedFile, SettingsError, TryAgainLater
from funkflow.tasks.model.about import About
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import streamed

SHARDS = 4
FEW = ("sgd", "lanczos")
SMALL = {
    "synth": {"fraction": 0.01},
    "split": {"kind": "file", "file": "probe.txt"},
    "grid": {"shards": SHARDS},
    "train": {"rank": 4, "epochs": 6, "checkpoint_epochs": 3, "patience": 6},
    "gate": UNGATED_SECTION,
    "recommend": {"count": 3},
}
SCALE = (1.0, 5.0)


@dataclass
class Made:
    """What all stages left under one root: data files by path, and the requests while the default method trained."""

    root: str
    files: dict[str, bytes]
    training: list[Request]


def all_stages(client: Client, root: str, requests: list[Request], methods: Sequence[str] = FEW) -> Made:
    """Run every stage, and some methods of training, under `root`."""
    context = Context(client, Store(root), lambda _event: None, f"made-{len(root)}-{len(requests)}")
    settings = Settings.build({**SMALL, "root": root})
    assert settings.synth is not None
    raw = synthesise(context, settings.synth)
    chosen = settings.ingest.model_copy(update={"ratings": (raw.folder,)})
    probe = files.join(raw.folder, "probe.txt")
    dataset = ingest(context, chosen, probe)
    held_out = split(context, dataset, settings.split.model_copy(update={"file": probe}), chosen, 0.0)
    blocks = grid(context, dataset, held_out, settings.grid)
    training: list[Request] = []
    for method in methods:
        entry = METHODS[method]
        few = settings.train.batch.model_copy(update={"steps": 4, "checkpoint_steps": 2})
        wanted = settings.train.model_copy(update={"method": method, "iterations": 6, "batch": few})
        before, folder = len(requests), context.store.run(method)
        trained = entry.run_function()(TrainingJob(context, blocks, SCALE, wanted, folder))
        training = requests[before:] if method == "sgd" else training
        lines = baseline(context, held_out, blocks, SCALE, False).errors
        truth = files.join(raw.folder, "truth")
        evaluate(context, TrainingData(dataset, held_out, blocks), trained, 4, lines, truth=truth)
        about: About = {"id_types": {"user": "integer", "item": "integer"}, "split": "probe.txt"}
        export(context, TrainingData(dataset, held_out, blocks), trained, 4, about)
    folder = context.store.run("sgd")
    model = files.join(folder, "model")
    spectrum(context, model, blocks.folder)
    ranking(context, dataset, held_out, model, settings.ranking, run_folder=folder)
    recommend(context, dataset, held_out, model, settings.recommend, folder)
    qualifying = files.join(raw.folder, "qualifying.txt")
    predict(context, model, PairsFile(qualifying), 1000, files.join(folder, "predictions"), ours=True)
    for form in ("parquet", "zarr"):
        reconstruct(context, model, files.join(root, form), ReconstructOptions(form, rank=2, piece_bytes=2**16))
    system, place = fsspec.core.url_to_fs(root, use_listings_cache=False)
    found = {path.removeprefix(place).lstrip("/"): system.cat_file(path) for path in system.find(place)}
    return Made(root, {path: data for path, data in found.items() if not path.endswith(".json")}, training)


@pytest.fixture(scope="module")
def local(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return all_stages(client, str(tmp_path_factory.mktemp("local") / "root"), [])


def set_environment(values: dict[str, str]) -> None:
    os.environ.update(values)


@pytest.fixture(scope="module")
def remote(client: Client, object_store_server: ObjectStore) -> Made:
    """The workers' environment keeps the store's address; nobody else asks for it."""
    client.run(set_environment, object_store_server.environment)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in object_store_server.environment.items():
            patch.setenv(name, value)
        return all_stages(client, object_store_server.new_root(), object_store_server.requests)


@pytest.mark.long
def test_every_method_leaves_the_same_bytes_as_on_a_disk(
    client: Client, remote: Made, object_store: ObjectStore, tmp_path: Path
) -> None:
    """`remote` : it gave the workers the store's address."""
    here = all_stages(client, str(tmp_path / "root"), [], list(METHODS))
    there = all_stages(client, object_store.new_root(), object_store.requests, list(METHODS))
    assert there.files == here.files


def test_every_stage_leaves_the_same_bytes_as_on_a_disk(local: Made, remote: Made) -> None:
    assert {path.split("/")[0] for path in remote.files} == {
        "raw", "datasets", "splits", "grids", "blocks", "runs", "parquet", "zarr",
    }  # fmt: skip
    assert remote.files.keys() == local.files.keys()
    assert [path for path, data in remote.files.items() if data != local.files[path]] == []


def test_training_reads_each_block_once_and_lists_nothing_in_between(remote: Made) -> None:
    gets = Counter(request.key for request in remote.training if request.kind == "get")
    blocks = {key: count for key, count in gets.items() if "/blocks/" in key}
    assert set(blocks.values()) == {1}
    assert len(blocks) == SHARDS**2
    shards = [request for request in remote.training if request.kind == "put" and "/shards-" in request.key]
    assert len(shards) >= 2 * 2 * SHARDS
    # A shard is read when the next stretch starts, and nothing is asked for again and again.
    assert max(gets.values()) <= 2
    listings = sum(request.kind == "list" for request in remote.training)
    assert listings <= 14
    assert len(remote.training) - len(shards) - len(gets) <= 40


def test_a_model_is_loaded_by_its_url(local: Made, remote: Made, object_store: ObjectStore) -> None:
    here, there = (Model.load(f"{made.root}/runs/sgd/model") for made in (local, remote))
    users, items = here.user_ids[:50], here.item_ids[:50]
    assert there.predict(users, items).tolist() == here.predict(users, items).tolist()
    ratings = zarr.open_array(f"{remote.root}/zarr/reconstruction.zarr/ratings", mode="r")
    assert ratings.shape == (len(there.user_ids), len(there.item_ids))
    with fsspec.open(f"{remote.root}/runs/sgd/recommendations/recommendations.parquet/part.00000.parquet") as file:
        assert pq.read_table(file).num_rows > 0


@pytest.mark.long
def test_an_interrupted_run_goes_on_to_the_same_bytes(local: Made, object_store: ObjectStore, tmp_path: Path) -> None:
    root = object_store.new_root()
    heard: list[Event] = []

    def interrupt(event: Event) -> None:
        heard.append(event)
        if isinstance(event, EpochFinished) and event.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run({**SMALL, "root": root}, until="export", listeners=[interrupt])
    assert "the last checkpoint" in next(event.message for event in reversed(heard) if isinstance(event, Noticed))
    assert not [path for path in object_store.objects(root) if "/model/" in path]
    resumed: list[Event] = []
    result = run({**SMALL, "root": root}, until="export", listeners=[resumed.append])
    assert [event.epoch for event in resumed if isinstance(event, EpochFinished)] == [4, 5, 6]
    model = {
        path.partition("/model/")[2]: data
        for path, data in object_store.objects(root).items()
        if "/model/" in path and not path.endswith(".json")
    }
    prefix = "runs/sgd/model/"
    assert model == {
        path.removeprefix(prefix): data
        for path, data in local.files.items()
        if path.startswith(prefix) and "spectrum" not in path
    }
    assert files.read_json(files.join(result.paths["run"], "record.json"))["attempt"] == 2
    assert not files.exists(files.join(root, ".lock"))


@pytest.mark.long
def test_methods_are_compared_in_an_object_store(object_store: ObjectStore) -> None:
    root = object_store.new_root()
    comparison, folder = compare_methods(Settings.build({**SMALL, "root": root}), ["sgd", "lanczos"], [2])
    assert [row.failed for row in comparison.rows] == ["", ""]
    assert files.read_json(files.join(folder, "comparison.json"))["rows"][1]["rmse"] == comparison.rows[1].rmse


def test_a_bucket_that_is_not_there_is_said_in_one_line(object_store: ObjectStore) -> None:
    with (
        pytest.raises(SettingsError, match=r"^s3://nowhere/root/\.lock: there is no such bucket; .*check the URL$"),
        hold_root("s3://nowhere/root"),
    ):
        pass
    with pytest.raises(SettingsError, match="there is no such bucket"):
        Model.load("s3://nowhere/model")


def test_without_credentials_that_is_said_in_one_line(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with (
        pytest.raises(SettingsError, match=r"^s3://bucket-1/root/\.lock: .*AWS_ACCESS_KEY_ID"),
        hold_root("s3://bucket-1/root"),
    ):
        pass


def test_refused_access_is_said_in_one_line(object_store: ObjectStore) -> None:
    denied = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

    def deny(_request: Request, _environment: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(denied)))])
        return [denied]

    object_store.interfere = deny
    with pytest.raises(SettingsError, match="the store refuses access"):
        files.write_bytes("s3://bucket-1/root/a", b"")


def test_an_endpoint_that_is_down_is_exit_code_75(object_store: ObjectStore) -> None:
    down = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    done = funkflow("run", "demo", "--root", "s3://bucket-1/root", **down)
    assert done.returncode == TryAgainLater.exit_code, done.stderr
    begun, refused = done.stderr.splitlines()
    assert begun.startswith("note       funkflow ")
    assert refused.startswith("funkflow: s3://bucket-1/root/.lock: the store cannot be reached")


def test_an_outage_is_not_taken_for_a_damaged_file(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run would pass over its newest checkpoint, and remove it, because the network was down for a moment."""
    root = object_store.new_root()
    files.write_bytes(f"{root}/a", b"bytes")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    type(fsspec.filesystem("s3")).clear_instance_cache()

    def overloaded(_request: Request, _environment: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("503 Slow Down", [("Content-Length", "0")])
        return [b""]

    object_store.interfere = overloaded
    with pytest.raises(TryAgainLater, match="cannot be reached or is overloaded"):
        files.read_bytes(f"{root}/a")
    object_store.interfere = None
    assert files.read_bytes(f"{root}/a") == b"bytes"
    with pytest.raises(DamagedFile, match="the file is missing"):
        files.read_bytes(f"{root}/b")


def test_a_stream_that_breaks_off_leaves_no_object(object_store: ObjectStore) -> None:
    root = object_store.new_root()
    pieces = iter([bytes(60 * 2**20)])
    with pytest.raises(RuntimeError), streamed(f"{root}/a") as file:
        file.writelines(next(pieces) for _ in range(2))
    assert object_store.objects(root) == {}
    with streamed(f"{root}/a") as file:
        file.write(b"whole")
    assert object_store.objects(root) == {"a": b"whole"}
