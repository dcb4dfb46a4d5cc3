"""What tasks read: the ids, the ratings and the rows of a model that they need, and no whole table in every task.

Covers: tasks/dataset/trained_pairs.py, tasks/evaluation/placed_ratings.py beside plain loops; what tasks of split,
export, warm start and scoring open, counted; columns that lie in another order.
Does not cover: pieces and matches as such (test_id_pieces.py), the stages (test_split.py, test_gate.py, test_report.py,
test_warm_start.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from source_files import sources

from funkflow.tasks.dataset.hold_out import HoldOutRule, hold_out_part
from funkflow.tasks.dataset.id_pieces import cut_by_part, cut_by_shard
from funkflow.tasks.dataset.matches import find_places, match_by_part, match_by_shard
from funkflow.tasks.dataset.trained_pairs import TrainedRatings, TrainingMatch, are_trained_on, parts_with
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.evaluation.breakdown import COUNT, SQUARED, Bins, BreakdownJob, break_down
from funkflow.tasks.evaluation.describe import RatingCounts, count_part, write_counts
from funkflow.tasks.evaluation.placed_ratings import errors_of_part, place_in_other, place_own
from funkflow.tasks.grid.factor_shard import ShardStart, initial_shard, write_shard
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.model.about import PartEntry, read_about, write_about
from funkflow.tasks.model.model import Model, write_factor_table
from funkflow.tasks.model.parts import ModelParts, read_side
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.parsing.ids import buckets_of
from funkflow.tasks.serving.rank_part import most_rated, rank_part
from funkflow.tasks.serving.recommend import recommend_part
from funkflow.tasks.serving.served_model import HeldModel, ServedModel, UserRows
from funkflow.tasks.storage import files
from funkflow.tasks.training.saved_shards import export_shard
from funkflow.tasks.training.score import Errors
from funkflow.tasks.training.warm_rows import ModelSide, warm_rows

CHECKOUT = Path(__file__).parents[2]
USERS, ITEMS, SHARDS, RANK = 40, 18, 3, 4


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files that are read whole from here on, in order."""
    names: list[str] = []
    read = files.read_bytes

    def watched(url: str, expected_checksum: str | None = None) -> bytes:
        names.append(url.rsplit("/", 1)[1])
        return read(url, expected_checksum)

    monkeypatch.setattr(files, "read_bytes", watched)
    return names


def written(folder: Path | str, name: str, **columns: Any) -> tuple[str, str]:
    url = f"{folder}/{name}.parquet"
    return url, files.write_table(url, pa.table(columns))


def test_holding_out_reads_no_table_of_users_but_once(tmp_path: Path, opened: list[str]) -> None:
    """By hash, which rests on raw ids alone, so the parts together hold out what one part would."""
    rng = np.random.default_rng(0)
    pairs = np.unique(np.stack([rng.integers(0, USERS, 900), rng.integers(0, ITEMS, 900)]), axis=1).astype(np.int32)
    users = written(tmp_path, "users", raw_id=rng.permutation(500)[:USERS])
    items = written(tmp_path, "items", raw_id=range(ITEMS))
    held_out = {}
    for parts in (1, 4):
        folder = tmp_path / f"{parts}"
        cut = str(folder / "u")
        rule = HoldOutRule("fraction", 0.2, seed=1, slice_fraction=0.2, parts=parts, users=cut, items=items)
        cut_by_part(users, parts, rule.users)
        buckets = buckets_of(pa.array(files.read_table(users[0])["raw_id"].combine_chunks()), parts)
        opened.clear()
        found: set[tuple[str, int, int]] = set()
        for part in range(parts):
            mine = pairs[:, buckets[pairs[0]] == part]
            place = written(folder, f"{part}", user=mine[0], item=mine[1], rating=np.ones(mine.shape[1], np.float32))
            chosen = hold_out_part(str(folder), f"{part}.parquet", place[1], part, rule, str(folder))
            assert chosen.slice
            for kind, entry in (("validation", chosen.validation), ("slice", chosen.slice)):
                rows = files.read_table(f"{folder}/{entry['path']}")
                found |= {
                    (kind, *pair) for pair in zip(rows["user"].to_pylist(), rows["item"].to_pylist(), strict=True)
                }
        assert "users.parquet" not in opened
        held_out[parts] = found
    assert held_out[1] == held_out[4]
    assert len(held_out[4]) > 50
    Path(items[0]).write_bytes(Path(items[0]).read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedFile, match=r"items\.parquet"):
        hold_out_part(str(folder), "0.parquet", None, 0, rule, str(folder))  # type: ignore[arg-type]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model in shards, as export leaves it in `tmp_path`/model; raw ids are ten times the dense ids."""
    rng = np.random.default_rng(3)
    parts: dict[str, list[PartEntry]] = {}
    for side, count in (("user", USERS), ("item", ITEMS)):
        place = f"{tmp_path}/model/{side}_factors.parquet"
        parts[side] = [
            write_factor_table(
                f"{place}/part.{shard:05d}.parquet", own := np.arange(count)[shard::SHARDS] * 10,
                rng.normal(size=len(own)).astype(np.float32), rng.normal(size=(len(own), RANK)).astype(np.float32),
            )
            for shard in range(SHARDS)
        ]  # fmt: skip
    write_about(f"{tmp_path}/model", 3.0, (1.0, 5.0), RANK, parts, {"id_types": {"user": "integer", "item": "integer"}})
    return Model.load(f"{tmp_path}/model")


