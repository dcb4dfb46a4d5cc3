"""Blocks held in memory or read for each step: the same bits.

Covers: `cluster.blocks`, as training and as a run meet them.
Does not cover: workers and faults (test_train.py), the tiles themselves (test_twins.py), what is chosen (test_plan.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Ratings, made_ratings, publish_ratings
from dask.utils import key_split
from distributed import Client
from distributed.diagnostics.task_stream import get_task_stream
from ungated import UNGATED

from funkflow import run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.tasks.grid.block import read_block
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.storage import files

Bits = dict[str, bytes]


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    """So many users and items that every block has four tiles."""
    return made_ratings(users=40_000, items=5_000, count=60_000)


def trained(context: Context, ratings: Ratings, streamed: bool = False) -> Bits:
    blocks = grid(context, *publish_ratings(context, ratings), GridSettings(shards=4))
    settings = TrainSettings(rank=6, epochs=2, checkpoint_epochs=1)
    folder = context.store.run("run")
    manifest = train(TrainingJob(context, blocks, (1.0, 5.0), settings, folder, streamed))
    kept = [entry.path for side in ("users", "items") for entry in manifest.shards[side]]
    return {path.split("/")[1]: files.read_bytes(files.join(checkpoint.folder_of(folder), path)) for path in kept}


@pytest.fixture(scope="module")
def expected(client: Client, ratings: Ratings, tmp_path_factory: pytest.TempPathFactory) -> Bits:
    store = Store(str(tmp_path_factory.mktemp("root")))
    return trained(Context(client, store, lambda event: None, "held"), ratings)


def test_every_block_has_several_tiles(context: Context, ratings: Ratings) -> None:
    manifest = grid(context, *publish_ratings(context, ratings), GridSettings(shards=4))
    for number, entry in enumerate(manifest.blocks):
        row, column = divmod(number, 4)
        shape = (shard_rows(40_000, 4, row), shard_rows(5_000, 4, column))
        assert len(read_block(context.store.blocks, entry.checksum, shape).tiles) == 4


def test_blocks_read_for_each_step_give_the_same_bits(context: Context, ratings: Ratings, expected: Bits) -> None:
    """No task loads a row of blocks to hold it, and all steps are there."""
    with get_task_stream(context.client) as stream:
        assert trained(context, ratings, streamed=True) == expected
    names = [key_split(record["key"]) for record in stream.data]
    assert sum(name.startswith("descend") for name in names) == 2
    assert not any(name.startswith("load-blocks") for name in names)


@pytest.mark.long
def test_a_run_says_that_it_reads_blocks_anew(tmp_path: Path) -> None:
    told: list[Event] = []
    small = ["synth.fraction=0.05", "train.rank=4", "train.epochs=2", UNGATED, f"root={tmp_path}"]
    ways = (["cluster.blocks=memory"], ["cluster.blocks=streamed", "cluster.threads=2"])
    held, streamed = (run("demo", [*small, *way], fresh=True, listeners=[told.append]) for way in ways)
    assert streamed.rmse == held.rmse
    assert streamed.run_id == held.run_id
    notices = [event.message for event in told if isinstance(event, Noticed)]
    assert sum("each epoch reads its blocks again" in message for message in notices) == 1
