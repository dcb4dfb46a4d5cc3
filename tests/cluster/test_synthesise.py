"""The synthetic set: exact counts, long tails, the planted floor, and bytes that depend on the plan alone.

Covers: tasks/synthetic/netflix_text.py and the stage that runs it.
Does not cover: sizes, the planted model and titles (test_planted.py), ingesting the set, training on it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from conftest import Heard
from distributed import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_forms import attempt
from sessions import examples

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import StageFinished
from funkflow.pipeline.root.manifests import Synthetic
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import SynthSettings
from funkflow.pipeline.stages import synthesise as stage
from funkflow.pipeline.stages.synthesise import film_ranges, synthesise
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.model import Model
from funkflow.tasks.synthetic.netflix_text import FilmSource, draw_film, draw_users, film_texts
from funkflow.tasks.synthetic.planted import SetPlan, plan_set, planted_tastes, stream

SMALL = SetPlan(users=150, items=40, ratings=900, probe=60, qualifying=12, seed=3)
TINY = SynthSettings(fraction=0.01)


@dataclass(frozen=True)
class Demo:
    """The demo set as it lies on disk, read back by plain string work."""

    folder: Path
    manifest: Synthetic
    rows: pd.DataFrame
    probe: pd.DataFrame
    qualifying: pd.DataFrame


def netflix_rows(*paths: Path, columns: list[str]) -> pd.DataFrame:
    """Read every line under a header `17:`, with the header's film before it."""
    lines = pd.concat([pd.read_csv(path, names=columns, dtype=str) for path in paths])
    is_header = lines["user"].str.endswith(":")
    lines.insert(0, "film", lines["user"].where(is_header).str[:-1].ffill())
    return lines[~is_header].astype({name: int for name in lines.columns if name != "date"})


