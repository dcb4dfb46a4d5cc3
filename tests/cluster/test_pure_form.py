"""Without mean and biases, a model is U V^T and nothing else.

Covers: the model that is exported after stochastic descent with `train.biases = false` and `train.center = false`.
Does not cover: how good it is (test_eckart_young.py on matrices without gaps).
"""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
from conftest import Heard, made_ratings, publish_ratings

from funkflow.pipeline.root.manifests import TrainingData
from funkflow.pipeline.settings.sections import GridSettings, TrainSettings
from funkflow.pipeline.stages.export import export
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files

RANK, SHARDS = 6, 2


def test_predictions_of_the_pure_form_are_the_product_of_the_factors(heard: Heard) -> None:
    context, scale = heard.context, (1.0, 5.0)
    dataset, split = publish_ratings(context, made_ratings())
    blocks = grid(context, dataset, split, GridSettings(shards=SHARDS))
    settings = TrainSettings(rank=RANK, epochs=20, step=0.2, biases=False, center=False, stop_on="nothing")
    folder = context.store.run("run")
    training = train(TrainingJob(context, blocks, scale, settings, folder))
    url = export(
        context,
        TrainingData(dataset, split, blocks),
        training,
        RANK,
        {"id_types": dict.fromkeys(("user", "item"), "integer")},
    )
    model = Model.load(url)
    assert model.mean == 0.0
    assert not model.user_biases.any()
    assert not model.item_biases.any()
    predicted = model.predict(np.repeat(model.user_ids, 40), np.tile(model.item_ids, 60), clip=False).reshape(60, 40)
    # The factors as other programs read them, and as training left them, in units of the ratings' deviation.
    users, items = (
        np.stack(pq.read_table(f"{url}/{side}_factors.parquet")["factors"].to_pylist()) for side in ("user", "item")
    )
    trained = [
        np.concatenate(
            [
                read_shard(files.join(checkpoint.folder_of(folder), entry.path), entry.checksum, RANK).factors
                for entry in training.shards[side]
            ]
        ).astype(np.float64)
        for side in ("users", "items")
    ]
    rounding = 4 * RANK * np.finfo(np.float32).eps * (np.abs(users) @ np.abs(items).T)
    assert np.abs(predicted).max() > 1.0
    assert (np.abs(predicted - users @ items.T) <= rounding).all()
    assert (np.abs(predicted - trained[0] @ trained[1].T * training.steps.deviation) <= rounding).all()
