"""What a split by date holds out, and what it says of users and items that begin after it.

Covers: split.kind = "after": its ratings at the edge of a day, cold ratings, refusals, the slice, a whole run.
Does not cover: the other kinds (test_split.py), the date in settings (tests/unit/test_settings.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ungated import UNGATED

from funkflow import RunResult, run
from funkflow.pipeline.progress.events import Event, StageFinished
from funkflow.tasks.errors import BadInput

MIDNIGHT = 1_104_537_600
"""2005-01-01 in UTC."""
DATE = "2005-01-01"


def written(path: Path, late_users: int = 0) -> Path:
    """Write 100 users times 20 items, one rating every hour about the midnight; the last users rate after it alone."""
    rows = [
        (
            user,
            item,
            1 + (user * item) % 5,
            MIDNIGHT + 3600 * (((user * 7 + item * 3) % 20) - (10 if user < 100 else -10)),
        )
        for user in range(100 + late_users)
        for item in range(20)
    ]
    pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"]).to_csv(path, index=False)
    return path


def ran(ratings: Path, root: Path, *words: str, until: str = "split", **more: Any) -> RunResult:
    chosen = [f"ingest.ratings={str(ratings)!r}", "ingest.partition_ratings=1000", f"root={str(root)!r}"]
    return run({}, [*chosen, f"split.date={DATE}", *words], until=until, **more)


def held_out(result: RunResult, name: str = "validation") -> pd.DataFrame:
    return pd.concat(pd.read_parquet(path) for path in sorted(Path(result.paths["split"], name).glob("*.parquet")))


def test_validation_begins_with_the_day_in_utc(tmp_path: Path) -> None:
    ratings = written(tmp_path / "r.csv")
    result = ran(ratings, tmp_path / "root", "train.stop_on=slice", "train.slice_fraction=0.2")
    table, rows = held_out(result), pd.read_csv(ratings)
    assert len(table) == (rows["timestamp"] >= MIDNIGHT).sum() == len(rows) // 2
    assert table["timestamp"].min() == pd.Timestamp(DATE)
    assert held_out(result, "slice")["timestamp"].max() < pd.Timestamp(DATE)
    assert result.split == "from 2005-01-01 on"


def test_ratings_of_those_who_begin_later_are_counted(tmp_path: Path) -> None:
    ratings, events = written(tmp_path / "r.csv", late_users=3), list[Event]()
    rows = pd.read_csv(ratings)
    rows.loc[rows["item"] == 7, "timestamp"] = MIDNIGHT
    rows.to_csv(ratings, index=False)
    ran(ratings, tmp_path / "root", listeners=[events.append])
    (finished,) = (each for each in events if isinstance(each, StageFinished) and each.stage == "split")
    cold = 3 * 20 + 100  # all of three users, and of all others those of one item
    assert f"({cold} with a user or item without earlier ratings)" in finished.summary


@pytest.mark.parametrize(
    ("date", "side"), [("2005-01-02", "validation"), ("2004-12-31", "training"), ("2030-01-01", "validation")]
)
def test_a_date_beside_all_ratings_is_refused_with_their_times(tmp_path: Path, date: str, side: str) -> None:
    ratings = written(tmp_path / "r.csv")
    with pytest.raises(
        BadInput, match=f"split.date = {date} leaves no {side} rating: they are of 2004-12-31 to 2005-01-01"
    ):
        ran(ratings, tmp_path / "root", f"split.date={date}")


def test_it_needs_times(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user,item,rating\n1,1,3\n1,2,4\n")
    with pytest.raises(BadInput, match=r'split.kind = "after" needs the times of ratings'):
        ran(path, tmp_path / "root")


def test_a_whole_run_goes_by_the_logical_date(tmp_path: Path) -> None:
    ratings = written(tmp_path / "r.csv", late_users=3)
    words = ["split.date={date}", "train.rank=2", "train.epochs=2", UNGATED]
    result = ran(ratings, tmp_path / "root", *words, until="export", date=DATE)
    assert result.evaluation["split"] == "from 2005-01-01 on"
    assert result.rmse is not None