def parts_of(tmp_path: Path) -> ModelParts:
    return ModelParts.of(f"{tmp_path}/model", read_about(f"{tmp_path}/model"))


@pytest.mark.usefixtures("model")
def test_exporting_and_starting_from_a_model_read_the_rows_of_their_shard(tmp_path: Path, opened: list[str]) -> None:
    """Of a model whose ids have their numbers still, that is one part for each shard."""
    parts = parts_of(tmp_path)
    table, steps = written(tmp_path, "users", raw_id=np.arange(USERS) * 10), StepSizes(3.0, 1.0, 0.0, 0.0, 0.0)
    side = ModelSide("user", parts.users, parts.user_counts, str(tmp_path / "match.arrow"), 0.0)
    match_by_shard(table, side.parts, SHARDS, side.match)
    pieces = cut_by_shard(table, SHARDS, str(tmp_path / "users.arrow"))
    start = ShardStart(RANK, 0, SHARDS)
    for shard in range(SHARDS):
        rows = len(range(shard, USERS, SHARDS))
        saved = str(tmp_path / "shard.npy")
        place = saved, write_shard(saved, initial_shard(np.ones(rows, bool), start, "user", shard))
        opened.clear()
        assert warm_rows(np.ones(rows), side, steps, start, shard).known.all()
        assert opened == [f"part.{shard:05d}.parquet"]
        opened.clear()
        entry = export_shard(place, RANK, pieces, shard, 1.0, str(tmp_path / "part.parquet"))
        assert opened == ["shard.npy"]
        exported = files.read_table(str(tmp_path / "part.parquet"), expected_checksum=entry["checksum"])
        assert exported["raw_id"].to_pylist() == list(range(shard * 10, USERS * 10, SHARDS * 10))


def held_out(folder: Path, number: int, users: Any, items: Any, ratings: Any) -> tuple[str, str]:
    times = pa.array(np.arange(len(users)) * 10**7, pa.timestamp("s"))
    columns = {"user": pa.array(users, pa.int32()), "item": pa.array(items, pa.int32())}
    return written(folder, f"held-{number}", **columns, rating=pa.array(ratings, pa.float32()), timestamp=times)


def test_parts_of_a_model_scored_one_by_one_add_up_to_the_whole(
    model: Model, tmp_path: Path, opened: list[str]
) -> None:
    """As its own grid numbers rows, and by raw ids of other data, some of which it does not know."""
    rng, parts = np.random.default_rng(7), parts_of(tmp_path)
    own_ids = {"users": np.arange(USERS) * 10, "items": np.arange(ITEMS) * 10}
    other_ids = {"users": rng.permutation(USERS + 20) * 10, "items": rng.permutation(ITEMS + 5) * 10}
    by = Scorer(RANK, parts.mean, parts.scale)
    items = read_side(parts.items, RANK)
    for which, raw in (("own", own_ids), ("other", other_ids)):
        users_table, items_table = (written(tmp_path, f"{which}-{side}", raw_id=each) for side, each in raw.items())
        match = match_by_part(users_table, parts.users, 2, str(tmp_path / f"{which}.arrow"))
        item_places = find_places(items_table, parts.items)
        buckets = buckets_of(pa.array(raw["users"]), 2)
        pieces, expected = [], Errors(0.0, 0.0, 0)
        for part in range(2):
            users = rng.choice(np.append(np.flatnonzero(buckets == part), -1), 60)
            its, ratings = rng.integers(-1, len(raw["items"]), 60), rng.integers(1, 6, 60).astype(float)
            place, url = held_out(tmp_path, part, users, its, ratings), str(tmp_path / f"{which}-placed-{part}")
            if which == "own":
                pieces.append(place_own(place, parts.user_counts, parts.item_counts, url))
            else:
                pieces.append(place_in_other(place, part, match, item_places, parts.user_counts, url))
            known = (users >= 0) & (its >= 0)
            errors = ratings[known] - model.score(raw["users"][users[known]], raw["items"][its[known]])
            expected += Errors(float(np.sum(errors**2)), float(np.sum(np.abs(errors))), len(errors))
        total = Errors(0.0, 0.0, 0)
        for number, place_of_users in enumerate([*parts.users, None]):
            opened.clear()
            total += errors_of_part(pieces, number, place_of_users, items, by)
            assert opened == ([f"part.{number:05d}.parquet"] if place_of_users else [])
        assert total.ratings == expected.ratings
        assert total.squared == pytest.approx(expected.squared, rel=1e-12)
        assert total.absolute == pytest.approx(expected.absolute, rel=1e-12)


