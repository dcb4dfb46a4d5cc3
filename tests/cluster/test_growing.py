"""Ratings that arrive bit by bit: a dataset that grew says what a cold ingest of all files says, and reads what is new.

Covers: additions, grown files, corrections, deletions, lost and changed inputs, and numbers that ids keep; the twin is
a cold ingest under another root.
Does not cover: splits, grids and blocks of such datasets (test_growing_blocks.py), forgetting (test_forget.py).
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Heard
from distributed import Client
from growing import HEADER, assert_equals_cold, grown, lines, made, raw_ids
from hypothesis import HealthCheck, given
from hypothesis import settings as property_settings
from hypothesis import strategies as st
from ingesting import ingest, settings, table
from raw_forms import write_combined
from sessions import examples

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import Noticed, StageFinished
from funkflow.pipeline.root.records import DatasetParent
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import BadInput, SettingsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "day-0.csv").write_text(HEADER + lines(made(2500)))
    return folder


PAIR = st.tuples(st.integers(0, 12), st.integers(0, 6))
STEP = st.tuples(
    st.sampled_from(["a new file", "more rows in a file", "deletions"]),
    st.integers(0, 3),
    st.lists(st.tuples(PAIR, st.integers(1, 5)), min_size=1, max_size=12),
)


@property_settings(
    max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_any_way_to_grow_ends_where_a_cold_ingest_does(steps: list[Any], order: Any, client: Client) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, root = Path(place, "raw"), Path(place, "root")
        folder.mkdir()
        root.mkdir()
        context = Context(client, Store(str(root)), lambda event: None, "grown")
        times = list(range(1, 1000))
        order.shuffle(times)  # what is newest is not what came last
        (folder / "day-0.csv").write_text(HEADER + "1,1,3,0\n2,1,4,0\n")
        deletions: dict[str, Any] = {}
        before = grown(context, folder)
        for number, (kind, which, rows) in enumerate(steps, start=1):
            text = "".join(f"{user},{item},{rating},{times.pop()}\n" for (user, item), rating in rows)
            if kind == "deletions":
                with (Path(place) / "deleted.csv").open("a") as file:
                    file.write("".join(f"{user},{item}\n" for (user, item), _ in rows if user != 1))
                if (Path(place) / "deleted.csv").stat().st_size:
                    deletions = {"deletions": str(Path(place) / "deleted.csv")}
            elif kind == "a new file":
                (folder / f"day-{number}.csv").write_text(HEADER + text)
            else:
                files = sorted(folder.iterdir())
                with files[which % len(files)].open("a") as file:
                    file.write(text)
            now = grown(context, folder, **deletions)
            for side in ("users", "items"):
                ids, earlier = raw_ids(context, now, side), raw_ids(context, before, side)
                assert ids[: len(earlier)] == earlier
                assert len(set(ids)) == len(ids)
            assert now.id == before.id or now.parent == DatasetParent(id=before.id, rows=True)
            before = now
        assert_equals_cold(context, before, folder, **deletions)


def test_only_a_new_file_is_parsed_and_parts_without_new_rows_are_kept(heard: Heard, folder: Path) -> None:
    first = grown(heard.context, folder)
    assert (first.parent, first.parts_kept, len(first.parts)) == (None, 0, 4)
    (folder / "day-1.csv").write_text(HEADER + lines([(3, 900, 5, 9000), (777, 901, 4, 9001)]))
    second = grown(heard.context, folder)
    assert second.parsed_bytes == (folder / "day-1.csv").stat().st_size
    assert 1 <= second.parts_written <= 2
    assert second.parts_kept == 4 - second.parts_written
    assert raw_ids(heard.context, second, "users")[:-1] == raw_ids(heard.context, first, "users")
    assert_equals_cold(heard.context, second, folder)
    summary = [event.summary for event in heard.events if isinstance(event, StageFinished)][1]
    assert f"grown from {first.id}; {second.parsed_bytes} bytes parsed" in summary
    assert f"{second.parts_written} parts written, {second.parts_kept} kept" in summary


def test_a_dataset_is_whole_without_the_one_it_grew_from(context: Context, folder: Path) -> None:
    first = grown(context, folder)
    (folder / "day-1.csv").write_text(HEADER + lines([(3, 900, 5, 9000)]))
    second = grown(context, folder)
    shutil.rmtree(context.store.dataset(first.id))
    assert grown(context, folder).id == second.id
    assert_equals_cold(context, second, folder)


def test_a_file_that_grew_is_parsed_from_there_on(context: Context, folder: Path) -> None:
    grown(context, folder)
    more = lines([(3, 900, 5, 9000), (3, 0, 1, 9001)])
    with (folder / "day-0.csv").open("a") as file:
        file.write(more)
    second = grown(context, folder)
    assert (second.parsed_bytes, second.duplicates) == (len(more), 1)
    assert_equals_cold(context, second, folder)


def test_a_file_is_known_by_its_content(context: Context, folder: Path) -> None:
    first = grown(context, folder)
    (folder / "day-0.csv").rename(folder / "monday.csv")
    second = grown(context, folder)
    assert (second.parsed_bytes, second.parts_written) == (0, 0)
    assert second.parts == first.parts


def test_a_packed_file_is_parsed_when_it_is_new_and_again_when_it_changed(context: Context, folder: Path) -> None:
    chosen = settings(folder / "*", incremental=True)
    ingest(context, chosen)
    text = HEADER + lines([(3, 900, 5, 9000)])
    (folder / "day-1.csv.gz").write_bytes(gzip.compress(text.encode()))
    second = ingest(context, chosen)
    assert (second.parsed_bytes, second.ratings) == (len(text), 2501)
    (folder / "day-1.csv.gz").write_bytes(gzip.compress((text + lines([(4, 900, 5, 9000)])).encode()))
    third = ingest(context, chosen)
    assert third.parent
    assert (third.ratings, third.parent.rows) == (2502, True)


def test_netflix_text_goes_on_under_its_last_movie(context: Context, tmp_path: Path) -> None:
    path = write_combined(tmp_path / "nf", [(1, 5, 3, "2000-01-01"), (2, 6, 4, "2000-01-02")], files=1)
    grown_settings = settings(path / "combined_data_1.txt", incremental=True)
    ingest(context, grown_settings)
    with (path / "combined_data_1.txt").open("a") as file:
        file.write("9,1,2001-01-01\n7:\n9,2,2001-01-02\n")
    second = ingest(context, grown_settings)
    assert second.parent
    assert second.parent.rows
    pairs = table(context, second)[["user", "item", "rating"]].to_numpy().tolist()
    assert sorted(pairs) == [[1, 5, 3], [2, 6, 4], [9, 6, 1], [9, 7, 2]]


def _cut_short(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-500]))


def _changed_within(path: Path) -> None:
    path.write_text(path.read_text().replace("7,0,", "7,990,", 1) + lines([(3, 900, 5, 9000)]))


def _longer_last_line(path: Path) -> None:
    path.write_text(path.read_text() + "5")


def noticed(heard: Heard) -> list[str]:
    """Return all notes but those that say how a file is read."""
    notes = [event.message for event in heard.events if isinstance(event, Noticed)]
    return [note for note in notes if " is read as " not in note]


@pytest.mark.parametrize("change", [_cut_short, _changed_within])
def test_a_file_that_changed_otherwise_is_parsed_again_and_ids_keep_their_numbers(
    change: Callable[[Path], None], heard: Heard, folder: Path
) -> None:
    first = grown(heard.context, folder)
    change(folder / "day-0.csv")
    second = grown(heard.context, folder)
    assert second.parent == DatasetParent(id=first.id, rows=False)
    assert second.parsed_bytes == (folder / "day-0.csv").stat().st_size
    assert raw_ids(heard.context, second, "users") == raw_ids(heard.context, first, "users")
    assert_equals_cold(heard.context, second, folder)
    assert noticed(heard) == [
        f"inputs of dataset {first.id} are gone, or changed otherwise than by growing: "
        "everything is parsed again, and ids keep their numbers"
    ]


def test_a_last_line_that_went_on_is_no_growth(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + "1,1,3,10\n2,1,4,2")
    ingest(context, settings(path, incremental=True))
    _longer_last_line(path)
    second = ingest(context, settings(path, incremental=True))
    assert second.parent
    assert not second.parent.rows
    assert sorted(table(context, second)["timestamp"].astype("datetime64[s]").astype("int64")) == [10, 25]


def test_a_user_who_is_in_no_file_any_more_leaves_his_number_to_the_last(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, ids in (("a", range(10)), ("b", range(10, 13))):
        (folder / f"{name}.csv").write_text(HEADER + lines([(user, 1, 3, user) for user in ids]))
    first = raw_ids(context, grown(context, folder), "users")
    (folder / "b.csv").unlink()
    now = grown(context, folder)
    users = raw_ids(context, now, "users")
    assert sorted(users) == list(range(10))
    assert sum(old != new for old, new in zip(first, users, strict=False)) <= 3
    assert_equals_cold(context, now, folder)


def test_at_equal_times_what_came_later_counts(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "b.csv").write_text(HEADER + lines([(1, 1, 3, 10), (2, 1, 4, 10)]))
    grown(context, folder)
    (folder / "a.csv").write_text(HEADER + lines([(1, 1, 5, 10), (2, 1, 5, 9)]))
    assert table(context, grown(context, folder)).sort_values("user")["rating"].tolist() == [5, 4]


def test_a_pair_that_is_there_already_may_be_refused(context: Context, folder: Path) -> None:
    grown(context, folder, duplicates="raise")
    (folder / "day-1.csv").write_text(HEADER + lines([(0, 0, 5, 9000)]))
    with pytest.raises(BadInput, match="user 0 has rated item 0 more than once"):
        grown(context, folder, duplicates="raise")


def test_a_mean_needs_all_ratings() -> None:
    with pytest.raises(SettingsError, match=r"incremental = true and duplicates = .mean. do not go together"):
        Settings.build({"ingest": {"incremental": True, "duplicates": "mean"}})


def test_deleted_ratings_are_gone_and_come_back_when_they_are_off_the_list(context: Context, folder: Path) -> None:
    listed = folder / "deleted.txt"
    listed.write_text("user,item\n" + "".join(f"{user},0\n" for user in range(20)))
    first = grown(context, folder, deletions=str(listed))
    assert (first.ratings, first.deleted) == (2480, 20)
    with listed.open("a") as file:
        file.write("20,0\n4711,0\n")
    second = grown(context, folder, deletions=str(listed))
    assert (second.ratings, second.deleted, second.parsed_bytes) == (2479, 21, 0)
    assert (second.parts_written, second.parent) == (1, DatasetParent(id=first.id, rows=True))
    (folder / "day-1.csv").write_text(HEADER + lines([(3, 0, 5, 9000), (3, 900, 5, 9000)]))
    third = grown(context, folder, deletions=str(listed))
    assert (third.ratings, third.parsed_bytes) == (2480, (folder / "day-1.csv").stat().st_size)
    assert_equals_cold(context, third, folder, deletions=str(listed))
    listed.write_text("user,item\n0,0\n")
    fourth = grown(context, folder, deletions=str(listed))
    assert fourth.parent
    assert not fourth.parent.rows
    assert_equals_cold(context, fourth, folder, deletions=str(listed))


def test_a_list_of_deletions_that_is_not_there_is_named(context: Context, folder: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv: no such file or folder; check ingest\.deletions"):
        grown(context, folder, deletions=str(folder / "none.csv"))


def test_parts_become_more_as_ratings_do(context: Context, folder: Path) -> None:
    grown(context, folder)
    (folder / "day-1.csv").write_text(HEADER + lines(made(2500, start=2500)))
    second = grown(context, folder)
    assert (len(second.parts), second.parts_kept) == (8, 0)
    assert second.parsed_bytes == (folder / "day-1.csv").stat().st_size
    assert_equals_cold(context, second, folder)


def test_quarantined_rows_stay_so(context: Context, folder: Path) -> None:
    with (folder / "day-0.csv").open("a") as file:
        file.write("x,1,2,3\n")
    grown(context, folder, on_bad_rows="quarantine")
    (folder / "day-1.csv").write_text(HEADER + "1,2,five,3\n1,800,5,3\n")
    second = grown(context, folder, on_bad_rows="quarantine")
    aside = pd.read_parquet(Path(context.store.dataset(second.id)) / "quarantine.parquet")
    assert aside["text"].tolist() == ["x,1,2,3", "1,2,five,3"]
    assert second.quarantined == 2


def test_one_who_does_not_ask_for_it_is_told_what_it_would_save(heard: Heard, folder: Path) -> None:
    first = ingest(heard.context, settings(folder / "*.csv"))
    (folder / "day-1.csv").write_text(HEADER + lines([(3, 900, 5, 9000)]))
    second = ingest(heard.context, settings(folder / "*.csv"))
    assert second.parent is None
    sizes = [path.stat().st_size for path in sorted(folder.iterdir())]
    assert noticed(heard) == [
        f"{sizes[0]:,} of {sum(sizes):,} bytes of ratings were ingested before, with the same settings: "
        "with ingest.incremental = true only what is new would be parsed"
    ]
    assert grown(heard.context, folder).id == second.id != first.id