@pytest.fixture(scope="module")
def demo(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    context = Context(client, Store(str(tmp_path_factory.mktemp("demo"))), lambda event: None, "demo")
    manifest = synthesise(context, SynthSettings())
    folder = Path(manifest.folder)
    return Demo(
        folder,
        manifest,
        netflix_rows(*sorted(folder.glob("combined_data_*.txt")), columns=["user", "rating", "date"]),
        netflix_rows(folder / "probe.txt", columns=["user"]),
        netflix_rows(folder / "qualifying.txt", columns=["user", "date"]),
    )


def test_the_demo_has_exactly_the_ratings_asked_for_each_pair_once(demo: Demo) -> None:
    assert len(demo.rows) == demo.manifest.ratings == 1_000_000
    assert not demo.rows.duplicated(["film", "user"]).any()


def test_every_user_and_film_of_the_demo_has_ratings(demo: Demo) -> None:
    assert demo.rows["user"].nunique() == 6_000
    assert sorted(demo.rows["film"].unique()) == list(range(1, 1_201))


def test_user_ids_have_gaps_like_the_real_ones(demo: Demo) -> None:
    assert 5 * 6_000 < demo.rows["user"].max() <= round(6_000 * 2_649_429 / 480_189)


def test_ratings_are_whole_stars_and_all_five_occur(demo: Demo) -> None:
    assert sorted(demo.rows["rating"].unique()) == [1, 2, 3, 4, 5]


def test_dates_lie_in_the_years_of_the_real_set_and_crowd_towards_its_end(demo: Demo) -> None:
    dates = pd.to_datetime(demo.rows["date"], format="%Y-%m-%d")
    assert dates.min() >= pd.Timestamp("1999-11-11")
    assert dates.max() <= pd.Timestamp("2005-12-31")
    assert 0.4 < (dates >= pd.Timestamp("2005-01-01")).mean() < 0.6


def test_activity_of_the_demo_has_long_tails(demo: Demo) -> None:
    users, films = demo.rows["user"].value_counts(), demo.rows["film"].value_counts()
    assert 0.55 < users.median() / users.mean() < 0.75
    assert 5 * users.mean() < users.max() < 1_200
    assert 0.4 < films.median() / films.mean() < 0.6
    assert 3 * films.mean() < films.max() < 3_300


def test_the_probe_is_part_of_the_ratings(demo: Demo) -> None:
    assert len(demo.probe) == demo.manifest.others["probe"] == 50_000
    assert len(demo.probe.merge(demo.rows)) == len(demo.probe.drop_duplicates()) == 50_000


def test_qualifying_pairs_have_a_day_and_no_rating(demo: Demo) -> None:
    pairs = demo.qualifying[["film", "user"]]
    assert len(pairs.drop_duplicates()) == demo.manifest.others["qualifying"] == 5_000
    assert pairs.merge(demo.rows, on=["film", "user"]).empty
    assert demo.qualifying["date"].between("1999-11-11", "2005-12-31").all()


def test_biases_alone_stay_far_above_the_planted_floor(demo: Demo) -> None:
    """The bands say that mean, biases and truth explain about what they do of the real ratings."""
    marked = demo.rows.merge(demo.probe, how="left", indicator=True)
    probe, training = marked[marked["_merge"] == "both"], marked[marked["_merge"] != "both"]
    truth = Model.load(str(demo.folder / "truth"))
    floor = rmse(probe["rating"] - truth.predict(probe["user"], probe["film"]))
    mean = training["rating"].mean()
    biases = rmse(probe["rating"] - biases_only(training, probe))
    assert 1.08 <= rmse(probe["rating"] - mean) <= 1.13
    assert 0.96 <= biases <= 1.01
    assert 0.82 <= floor <= 0.88
    assert biases >= 1.15 * floor


def rmse(errors: pd.Series[float]) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def biases_only(training: pd.DataFrame, probe: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Regularised user and item biases by alternating averages, clipped: a strong form of the baseline."""
    mean = training["rating"].mean()
    bias = {"user": pd.Series(dtype=float), "film": pd.Series(dtype=float)}
    for _ in range(8):
        for side, other in (("film", "user"), ("user", "film")):
            rest = training["rating"] - mean - training[other].map(bias[other]).fillna(0.0)
            groups = rest.groupby(training[side])
            bias[side] = groups.sum() / (groups.count() + 4)
    predicted = mean + probe["user"].map(bias["user"]).fillna(0) + probe["film"].map(bias["film"]).fillna(0)
    return np.asarray(predicted.clip(1, 5), dtype=np.float64)


def test_ratings_follow_the_planted_scores() -> None:
    """Noise and rounding add what they should, 0.88² + 1/12, where the ends of the scale are far."""
    source = FilmSource.of(plan_set("demo", 0.05))
    model, errors = source.model, []
    for item in range(source.plan.items):
        film = draw_film(source, item)
        scores = model.predict(model.user_ids[film.users], np.full(len(film.users), item + 1), clip=False)
        middle = np.abs(scores - 3) < 0.2
        errors.append((film.ratings - scores)[middle])
    assert np.var(np.concatenate(errors)) == pytest.approx(0.88**2 + 1 / 12, rel=0.1)


def test_with_selection_people_rate_what_they_like_and_the_counts_stay() -> None:
    without, chosen = (FilmSource.of(plan_set("demo", 0.05, selection=each)) for each in (0.0, 1.0))
    tastes = []
    for source in (without, chosen):
        films = [draw_film(source, item) for item in range(source.plan.items)]
        assert [len(film.users) for film in films] == source.counts.ratings.tolist()
        assert all(len(np.unique(film.users)) == len(film.users) for film in films)
        each = [planted_tastes(source.model, film.users, item) for item, film in enumerate(films)]
        tastes.append(np.mean(np.concatenate(each)))
    assert tastes[0] == pytest.approx(0.0, abs=0.02)
    assert tastes[1] > 0.4


def test_with_moods_users_come_on_few_days_and_rate_alike_on_each() -> None:
    source = FilmSource.of(plan_set("demo", 0.05, moods=0.5))
    films = [draw_film(source, item) for item in range(source.plan.items)]
    users, days = (np.concatenate([getattr(film, name) for film in films]) for name in ("users", "days"))
    scores = [
        source.model.predict(source.model.user_ids[film.users], np.full(len(film.users), 1 + item), clip=False)
        for item, film in enumerate(films)
    ]
    away = np.concatenate([film.ratings for film in films]) - np.concatenate(scores)
    _, slots, sizes = np.unique(users * 10_000 + days, return_inverse=True, return_counts=True)
    assert 4 < len(slots) / len(sizes) < 12
    several = sizes[slots] > 1
    others = (np.bincount(slots, away)[slots] - away)[several] / (sizes[slots][several] - 1)
    assert 0.15 < np.mean(others * away[several]) < 0.27  # 0.25, less what the ends of the scale cut off
    assert {**plan_set("demo", 0.05).content, "moods": 0.5} == source.plan.content


@settings(max_examples=examples(15), deadline=None)
@given(cuts=st.lists(st.integers(1, SMALL.items - 1), max_size=4, unique=True))
def test_the_bytes_do_not_depend_on_how_the_films_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), SMALL.items]
    pieces = [text for first, stop in itertools.pairwise(edges) for text in film_texts(SMALL, first, stop)]
    assert pieces == list(film_texts(SMALL, 0, SMALL.items))


def test_another_seed_gives_another_set() -> None:
    other = SetPlan(**{**SMALL.__dict__, "seed": 4})
    assert next(film_texts(other, 0, 1)).ratings != next(film_texts(SMALL, 0, 1)).ratings


def test_both_forms_hold_the_same_lines_in_the_same_order(context: Context) -> None:
    combined = Path(synthesise(attempt(context), TINY).folder)
    apart = Path(synthesise(attempt(context), TINY.model_copy(update={"form": "files"})).folder)
    films = sorted(apart.glob("training_set/mv_*.txt"))
    assert [film.name for film in films[:2]] == ["mv_0000001.txt", "mv_0000002.txt"]
    whole = b"".join(film.read_bytes() for film in films)
    assert whole == b"".join(path.read_bytes() for path in sorted(combined.glob("combined_data_*.txt")))
    for name in ("probe.txt", "qualifying.txt", "movie_titles.txt", "truth/model.json"):
        assert (combined / name).read_bytes() == (apart / name).read_bytes()


def test_drawing_by_ticket_and_by_key_are_the_same_law(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FilmSource.of(plan_set("demo", 0.1))

    def mean_tickets_drawn(scan_part: float) -> float:
        monkeypatch.setattr("funkflow.tasks.synthetic.netflix_text._SCAN_PART", scan_part)
        drawn = [draw_users(source, 60, stream(source.plan, 99, number)) for number in range(400)]
        assert all(len(np.unique(users)) == 60 for users in drawn)
        return float(np.mean([source.tickets[users].mean() for users in drawn]))

    by_key, by_ticket = mean_tickets_drawn(0.0), mean_tickets_drawn(1.0)
    assert by_key > 2 * source.tickets.mean()
    assert by_ticket == pytest.approx(by_key, rel=0.03)


@settings(max_examples=examples(30), deadline=None)
@given(parts=st.integers(1, 60))
def test_ranges_cover_every_film_once_and_none_is_empty(parts: int) -> None:
    ranges = film_ranges(SMALL, parts)
    assert [item for first, stop in ranges for item in range(first, stop)] == list(range(SMALL.items))
    assert all(first < stop for first, stop in ranges)


def test_a_set_that_is_there_is_not_written_again(heard: Heard) -> None:
    first = synthesise(attempt(heard.context), TINY)
    probe = Path(first.folder, "probe.txt")
    written = probe.stat().st_mtime_ns
    assert synthesise(attempt(heard.context), TINY) == first
    assert [event.reused for event in heard.events if isinstance(event, StageFinished)] == [False, True]
    assert probe.stat().st_mtime_ns == written


def test_a_folder_with_other_things_is_refused_and_left_alone(context: Context, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="holds files other than a set with these settings"):
        synthesise(attempt(context), TINY.model_copy(update={"folder": str(tmp_path / "mine")}))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_what_a_killed_attempt_left_is_replaced(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "unfinished.json").write_text("{}")
    (folder / "combined_data_9.txt").write_text("1:\n")
    synthesise(attempt(context), TINY.model_copy(update={"folder": str(folder)}))
    left = sorted(path.name for path in folder.iterdir())
    assert left == [
        *(f"combined_data_{number}.txt" for number in range(1, 5)),
        *("manifest.json", "movie_titles.txt", "probe.txt", "qualifying.txt", "truth"),
    ]


def test_a_failure_leaves_nothing_behind(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space_left(sizes: SetPlan) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage, "titles_text", no_space_left)
    with pytest.raises(OSError, match="No space left"):
        synthesise(attempt(context), TINY)
    assert not Path(context.store.root, "raw", "demo-0-0.01").exists()
