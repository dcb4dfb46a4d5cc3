"""Training on a small made-up set, and the bits that it keeps: for every cluster that is to give the same ones.

Covers: grid and training on the cluster of a context, with effects of time.
Does not cover: the ratings (conftest.py), or what is compared (test_train.py, test_stretch.py, test_joining.py,
test_slurm.py, test_ssh.py, test_gateway.py).
"""

from __future__ import annotations

from conftest import made_ratings, publish_ratings

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.settings.sections import GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.tasks.storage import files

SHARDS, RANK = 4, 5
SETTINGS = TrainSettings(rank=RANK, epochs=6, checkpoint_epochs=2, patience=6, seed=3)
Bits = dict[str, bytes]


def trained(context: Context, settings: TrainSettings = SETTINGS) -> tuple[Training, Bits]:
    """Train on made ratings; return the manifest and every kept shard as bytes."""
    dataset, split = publish_ratings(context, made_ratings().with_days())
    blocks = grid(context, dataset, split, GridSettings(shards=SHARDS), days=True)
    folder = context.store.run("run")
    manifest = train(TrainingJob(context, blocks, (1.0, 5.0), settings, folder, times="user_days,drift"))
    assert manifest.times is not None
    kept = [*(entry for side in ("users", "items") for entry in manifest.shards[side]), *manifest.times.users]
    return manifest, {
        entry.path.split("/")[1]: files.read_bytes(files.join(checkpoint.folder_of(folder), entry.path))
        for entry in kept
    }