def test_a_breakdown_reads_one_part_of_the_users(model: Model, tmp_path: Path, opened: list[str]) -> None:
    rng, parts = np.random.default_rng(9), parts_of(tmp_path)
    users, its, ratings = rng.integers(0, USERS, 90), rng.integers(0, ITEMS, 90), rng.integers(1, 6, 90).astype(float)
    pieces = [place_own(held_out(tmp_path, 0, users, its, ratings), parts.user_counts, parts.item_counts,
                        str(tmp_path / "placed"))]  # fmt: skip
    counts = {name: rng.integers(1, 99, size, np.int32) for name, size in (("users", USERS), ("items", ITEMS))}
    of_users, of_items = np.stack([np.arange(USERS, dtype=np.int32), counts["users"]]), np.stack([counts["items"]] * 2)
    sums = write_counts(str(tmp_path), USERS, RatingCounts(of_users, of_items, {}, {}))["checksums"]
    ruler = Bins(1.0, 5.0, (1.0, 2.0, 3.0, 4.0, 5.0), (0, 600))
    user_counts, item_counts = ((str(tmp_path / name), sums[name]) for name in ("users.npy", "items.npy"))
    by = Scorer(RANK, parts.mean, parts.scale)
    measured = BreakdownJob(tuple(pieces), by, user_counts, item_counts, (len(parts.users), len(parts.items)), ruler)
    total = None
    for shard, place in enumerate(parts.users):
        opened.clear()
        found = break_down(measured, shard, place, read_side(parts.items, RANK))
        assert opened.count(f"part.{shard:05d}.parquet") == 2  # of users, and of the items that are given here
        assert found is not None
        total = found if total is None else total + found
    assert total is not None
    errors = ratings - model.score(users * 10, its * 10)
    of_user, of_item = counts["users"][users], counts["items"][its]
    for bins, of_rating in ((total.by_user_activity, of_user), (total.by_item_popularity, of_item)):
        for bin_ in range(1, 8):
            inside = [int(count).bit_length() == bin_ for count in of_rating]
            assert bins[bin_, COUNT] == sum(inside)
            assert bins[bin_, SQUARED] == pytest.approx(np.sum(errors[inside] ** 2), rel=1e-12)
    assert total.by_month[:, COUNT].sum() == 90


