"""Ratings that are trained on as log(1 + rating), and come back in their own units.

Covers: ingest.transform, from the raw file to what leaves a model: predictions, rows, recommendations, folded-in rows.
Does not cover: which message names it (test_usefulness.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client
from growing_ratings import address_of
from ingesting import ingest, refusal, settings, table
from skewed import counts, written

from funkflow import Model, RunResult, run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.stages import split as split_stage
from funkflow.tasks.errors import BadInput, ModelRefused, SettingsError
from funkflow.tasks.storage import files

LOG = "ingest.transform=log1p"


def settings_for(folder: Path, ratings: str, client: Client) -> Settings:
    return Settings.build(
        {
            "root": str(folder / "root"),
            "ingest": {"ratings": ratings},
            "grid": {"shards": 2},
            "train": {"rank": 3, "epochs": 20},
            "report": {"write": False},
            "recommend": {"count": 3},
            "ranking": {"threshold": 50.0},
            "cluster": {"scheduler": address_of(client)},
        }
    )


@pytest.fixture(scope="module")
def trained(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings, RunResult]:
    """A run that predicts each of its own pairs, too."""
    folder = tmp_path_factory.mktemp("counts")
    chosen = settings_for(folder, written(counts(), folder / "counts.csv"), client)
    pairs = written(counts()[["user", "item"]], folder / "pairs.csv")
    return folder, chosen, run(chosen, [LOG, f'predict.pairs="{pairs}"'])


def test_it_is_the_model_of_the_logarithms_turned_back(
    trained: tuple[Path, Settings, RunResult], client: Client, tmp_path: Path
) -> None:
    """The twin takes the logarithms before they are written, and turns back what it predicts by hand."""
    _, _, result = trained
    logarithms = counts().assign(rating=lambda frame: np.log1p(frame["rating"].astype(np.float64)))
    twin = run(settings_for(tmp_path, written(logarithms, tmp_path / "logs.csv"), client), ["recommend.count=0"])
    model, by_hand = Model.load(result.paths["model"]), Model.load(twin.paths["model"])
    assert (result.rmse, result.mae) == (twin.rmse, twin.mae)
    np.testing.assert_array_equal(model.item_factors, by_hand.item_factors)
    users, items = counts()["user"], counts()["item"]
    np.testing.assert_allclose(model.predict(users, items), np.expm1(by_hand.predict(users, items)), rtol=1e-12)


def test_the_result_says_of_what_its_rmse_is_and_all_three_compare(
    trained: tuple[Path, Settings, RunResult],
) -> None:
    _, _, result = trained
    assert result.transform == "log1p"
    assert result.validation.endswith(", of log(1 + rating)")
    scores = [result.evaluation[name]["rmse"] for name in ("model", "biases", "mean")]
    assert scores == sorted(scores)
    assert scores[0] < 0.8
    assert result.ranking["threshold"] == pytest.approx(50.0)
    assert "RMSE of log(1 + rating) 0." in repr(Model.load(result.paths["model"]))


def test_what_leaves_the_model_is_in_rating_units(trained: tuple[Path, Settings, RunResult]) -> None:
    _, _, result = trained
    model = Model.load(result.paths["model"])
    raw = counts()
    predicted = pd.read_parquet(Path(result.paths["predictions"], "predictions.parquet"))
    expected = model.predict(predicted["user"], predicted["item"])
    np.testing.assert_allclose(predicted["prediction"], expected, rtol=1e-5)
    near = np.median(np.abs(np.log1p(expected) - np.log1p(raw["rating"])))
    assert near < 0.4
    assert expected.max() <= raw["rating"].max() * (1 + 1e-6)
    users, items = model.user_ids[:4], model.item_ids[:5]
    block = model.reconstruct(users, items)
    np.testing.assert_allclose(block[1], model.predict([users[1]] * 5, items), rtol=1e-6)
    best, scores = model.recommend(users[0], n=2)
    np.testing.assert_allclose(scores, model.predict([users[0]] * 2, best, clip=False), rtol=1e-6)
    listed = pd.read_parquet(Path(result.paths["recommendations"], "recommendations.parquet"))
    unclipped = model.predict(listed["user"], listed["item"], clip=False)
    np.testing.assert_allclose(listed["score"], unclipped, rtol=1e-4)


def test_a_row_that_is_folded_in_takes_ratings_in_their_units(trained: tuple[Path, Settings, RunResult]) -> None:
    model = Model.load(trained[2].paths["model"])
    raw = counts()
    user = raw["user"].value_counts().index[0]
    own = raw[raw["user"] == user]
    greatest = raw.iloc[int(raw["rating"].to_numpy().argmax())]
    folded = model.fold_in(dict(zip(own["item"].tolist(), own["rating"].tolist(), strict=True)))
    items, scores = model.recommend(folded, n=50, exclude=())
    ours = pd.Series(scores, items)[own["item"]].to_numpy()
    assert np.median(np.abs(np.log1p(ours) - np.log1p(own["rating"]))) < 0.6
    model.fold_in({int(greatest["item"]): float(greatest["rating"])})  # the end of the scale belongs to it
    with pytest.raises(BadInput, match=r"rating 1e\+09 of .* is not a number from 0 to"):
        model.fold_in({int(greatest["item"]): 1e9})


def test_a_model_of_another_scale_is_neither_started_from_nor_compared(
    trained: tuple[Path, Settings, RunResult],
) -> None:
    _, chosen, result = trained
    plain = ["train.epochs=1", "gate.beats_biases=false", "recommend.count=0", "ranking.count=0"]
    with pytest.raises(SettingsError, match=r"ingest\.transform is none, but log1p in the start model"):
        run(chosen, [*plain, "train.warm_start=true", f'train.warm_from="{result.paths["model"]}"'])
    with pytest.raises(
        ModelRefused, match=r"ingest\.transform is log1p in the model in use, .*, and none in the new one"
    ):
        run(chosen, [*plain, "gate.rmse_worse_by_at_most=1.0"], until="export")


def test_another_transformation_is_another_dataset_and_none_is_the_one_it_always_was(
    context: Context, tmp_path: Path
) -> None:
    path = written(counts(), tmp_path / "counts.csv")
    plain, logs = (ingest(context, settings(path, transform=each)) for each in ("none", "log1p"))
    assert plain.id != logs.id
    assert "transform" not in plain.seen["settings"]
    assert plain.rating_maximum == counts()["rating"].max()
    assert logs.rating_maximum == pytest.approx(np.log1p(counts()["rating"].max()))
    both = table(context, plain).merge(table(context, logs), on=["user", "item"])
    np.testing.assert_array_equal(both["rating_y"], np.log1p(both["rating_x"].astype(np.float64)).astype(np.float32))


def test_what_comes_later_and_what_validates_is_transformed_alike(context: Context, tmp_path: Path) -> None:
    whole = counts()
    written(whole[:1500], tmp_path / "day-0.csv")
    chosen = settings(tmp_path / "day-*.csv", transform="log1p", incremental=True, scale=[0, 1e6])
    ingest(context, chosen)
    written(whole[1500:2300], tmp_path / "day-1.csv")
    dataset = ingest(context, chosen)
    assert dataset.parent is not None
    assert dataset.scale == pytest.approx((0.0, np.log1p(1e6)))
    found = table(context, dataset).merge(whole, on=["user", "item"])
    np.testing.assert_allclose(found["rating_x"], np.log1p(found["rating_y"]), rtol=1e-6)
    file = written(whole[2300:], tmp_path / "validation.csv")
    split = Settings.build({"split": {"kind": "file", "file": file}}).split
    manifest = split_stage.split(context, dataset, split, chosen, 0.0)
    folder = context.store.split(manifest.id)
    held_out = [files.read_table(f"{folder}/{each.path}")["rating"].to_numpy()
                for each in manifest.validation.parts]  # fmt: skip
    expected = np.sort(np.log1p(whole["rating"][2300:]))
    np.testing.assert_allclose(np.sort(np.concatenate(held_out)), expected, rtol=1e-6)


def test_a_rating_without_a_logarithm_is_named_with_its_line(context: Context, tmp_path: Path) -> None:
    frame = counts(200)
    frame.loc[57, "rating"] = -1.0
    path = written(frame, tmp_path / "counts.csv")
    message = refusal(context, path, transform="log1p")
    assert message.startswith(f"{path}:59: the rating is -1 or less and has no log(1 + rating): ")
    assert 'set ingest.transform = "none", or set ingest.on_bad_rows = "quarantine"' in message
    kept = ingest(context, settings(path, transform="log1p", on_bad_rows="quarantine"))
    assert (kept.ratings, kept.quarantined) == (199, 1)
    assert ingest(context, settings(path)).ratings == 200


def test_a_scale_that_begins_at_minus_one_has_no_logarithm() -> None:
    with pytest.raises(SettingsError, match=r"takes ratings above -1, and scale \[-1\.0, 5\.0\] begins below"):
        Settings.build({"ingest": {"ratings": "x", "scale": [-1, 5], "transform": "log1p"}})
