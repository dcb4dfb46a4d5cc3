"""Training is one result, whatever the workers are and whatever happens to them: the same bits.

Covers: number of workers and threads, a worker killed between two task events, resuming, damaged checkpoints, stopping.
Does not cover: the kernel (test_kernels.py), faults at other stages and killed clients (test_faults.py), quality
(test_quality.py).
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Heard, made_ratings, publish_ratings
from distributed import Client
from distributed.diagnostics.task_stream import get_task_stream
from losing_workers import KillBetween
from training import RANK, SETTINGS, SHARDS, Bits, trained

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.pipeline.training.on_worker import threads_of_task
from funkflow.tasks.errors import Diverged, SettingsError
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import Errors


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Bits:
    """What one worker with one thread makes."""
    with open_client(ClusterSettings(workers=1, threads=1)) as client:
        return trained(Context(client, Store(str(tmp_path_factory.mktemp("root"))), lambda event: None, "one"))[1]


def test_two_threads_give_the_same_bits(context: Context, expected: Bits) -> None:
    """A task takes both threads of this worker; test_descend.py shows that they work at the same time."""
    assert context.client.submit(threads_of_task, 1, pure=False).result() == 2
    assert trained(context)[1] == expected


def test_training_changes_every_shard(context: Context, expected: Bits) -> None:
    """Against the initial values: a shard that no step reached would give the same bits anywhere."""
    start = trained(context, SETTINGS.model_copy(update={"epochs": 1, "step": 1e-30}))[1]
    shards = {name for name in expected if name.endswith(".npy")}
    assert shards == {name for name in start if name.endswith(".npy")}
    for name in shards:
        before, after = (np.frombuffer(bits[name][128:], dtype=np.float32) for bits in (start, expected))
        assert np.abs(before - after).max() > 0.01


def test_two_workers_give_the_same_bits_and_both_work(tmp_path: Path, expected: Bits, two_workers: Client) -> None:
    with get_task_stream(two_workers) as stream:
        assert trained(Context(two_workers, Store(str(tmp_path)), lambda event: None, "two"))[1] == expected
    steps = [record for record in stream.data if record["key"].startswith("descend")]
    shares = {(record["key"].split("-")[-2], record["worker"]) for record in steps}
    assert sorted(share for share, _ in shares) == ["000", "001"]  # user shards stay where they are
    assert len({worker for _, worker in shares}) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("descend-killed-0003-000-000-", "descend-killed-0003-001-000-"),
        ("save-users-killed-0002-0", ("descend-killed-0003-000-000-", "descend-killed-0004-000-000-")),
    ],
)
def test_a_killed_worker_changes_no_bit(
    tmp_path: Path, expected: Bits, first: str, second: str | tuple[str, ...]
) -> None:
    """In the middle of epoch 3, and while the checkpoint before it is written: then it goes on with who is there."""
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        plugin = KillBetween(first, second, client.run(os.getpid))
        assert client.cluster is not None
        client.cluster.scheduler.add_plugin(plugin)
        bits = trained(Context(client, Store(str(tmp_path)), lambda event: None, "killed"))[1]
    assert plugin.seen[:2] == ["first", "killed"]
    assert plugin.seen.index("lost") < plugin.seen.index("second")
    assert bits == expected
    if first.startswith("descend"):  # the checkpoint of epoch 2 has cut the lineage: nothing before it is run again
        again = [
            key for key in plugin.begun if key.startswith(("start-", "descend-killed-0001", "descend-killed-0002"))
        ]
        assert again == []


def stop_at_five(event: Event) -> None:
    """Be the listener in whose call Ctrl-C is noticed."""
    if isinstance(event, EpochFinished) and event.epoch == 5:
        raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_to_the_same_bits(client: Client, tmp_path: Path, expected: Bits) -> None:
    """Stopped in epoch 5 with a checkpoint at 4: epochs 5 and 6 are run, none before."""
    stopped, resumed = Heard(None), Heard(None)  # type: ignore[arg-type]

    stopped.context = Context(client, Store(str(tmp_path)), stop_at_five, "stopped")
    with pytest.raises(KeyboardInterrupt):
        trained(stopped.context)
    resumed.context = Context(client, Store(str(tmp_path)), resumed.events.append, "resumed")
    assert trained(resumed.context)[1] == expected
    assert [event.epoch for event in resumed.events if isinstance(event, EpochFinished)] == [5, 6]
    assert Noticed("resuming after epoch 4") in resumed.events


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "manifest"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(heard: Heard, expected: Bits, damage: str) -> None:
    context = heard.context
    with pytest.raises(KeyboardInterrupt):
        trained(Context(context.client, context.store, stop_at_five, f"stopped-{damage}"))
    folder = Path(checkpoint.folder_of(context.store.run("run")))
    victim = folder / "epoch-00004.json" if damage == "manifest" else folder / "shards-00004" / "user-00002.npy"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content if damage in ("flip", "manifest") else content[: len(content) // 2])
    if damage == "manifest":
        victim.write_bytes(content[: len(content) // 2])
    if damage == "missing":
        victim.unlink()
    assert trained(context)[1] == expected
    assert [event.epoch for event in heard.events if isinstance(event, EpochFinished)] == [3, 4, 5, 6]
    assert any(isinstance(event, Noticed) and event.warning and "epoch 4" in event.message for event in heard.events)


def test_two_damaged_checkpoints_start_from_the_beginning_and_finish(heard: Heard, expected: Bits) -> None:
    """What is written after the fall back must not be pruned in favour of the damaged ones."""
    context = heard.context
    with pytest.raises(KeyboardInterrupt):
        trained(Context(context.client, context.store, stop_at_five, "stopped-twice"))
    folder = Path(checkpoint.folder_of(context.store.run("run")))
    for epoch in (2, 4):
        (folder / f"epoch-{epoch:05d}.json").write_text("{")
    assert trained(context)[1] == expected
    assert [event.epoch for event in heard.events if isinstance(event, EpochFinished)] == [1, 2, 3, 4, 5, 6]


def test_a_best_epoch_older_than_the_last_checkpoint_survives_an_interruption(
    client: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Validation turns and patience is long, so the best shards lie in a folder of their own for several epochs."""
    settings = TrainSettings(rank=RANK, epochs=13, checkpoint_epochs=2, patience=13, l2=0.0, step=0.35)

    def stop_at_eleven(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 11:
            raise KeyboardInterrupt

    whole = Context(client, Store(str(tmp_path_factory.mktemp("whole"))), lambda event: None, "best-whole")
    manifest, bits = trained(whole, settings)
    assert manifest.best_epoch <= 8
    stopped = Store(str(tmp_path_factory.mktemp("stopped")))
    with pytest.raises(KeyboardInterrupt):
        trained(Context(client, stopped, stop_at_eleven, "best-stopped"), settings)
    resumed, same_bits = trained(Context(client, stopped, lambda event: None, "best-resumed"), settings)
    assert (replace(resumed, seconds=manifest.seconds), same_bits) == (manifest, bits)


def test_shards_without_a_manifest_do_not_count(heard: Heard, expected: Bits) -> None:
    """As after a crash between the last shard and the manifest."""
    context = heard.context
    with pytest.raises(KeyboardInterrupt):
        trained(Context(context.client, context.store, stop_at_five, "stopped-between"))
    (Path(checkpoint.folder_of(context.store.run("run"))) / "epoch-00004.json").unlink()
    assert trained(context)[1] == expected
    assert [event.epoch for event in heard.events if isinstance(event, EpochFinished)] == [3, 4, 5, 6]


def test_a_checkpoint_of_another_cpu_target_is_not_gone_on_from(heard: Heard) -> None:
    context = heard.context
    with pytest.raises(KeyboardInterrupt):
        trained(Context(context.client, context.store, stop_at_five, "stopped-target"))
    manifest = Path(checkpoint.folder_of(context.store.run("run"))) / "epoch-00004.json"
    content = files.without_seal(str(manifest), json.loads(manifest.read_text()))
    files.write_sealed(str(manifest), {**content, "cpu_target": "another"})
    with pytest.raises(
        SettingsError, match=r"kernels for another wrote the checkpoints, .* or train from scratch with --fresh"
    ):
        trained(context)


def test_finished_training_is_not_repeated(heard: Heard) -> None:
    first = trained(heard.context)
    heard.events.clear()
    assert trained(heard.context) == first
    assert not [event for event in heard.events if isinstance(event, EpochFinished)]


def test_the_best_epoch_is_kept_and_training_stops(heard: Heard) -> None:
    """With strong steps and no L2 the made ratings are soon learnt by heart, so validation turns around."""
    manifest, bits = trained(
        heard.context, TrainSettings(rank=RANK, epochs=60, checkpoint_epochs=4, l2=0.0, step=0.35, patience=2)
    )
    rmses = [stopping for _, stopping in manifest.history]
    assert manifest.epochs == manifest.best_epoch + 2 < 60
    assert rmses[manifest.best_epoch - 1] == min(rmses)
    kept = {entry.path.split("/")[0] for entry in manifest.shards["users"]}
    assert kept == {f"shards-{manifest.best_epoch:05d}"}
    assert len(bits) == 3 * SHARDS  # of users, of items, and effects of time


def test_only_what_two_checkpoints_need_is_left(context: Context) -> None:
    trained(context)
    left = sorted(path.name for path in Path(checkpoint.folder_of(context.store.run("run"))).iterdir())
    assert left == ["epoch-00004.json", "epoch-00006.json", "shards-00004", "shards-00006"]


def test_divergence_is_said_with_a_remedy(context: Context) -> None:
    with pytest.raises(Diverged, match=r"epoch \d+: .* no longer finite .* lower train.step"):
        trained(context, TrainSettings(rank=RANK, epochs=20, step=1e20, l2=0.0))


def test_divergence_in_the_last_step_is_noticed_without_validation(context: Context) -> None:
    """One epoch: its errors are met before the steps that make the factors infinite."""
    with pytest.raises(Diverged, match="epoch 1: "):
        trained(context, TrainSettings(rank=RANK, epochs=1, step=3e38, l2=0.0, stop_on="nothing"))


def test_unrated_rows_stay_zero(context: Context) -> None:
    made = made_ratings(users=60, items=40, count=300)
    lonely = int(made.users[0])
    made.is_validation[made.users == lonely] = True
    dataset, split = publish_ratings(context, made)
    blocks = grid(context, dataset, split, GridSettings(shards=SHARDS))
    folder = context.store.run("run")
    manifest = train(TrainingJob(context, blocks, (1.0, 5.0), SETTINGS, folder))
    entry = manifest.shards["users"][lonely % SHARDS]
    shard = read_shard(files.join(checkpoint.folder_of(folder), entry.path), entry.checksum, RANK)
    assert not shard.factors[lonely // SHARDS].any()
    assert shard.biases[lonely // SHARDS] == 0.0
    assert shard.factors.any()


def test_errors_add_up_to_rmse_and_mae() -> None:
    total = Errors(3.0, 4.0, 2) + Errors(1.0, 2.0, 2)
    assert (total.rmse, total.mae) == (1.0, 1.5)