@pytest.mark.parametrize(("now", "then"), [(4, 4), (4, 1), (2, 8), (1, 4)])
def test_of_an_earlier_training_a_part_reads_what_has_its_users(
    tmp_path: Path, opened: list[str], now: int, then: int
) -> None:
    """Against a set of raw pairs; both datasets number their ids in ways of their own."""
    rng = np.random.default_rng(now * 10 + then)
    raw = {side: rng.permutation(count + 20)[:count] for side, count in (("users", USERS), ("items", ITEMS))}
    old = {side: rng.permutation(count + 20)[:count] for side, count in (("users", USERS), ("items", ITEMS))}
    pairs = np.unique(np.stack([rng.integers(0, USERS, 400), rng.integers(0, ITEMS, 400)]), axis=1)
    in_part, parts, kept_out, trained = buckets_of(pa.array(old["users"]), then), [], [], set()
    for part in range(then):
        mine = pairs[:, in_part[pairs[0]] == part].astype(np.int32)
        out = np.flatnonzero(rng.random(mine.shape[1]) < 0.3)
        parts.append(written(tmp_path, f"old-{part}", user=mine[0], item=mine[1]))
        kept_out.append((written(tmp_path, f"out-{part}", row=out),))
        trained |= {(old["users"][u], old["items"][i]) for u, i in np.delete(mine, out, axis=1).T}
    tables = [written(tmp_path, f"old-{side}", raw_id=old[side]) for side in ("users", "items")]
    own = [written(tmp_path, side, raw_id=raw[side]) for side in ("users", "items")]
    training = TrainedRatings((tables[0], tables[1]), tuple(parts), tuple(kept_out))
    met = TrainingMatch(training, str(tmp_path / "met.arrow"))
    match_by_part(own[0], [tables[0]], now, met.users)
    items = find_places(own[1], [tables[1]])
    buckets = buckets_of(pa.array(raw["users"]), now)
    for part in range(now):
        users = rng.choice(np.flatnonzero(buckets == part), 200).astype(np.int32)
        its = rng.integers(0, ITEMS, 200).astype(np.int32)
        opened.clear()
        found = are_trained_on(users, its, (part, now), [met], [items])
        assert found.tolist() == [
            (raw["users"][u], raw["items"][i]) in trained for u, i in zip(users, its, strict=True)
        ]
        assert found.any()
        assert len(opened) == 2 * max(1, then // now)
    assert [each for part in range(now) for each in parts_with((part, now), then)] == sorted(
        [*range(then)] * max(1, now // then)
    )


def test_no_task_has_all_of_a_model_but_those_that_predict_pairs() -> None:
    """And those that make the planted one, which comes from a seed, and what the estimator computes by itself."""
    loading = {
        source.where
        for source in sources(CHECKOUT, ("pipeline/stages", "pipeline/training", "pipeline/models", "tasks"))
        if "from funkflow.tasks.model.model import Model\n" in source.path.read_text(encoding="utf-8")
    }
    assert loading == {
        "tasks/serving/matrix_rows.py",
        "tasks/serving/predict_batch.py",
        "tasks/synthetic/planted.py",
        "tasks/synthetic/netflix_text.py",
    }


@pytest.mark.parametrize("names", [["user", "item", "rating", "row"], ["row", "rating", "item", "user"]])
def test_columns_are_read_by_their_names(tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever order the file has them, should a reader give them in that."""
    rng = np.random.default_rng(2)
    factors = rng.normal(size=(6, 3)).astype(np.float32)
    users = rng.normal(size=(2, 3)).astype(np.float32)
    rows, items = UserRows(users, np.zeros(2, np.float32), pa.array(range(2))), np.pad(factors, ((0, 0), (0, 1)))
    parts = ModelParts((), (), (2,), (6,), rank=3, mean=0.0, scale=None)
    served = ServedModel(parts, HeldModel(rows, items, pa.array(range(6))))
    scores = users @ factors.T
    part = {"user": [0, 0, 1, 1], "item": [1, 3, 0, 5], "rating": [5.0, 1.0, 2.0, 5.0]}
    kept = {"user": [0, 1, 1], "item": [1, 5, 2], "rating": [5.0, 5.0, 4.0], "row": [0, 3, -1]}
    places = []
    for name, columns in (("part", part), ("kept", kept)):
        kinds = {"user": np.int32, "item": np.int32, "rating": np.float32, "row": np.int64}
        ordered = {each: np.array(columns[each], kinds[each]) for each in names if each in columns}
        places.append((str(tmp_path / name), files.write_table(str(tmp_path / name), pa.table(ordered))))
    read = files.read_table

    def as_they_lie(url: str, columns: list[str] | None = None, expected_checksum: str | None = None) -> pa.Table:
        whole = read(url, None, expected_checksum)
        return whole.select([each for each in whole.column_names if columns is None or each in columns])

    monkeypatch.setattr(files, "read_table", as_they_lie)
    counts = write_counts(str(tmp_path), 2, count_part(places[0], places[1], 6))
    rival = most_rated(served, (str(tmp_path / "items.npy"), counts["checksums"]["items.npy"]), counts["trained_users"])
    (found,) = rank_part((served, rival), places[0], places[1], 4.0, [1]).model
    best = [max(set(range(6)) - seen, key=lambda item: scores[user, item]) for user, seen in ((0, {3}), (1, {0}))]
    assert found.precision == sum(item in wanted for item, wanted in zip(best, ({1}, {2, 5}), strict=True))
    recommend_part(served, places[0], places[1], (0, 1), [], 6, str(tmp_path / "out" / "part.parquet"))
    listed = files.read_table(str(tmp_path / "out" / "part.parquet")).to_pandas()
    assert {user: set(of_user["item"]) for user, of_user in listed.groupby("user")} == {0: {0, 2, 4, 5}, 1: {1, 3, 4}}
