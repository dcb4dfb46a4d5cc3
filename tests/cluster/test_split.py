"""What is held out of a dataset, by file, hash and time, and what is left for training.

Covers: every kind of split on a real cluster, its manifest, its stability when data are added, bad validation files.
Does not cover: ingest (test_ingest.py) and the grid, which leaves the held-out rows out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Heard
from raw_forms import Row, attempt, delimited, made_rows, write_combined, write_mv_folder, write_parquet, write_probe

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import StageFinished
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.stages.ingest import ingest
from funkflow.pipeline.stages.split import split
from funkflow.tasks.dataset.hold_out import last_rows
from funkflow.tasks.errors import BadInput

ROWS = made_rows(3000, users=120, items=60)


def dataset_of(context: Context, path: Path, **more: Any) -> Dataset:
    plain = {"ratings": [str(path)], "chunk_bytes": 8192, "partition_ratings": 1000, **more}
    return ingest(attempt(context), Settings.build({"ingest": plain}).ingest)


def split_of(context: Context, dataset: Dataset, slice_fraction: float = 0.0, **plain: Any) -> Split:
    settings = Settings.build({"split": plain, "ingest": {"chunk_bytes": 2048}, "train": {"stop_on": "nothing"}})
    return split(attempt(context), dataset, settings.split, settings.ingest, slice_fraction)


def raw_pairs(context: Context, dataset: Dataset, table: pd.DataFrame) -> list[tuple[Any, Any]]:
    folder = Path(context.store.dataset(dataset.id))
    users, items = (pd.read_parquet(folder / f"{side}.parquet")["raw_id"].to_numpy() for side in ("users", "items"))
    known = table[(table["user"] >= 0) & (table["item"] >= 0)]
    return list(zip(users[known["user"]].tolist(), items[known["item"]].tolist(), strict=True))


def held_out(context: Context, manifest: Split, name: str = "validation") -> list[pd.DataFrame]:
    folder = Path(context.store.split(manifest.id))
    return [pd.read_parquet(folder / part.path) for part in manifest.held_out[name].parts]


def parts(context: Context, dataset: Dataset) -> list[pd.DataFrame]:
    return [pd.read_parquet(Path(context.store.dataset(dataset.id)) / part.path) for part in dataset.parts]


@pytest.fixture
def dataset(context: Context, tmp_path: Path) -> Dataset:
    return dataset_of(context, write_mv_folder(tmp_path / "nf", ROWS))


def check_rows(context: Context, dataset: Dataset, manifest: Split, name: str = "validation") -> None:
    """Every held-out rating with a row is the rating at that row of its part."""
    assert len(dataset.parts) == 4
    for part, chosen in zip(parts(context, dataset), held_out(context, manifest, name), strict=True):
        at = part.iloc[chosen["row"]].reset_index(drop=True)
        pd.testing.assert_frame_equal(at, chosen.drop(columns="row"))


def test_a_fraction_is_about_its_size_and_points_at_its_rows(context: Context, dataset: Dataset) -> None:
    manifest = split_of(context, dataset, kind="fraction", fraction=0.1)
    assert 230 < manifest.validation.ratings < 370
    assert manifest.training_ratings == 3000 - manifest.validation.ratings
    assert manifest.split == "hash 10 % (seed 0)"
    check_rows(context, dataset, manifest)


def test_a_fraction_follows_its_seed(context: Context, dataset: Dataset) -> None:
    chosen = [
        set(
            raw_pairs(
                context, dataset, pd.concat(held_out(context, split_of(context, dataset, kind="fraction", seed=seed)))
            )
        )
        for seed in (0, 1)
    ]
    assert len(chosen[0] & chosen[1]) < 0.3 * len(chosen[0])


def test_a_fraction_stays_put_when_data_are_added(context: Context, dataset: Dataset, tmp_path: Path) -> None:
    fewer = dataset_of(context, write_combined(tmp_path / "fewer", ROWS[:1500]), partition_ratings=10**6, seed=3)
    before, after = (
        set(raw_pairs(context, each, pd.concat(held_out(context, split_of(context, each, kind="fraction")))))
        for each in (fewer, dataset)
    )
    assert len(fewer.parts) != len(dataset.parts)
    assert before == after & {(user, item) for user, item, _, _ in ROWS[:1500]}


def test_the_last_of_each_user_are_its_newest(context: Context, dataset: Dataset) -> None:
    manifest = split_of(context, dataset, kind="last", last=2)
    expected = []
    for user in {row[0] for row in ROWS}:
        own = sorted((day, item) for each, item, _, day in ROWS if each == user)
        expected += [(user, item) for _, item in own[-2:]]
    assert sorted(raw_pairs(context, dataset, pd.concat(held_out(context, manifest)))) == sorted(expected)
    assert manifest.split == "last 2 per user"
    check_rows(context, dataset, manifest)


def test_a_user_keeps_one_rating_for_training() -> None:
    users = np.array([0, 0, 1, 2, 2, 2], np.int32)
    times = np.array([5, 4, 9, 1, 1, 0])
    ties = np.array([0, 1, 0, 7, 3, 1])
    assert last_rows(users, times, ties, 3).tolist() == [0, 3, 4]
    assert last_rows(users, times, ties, 1).tolist() == [0, 3]


def test_last_needs_times(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user,item,rating\n1,1,3\n1,2,4\n")
    with pytest.raises(BadInput, match=r'split.kind = "last" needs the times of ratings'):
        split_of(context, dataset_of(context, path), kind="last")


def test_a_slice_is_drawn_from_what_is_left(context: Context, dataset: Dataset) -> None:
    manifest = split_of(context, dataset, slice_fraction=0.2, kind="fraction", fraction=0.2)
    validation, sliced = (pd.concat(held_out(context, manifest, name)) for name in ("validation", "slice"))
    assert not set(raw_pairs(context, dataset, validation)) & set(raw_pairs(context, dataset, sliced))
    assert 0.16 < manifest.held_out["slice"].ratings / (3000 - len(validation)) < 0.24
    assert manifest.training_ratings == 3000 - len(validation) - len(sliced)
    check_rows(context, dataset, manifest, "slice")


def test_no_validation_may_be_asked_for(context: Context, dataset: Dataset) -> None:
    manifest = split_of(context, dataset, kind="none")
    assert (manifest.validation.ratings, manifest.slice, manifest.training_ratings) == (0, None, 3000)


def test_a_probe_file_moves_its_ratings_to_validation(context: Context, dataset: Dataset, tmp_path: Path) -> None:
    probe = [ROWS[number] for number in range(0, 3000, 11)]
    manifest = split_of(context, dataset, kind="file", file=str(write_probe(tmp_path / "probe.txt", probe)))
    table = pd.concat(held_out(context, manifest))
    assert sorted(raw_pairs(context, dataset, table)) == sorted((user, item) for user, item, _, _ in probe)
    assert (manifest.split, manifest.training_ratings) == ("probe.txt", 3000 - len(probe))
    check_rows(context, dataset, manifest)


def test_a_probe_pair_that_is_not_in_the_data_is_named_by_line(
    context: Context, dataset: Dataset, tmp_path: Path
) -> None:
    probe = write_probe(tmp_path / "probe.txt", ROWS[:40])
    lines = probe.read_text().splitlines()
    probe.write_text("\n".join([*lines[:30], "4", "5", *lines[30:], "6"]) + "\n")
    film = next(line for line in reversed(lines[:30]) if line.endswith(":"))[:-1]
    with pytest.raises(BadInput, match=rf"probe\.txt:31: user 4 has no rating for item {film} in the data"):
        split_of(context, dataset, kind="file", file=str(probe))
    assert not list(Path(context.store.root).glob("splits/*/*"))


@pytest.mark.parametrize("form", ["csv of pairs", "parquet", "u1.test"])
def test_a_validation_file_may_have_any_form(form: str, context: Context, dataset: Dataset, tmp_path: Path) -> None:
    probe = ROWS[5:3000:17]
    path = tmp_path / {"csv of pairs": "pairs.csv", "parquet": "pairs.parquet", "u1.test": "u1.test"}[form]
    if form == "csv of pairs":
        path.write_text("item,user\n" + "".join(f"{item},{user}\n" for user, item, _, _ in probe))
    elif form == "parquet":
        write_parquet(path, probe)
    else:
        path.write_text(delimited(probe, "\t"))
    manifest = split_of(context, dataset, kind="file", file=str(path))
    table = pd.concat(held_out(context, manifest))
    assert sorted(raw_pairs(context, dataset, table)) == sorted((user, item) for user, item, _, _ in probe)
    check_rows(context, dataset, manifest)


def test_a_file_of_ratings_brings_its_own_ratings_and_unknown_ids(
    context: Context, dataset: Dataset, tmp_path: Path
) -> None:
    user, item, rating, _ = ROWS[0]
    absent = next(row[1] for row in ROWS if (user, row[1]) not in {each[:2] for each in ROWS})
    path = tmp_path / "valid.csv"
    lines = [
        (user, item, 6 - rating, 1),
        (user, item, 2.5, 0),
        (user, absent, 4, 1),
        (999_999_999, item, 3, 1),
        (user, 999_999, 2, 1),
    ]
    path.write_text("user,item,rating,timestamp\n" + "".join(",".join(map(str, line)) + "\n" for line in lines))
    manifest = split_of(context, dataset, kind="file", file=str(path))
    table = pd.concat(held_out(context, manifest))
    assert (manifest.duplicates, manifest.training_ratings, len(table)) == (1, 2999, 4)
    known = table[table["row"] >= 0]
    assert known["rating"].tolist() == [6 - rating]
    others = table[table["row"] < 0].sort_values("rating")
    assert others["rating"].tolist() == [2.0, 3.0, 4.0]
    assert (others["item"] == -1).tolist() == [True, False, False]
    assert (others["user"] == -1).tolist() == [False, True, False]


def test_a_bad_row_of_the_validation_file_is_named(context: Context, dataset: Dataset, tmp_path: Path) -> None:
    path = write_probe(tmp_path / "probe.txt", ROWS[:3])
    path.write_text(path.read_text() + "seven\n")
    with pytest.raises(BadInput, match=r"probe\.txt:5: user 'seven' is not an integer"):
        split_of(context, dataset, kind="file", file=str(path))


def test_a_validation_file_that_is_not_there_is_named(context: Context, dataset: Dataset) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.txt: no such file"):
        split_of(context, dataset, kind="file", file="nowhere.txt")


def test_an_empty_validation_is_refused(context: Context, tmp_path: Path) -> None:
    rows: list[Row] = [(1, 1, 3, "2000-01-01"), (2, 1, 4, "2000-01-01")]
    dataset = dataset_of(context, write_combined(tmp_path / "nf", rows, 1))
    with pytest.raises(BadInput, match="split last 1 per user takes none of "):
        split_of(context, dataset, kind="last")


def test_a_split_made_once_is_used_again(heard: Heard, tmp_path: Path) -> None:
    dataset = dataset_of(heard.context, write_combined(tmp_path / "nf", ROWS))
    probe = write_probe(tmp_path / "probe.txt", ROWS[:20])
    first = split_of(heard.context, dataset, kind="file", file=str(probe))
    assert split_of(heard.context, dataset, kind="file", file=str(probe)) == first
    write_probe(tmp_path / "probe.txt", ROWS[:21])
    assert split_of(heard.context, dataset, kind="file", file=str(probe)).id != first.id
    finished = [event.reused for event in heard.events if isinstance(event, StageFinished) and event.stage == "split"]
    assert finished == [False, True, False]


@pytest.mark.parametrize("plain", [{"kind": "fraction"}, {"kind": "last"}, {"kind": "none"}, {"kind": "file"}])
def test_parts_may_be_empty(plain: dict[str, Any], context: Context, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user,item,rating,time\n" + "".join(f"1,{item},3,{item}\n" for item in range(1001)))
    dataset = dataset_of(context, path)
    (tmp_path / "pairs.csv").write_text("user,item\n1,5\n")
    more = {"file": str(tmp_path / "pairs.csv")} if plain["kind"] == "file" else {}
    manifest = split_of(context, dataset, slice_fraction=0.1, **plain, **more)
    assert 0 in [part.rows for part in dataset.parts]
    assert manifest.training_ratings == 1001 - manifest.validation.ratings - manifest.held_out["slice"].ratings


def test_string_ids_split_too(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        "user,item,rating\n" + "".join(f"u{number % 50},i{number // 50},{1 + number % 5}\n" for number in range(500))
    )
    dataset = dataset_of(context, path)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("user,item\nu3,i4\nu7,i0\n")
    manifest = split_of(context, dataset, kind="file", file=str(pairs))
    assert sorted(raw_pairs(context, dataset, pd.concat(held_out(context, manifest)))) == [("u3", "i4"), ("u7", "i0")]
    assert split_of(context, dataset, kind="fraction", fraction=0.2).validation.ratings > 50


def test_published_folds_of_movielens_100k(context: Context, ratings_dir: Path) -> None:
    folder = ratings_dir / "ml-100k"
    dataset = dataset_of(context, folder / "u.data", chunk_bytes=10**6, partition_ratings=50_000)
    manifest = split_of(context, dataset, kind="file", file=str(folder / "u1.test"))
    assert (manifest.validation.ratings, manifest.training_ratings) == (20_000, 80_000)
    assert manifest.split == "u1.test"
