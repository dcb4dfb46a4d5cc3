"""What many tests lean on: real ratings where they are, a real cluster, and small datasets.

The datasets lie as ingest and split would leave them.

Covers: fixtures only. Does not cover: anything of the package itself; a test that needs a fault makes its own cluster.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import dask
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from distributed import Client
from filelock import FileLock
from made_manifests import a_dataset, a_split
from object_store import object_store as object_store
from object_store import object_store_server as object_store_server
from skip_list import ratings_folder
from striking import Tried, try_kind

from chaos.forked import DASK_OF_FORKS, preload
from chaos.room import Room
from funkflow.pipeline.cluster import security
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import Event
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.storage import files


def pytest_configure() -> None:
    """Have Dask fork workers from a process that has imported everything: hundreds of them start."""
    preload()
    dask.config.set(DASK_OF_FORKS)


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over what the test files have imported: it lives to the end."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def alone_on_this_machine() -> Iterator[None]:
    """Clusters of this process are the same, whoever else has an account here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(security, "other_account", lambda: "")
        yield


@pytest.fixture(autouse=True)
def workers_of_tests_that_measure_start_anew(request: pytest.FixtureRequest) -> Iterator[None]:
    """As users have them: forks share more of their memory."""
    anew = request.node.get_closest_marker("alone") is not None
    defaults = dask.config.merge(*dask.config.defaults)
    with dask.config.set({key: dask.config.get(key, config=defaults) for key in DASK_OF_FORKS} if anew else {}):
        yield


@pytest.fixture(scope="session")
def ratings_dir() -> Path:
    """Real ratings; they may not be passed on, so a machine that lacks them skips."""
    folder = ratings_folder()
    if not folder.is_dir():
        pytest.skip("no real ratings: get MovieLens from grouplens.org and set FUNKFLOW_RATINGS_DIR (data/README.md)")
    return folder


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A real cluster of one worker process with two threads, shared by tests that break nothing."""
    with open_client(ClusterSettings(workers=1, threads=2)) as client:
        yield client


@pytest.fixture(scope="session")
def two_workers() -> Iterator[Client]:
    """A real cluster of two worker processes with one thread each, shared alike."""
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        yield client


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A room to strike runs in: what an undisturbed run makes is made once for all processes that share the tests."""
    room, own = Room(tmp_path_factory.mktemp("faults")), tmp_path_factory.getbasetemp()
    made = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "undisturbed.json"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            made.write_text(json.dumps([str(room.folder), room.undisturbed]), encoding="utf-8")
    folder, bits = json.loads(made.read_text(encoding="utf-8"))
    if folder != str(room.folder):  # places are prepared from what that run left, which names its ratings
        room.ratings, room.__dict__["undisturbed"] = Path(folder, room.ratings.name), bits
        shutil.copytree(Path(folder, "undisturbed"), room.folder / "undisturbed")
    return room


@pytest.fixture(scope="module")
def tried(room: Room) -> Tried:
    """What came of a kind of fault, tried once."""
    return cache(lambda kind, everywhere: try_kind(room, kind, everywhere))


@dataclass
class Heard:
    """A context, and every event it told."""

    context: Context
    events: list[Event] = field(default_factory=list)


@pytest.fixture
def heard(client: Client, tmp_path: Path) -> Heard:
    """A context on the shared cluster with a root of its own."""
    heard = Heard(None, [])  # type: ignore[arg-type]
    heard.context = Context(client, Store(str(tmp_path / "root")), heard.events.append, tmp_path.name)
    return heard


@pytest.fixture
def context(heard: Heard) -> Context:
    return heard.context


@dataclass(frozen=True)
class Ratings:
    """Dense ids and ratings of training and of validation; `days` : of each, since 1970, None without times."""

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    ratings: npt.NDArray[np.float32]
    is_validation: npt.NDArray[np.bool_]
    shape: tuple[int, int]
    days: npt.NDArray[np.int64] | None = None

    def with_days(self, days: int = 9) -> Ratings:
        """Return them with days within so many, on some of which users and items are rated higher than on others."""
        rng = np.random.default_rng(3)
        when = rng.integers(0, days, len(self.users))
        moods, seasons = rng.normal(size=(self.shape[0], days)), rng.normal(size=(self.shape[1], 3))
        moved = self.ratings + 0.5 * moods[self.users, when] + 0.5 * seasons[self.items, when * 3 // days]
        return replace(self, ratings=np.clip(moved, 1, 5).astype(np.float32), days=when + 12_000)


def made_ratings(users: int = 60, items: int = 40, count: int = 900, rank: int = 3, seed: int = 0) -> Ratings:
    """Distinct pairs with ratings from a planted model of that rank, rounded to halves; a tenth is for validation."""
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(users * items, size=count, replace=False))
    u, i = cells // items, cells % items
    planted = np.einsum("nk,nk->n", rng.normal(size=(users, rank))[u], rng.normal(size=(items, rank))[i])
    scores = 3.0 + 0.5 * rng.normal(size=users)[u] + 0.7 * planted / np.sqrt(rank) + 0.3 * rng.normal(size=count)
    rounded = np.clip(np.round(2 * scores) / 2, 1, 5)
    return Ratings(
        u.astype(np.int32), i.astype(np.int32), rounded.astype(np.float32), rng.random(count) < 0.1, (users, items)
    )


Publish = Callable[[Context, Ratings], tuple[Dataset, Split]]


@pytest.fixture
def published_ratings() -> Publish:
    """Write ratings as the ingest and split stages would, and return the two manifests."""
    return publish_ratings


def publish_ratings(context: Context, made: Ratings) -> tuple[Dataset, Split]:
    dataset_folder, split_folder = context.store.dataset("made"), context.store.split("made")
    part = "ratings.parquet/part.00000.parquet"
    table = pa.table({"user": made.users, "item": made.items, "rating": made.ratings})
    if made.days is not None:
        table = table.append_column("timestamp", pa.array(made.days.astype("M8[D]").astype("M8[s]")))
    checksum = files.write_table(files.join(dataset_folder, part), table)
    ids = {
        side: files.write_table(
            files.join(dataset_folder, f"{side}.parquet"), pa.table({"raw_id": np.arange(count, dtype=np.int64) + 100})
        )
        for side, count in zip(("users", "items"), made.shape, strict=True)
    }
    dataset = a_dataset(
        dataset_folder,
        users=made.shape[0],
        items=made.shape[1],
        ratings=len(made.users),
        id_checksums=ids,
        parts=[{"path": part, "rows": len(made.users), "checksum": checksum}],
        timestamps=made.days is not None,
    )
    dataset = dataset.publish()
    rows = np.flatnonzero(made.is_validation)
    part = "validation/part.00000.parquet"
    held_out = table.take(pa.array(rows)).append_column("row", pa.array(rows))
    validation = {
        "ratings": len(rows),
        "parts": [
            {"path": part, "rows": len(rows), "checksum": files.write_table(files.join(split_folder, part), held_out)}
        ],
    }
    split = a_split(split_folder, validation=validation, training_ratings=len(made.users) - len(rows))
    return dataset, split.publish()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What funkflow logs, whatever a package that another test imported has made of loggers."""
    logger = logging.getLogger("funkflow")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.WARNING, "funkflow")
    return caplog
