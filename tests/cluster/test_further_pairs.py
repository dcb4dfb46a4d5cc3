"""Pairs that are known without their rating tell training who met what.

Covers: ingest.known_pairs with files and with the validation pairs, what a run says of them, the same bits on two
workers with streamed blocks, and refusals.
Does not cover: products with these pairs (tests/unit/test_known_pairs.py), draws (tests/unit/test_implicit_draws.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import made_ratings, publish_ratings
from distributed import Client
from posterior_runs import posterior_settings

from funkflow import Settings, run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.datasets.known_pairs import KnownPairs
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.manifests import Dataset, Grid, Split
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import GridSettings, IngestSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.pipeline.training.placed_grid import stored_row
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.training.implicit.known_pairs import further_pairs

USERS, ITEMS = 60, 40
SGD = TrainSettings(rank=4, epochs=6, implicit="both", seed=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ratings, a validation file with a tenth of them, and views: all these pairs, and 50 more."""
    rng = np.random.default_rng(1)
    users, items = np.divmod(rng.permutation(USERS * ITEMS)[:950], ITEMS)
    table = pd.DataFrame({"user": 100 + users, "item": 500 + items, "rating": rng.integers(1, 6, 950)})
    table[:900].to_csv(tmp_path / "ratings.csv", index=False)
    table[:90].to_csv(tmp_path / "validation.csv", index=False)
    table[["user", "item"]].to_csv(tmp_path / "views.csv", index=False)
    return tmp_path


def settings_of(folder: Path, client: Client, *pairs: str, **train: Any) -> Settings:
    return posterior_settings(
        folder, client,
        ingest={"ratings": str(folder / "ratings.csv"), "known_pairs": list(pairs)},
        split={"kind": "file", "file": str(folder / "validation.csv")}, train={"rank": 3, "time": "none", **train},
    )  # fmt: skip


def said_by(settings: Settings) -> tuple[Any, list[Noticed]]:
    said: list[Event] = []
    result = run(settings, listeners=[said.append], until="evaluate")
    return result, [each for each in said if isinstance(each, Noticed) and "known" in each.message]


def test_the_word_and_a_file_of_all_pairs_know_the_same_validation_pairs(folder: Path, client: Client) -> None:
    told = settings_of(folder, client, "validation")
    result, (first, warning) = said_by(told)
    assert told.train.implicit == "both"
    assert first.message.startswith("known without their rating: 90 pairs (")
    assert warning.warning
    assert warning.message.startswith("training knows 90 of 90 validation pairs, though not their ratings: ")
    assert result.split == "validation.csv, its pairs known"
    alone = settings_of(folder, client)
    assert said_by(alone)[0].rmse != result.rmse

    pd.read_csv(folder / "views.csv")[:900].to_csv(folder / "rated.csv", index=False)
    same, (first, _) = said_by(settings_of(folder, client, str(folder / "rated.csv")))
    assert first.message.startswith("known without their rating: 90 pairs, 810 rows have a training rating (")
    assert same.rmse == result.rmse
    more, (first, _) = said_by(settings_of(folder, client, str(folder / "views.csv"), "validation"))
    assert "known without their rating: 140 pairs" in first.message
    assert more.rmse != result.rmse


def test_views_of_other_pairs_make_no_warning_and_count_unknown_ids(folder: Path, client: Client) -> None:
    views = pd.read_csv(folder / "views.csv")[900:]
    pd.concat([views, pd.DataFrame({"user": [1], "item": [500]})]).to_csv(folder / "views.csv", index=False)
    settings = settings_of(folder, client, str(folder / "views.csv"))
    result, notes = said_by(settings)
    assert [each.message for each in notes] == [
        "known without their rating: 50 pairs, 1 rows have a user or item that the data lack (ingest.known_pairs)"
    ]
    assert result.split == "validation.csv"


def known_grid(context: Context, made: tuple[Dataset, Split]) -> Grid:
    known = KnownPairs.of(context, made[0], IngestSettings(known_pairs=("validation",)))
    return grid(context, *made, GridSettings(shards=4), known=known)


def bits_of(client: Client, folder: Path, streamed: bool) -> tuple[list[Any], list[bytes]]:
    context = Context(client, Store(str(folder)), lambda event: None, f"known-{streamed}")
    blocks = known_grid(context, publish_ratings(context, made_ratings()))
    run_folder = context.store.run("run")
    found = train(TrainingJob(context, blocks, (1.0, 5.0), SGD, run_folder, streamed=streamed))
    files = sorted(Path(run_folder).glob("checkpoints/**/*.npy"))
    return list(found.history), [each.read_bytes() for each in files]


def test_two_workers_with_streamed_blocks_give_the_bits_of_one(
    client: Client, two_workers: Client, tmp_path: Path
) -> None:
    one, two = bits_of(client, tmp_path / "one", False), bits_of(two_workers, tmp_path / "two", True)
    assert one == two
    assert one[1]


def test_the_grid_has_the_validation_pairs_beside_its_ratings(client: Client, tmp_path: Path) -> None:
    context, made = Context(client, Store(str(tmp_path)), lambda event: None, "known-grid"), made_ratings()
    blocks = known_grid(context, publish_ratings(context, made))
    assert blocks.known
    assert blocks.known.pairs == int(made.is_validation.sum()) == sum(each.rows for each in blocks.further)
    wanted = np.bincount(made.users[made.is_validation], minlength=made.shape[0])
    found = np.empty(made.shape[0])
    for row in range(4):
        found[row::4] = further_pairs(stored_row(context, blocks, row).read())
    np.testing.assert_array_equal(found, wanted)


def test_pairs_that_tell_nothing_are_refused_in_one_line(folder: Path, client: Client) -> None:
    (folder / "views.csv").write_text("user,item\n7,500\n8,500\n")
    with pytest.raises(BadInput, match=r"no pair that has no training rating \(2 rows .*\): check its ids, or"):
        said_by(settings_of(folder, client, str(folder / "views.csv")))
    (folder / "views.csv").write_text("user,item\n100,500\n101,\n")
    with pytest.raises(BadInput, match=r"views\.csv:3: "):
        said_by(settings_of(folder, client, str(folder / "views.csv")))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"implicit": "none"}, 'train.implicit = "none" learns nothing from ingest.known_pairs: leave it out, or set'),
        ({"method": "als"}, "train.method = 'als' learns nothing from ingest.known_pairs: leave it out, or set"),
    ],
)
def test_who_learns_nothing_from_pairs_says_so(train: dict[str, Any], message: str) -> None:
    content = {"ingest": {"ratings": ["r.csv"], "known_pairs": ["views.csv"]}, "train": train}
    with pytest.raises(SettingsError) as said:
        Settings.build(content)
    assert message in said.value.message
    assert said.value.message.count("\n") == 0
